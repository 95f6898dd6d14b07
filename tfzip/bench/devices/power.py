"""Windows of power on a machine behind a link: idle, then running on, in turns."""

import threading
import time
from contextlib import suppress
from typing import Self

from tfzip.bench.devices.link import Link
from tfzip.bench.energy import METERS, Meter, Reading, choose_meter, reading, sampling_script
from tfzip.bench.native.runner import RunnerProcess, end_process
from tfzip.errors import DeviceError

_TIMEOUT_S = 30.0
_INTERVAL_S = 0.1
_SETTLE_S = 1.0

Windows = list[tuple[Reading, Reading, int]]


class Sampler:
    """Reads a meter again and again while it is open; a context manager.

    Args:
        link: The way to the machine.
        meter: What to read.
    """

    def __init__(self, link: Link, meter: Meter) -> None:
        self._meter = meter
        self._samples: list[tuple[float, str]] = []
        self._process = link.start(sampling_script(meter, _INTERVAL_S))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._reader.join(_TIMEOUT_S)
        end_process(self._process)

    def mark(self) -> int:
        """Returns a place in the samples, for `since`."""
        return len(self._samples)

    def since(self, mark: int) -> Reading:
        """Returns the energy since a mark."""
        return reading(self._meter, self._samples[mark:])

    def _read(self) -> None:
        with suppress(ValueError):
            for line in self._process.stdout or ():
                seconds, _, values = line.strip().partition(" ")
                whole = len(values.split()) >= self._meter.values  # not while the file is being written
                if whole and seconds.replace(".", "", 1).isdigit():
                    self._samples.append((float(seconds), values.strip()))


def measure_power(
    link: Link, runner: RunnerProcess, *, repeats: int, window_s: float, timeout_s: float
) -> tuple[Meter, Windows]:
    """Measures a runner that waits for commands.

    Args:
        link: The way to the machine.
        runner: Warm, with `--blocks`.
        repeats: Pairs of windows.
        window_s: Length of a window, in seconds.
        timeout_s: How much longer than that a window may take.

    Returns:
        The meter, and for each repeat the idle window, the load window, and the inferences in the latter.

    Raises:
        DeviceError: There is no meter, the battery is being charged, or the link broke.
    """
    meter = choose_meter(link.check(METERS, _TIMEOUT_S))
    windows: Windows = []
    with Sampler(link, meter) as sampler:
        for _ in range(repeats):
            time.sleep(_SETTLE_S)
            mark = sampler.mark()
            time.sleep(window_s)
            idle = sampler.since(mark)
            mark = sampler.mark()
            runner.send(f"SUSTAIN {window_s} 0")
            runs = runner.event("sustained", window_s + timeout_s)["runs"]
            windows.append((idle, sampler.since(mark), int(runs)))
    if any(load.watts <= idle.watts for idle, load, _ in windows):
        raise DeviceError(
            f"{link.place} draws no more while it runs on than idle, by {meter.name!r}: something else was"
            " running, or the meter does not see the processor. Measure longer, with nothing else running."
        )
    return meter, windows
