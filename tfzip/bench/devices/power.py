"""Windows of power on a machine behind a link: idle, then running on, in turns."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from tfzip.bench.devices.link import Link
from tfzip.bench.energy import Window, reading
from tfzip.bench.meters import METERS, Meter, choose_meter, sampling_script, settled
from tfzip.bench.native.runner import RunnerProcess, end_process
from tfzip.errors import DeviceError

_TIMEOUT_S = 30.0
_INTERVAL_S = 0.1
_SETTLE_S = 1.0


class Sampler:
    """Reads a meter again and again while it is open; a context manager.

    Args:
        link: The way to the machine.
        meter: What to read.

    Attributes:
        samples: Seconds and what the meter said, so far.
    """

    def __init__(self, link: Link, meter: Meter) -> None:
        self._meter = meter
        self.samples: list[tuple[float, str]] = []
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
        """Returns a place in the samples."""
        return len(self.samples)

    def _read(self) -> None:
        with suppress(ValueError):
            for line in self._process.stdout or ():
                seconds, _, values = line.strip().partition(" ")
                whole = len(values.split()) >= self._meter.values  # not while the file is being written
                if whole and seconds.replace(".", "", 1).isdigit():
                    self.samples.append((float(seconds), values.strip()))


def meter_of(link: Link) -> Meter:
    """Returns the best meter of a machine.

    Raises:
        DeviceError: There is none, the battery is being charged, or the machine does not answer.
    """
    return choose_meter(link.check(METERS, _TIMEOUT_S))


def measure_power(
    link: Link, runner: RunnerProcess, meter: Meter, *, repeats: int, window_s: float, timeout_s: float
) -> list[Window]:
    """Measures a runner that waits for commands.

    Args:
        link: The way to the machine.
        runner: Warm, with `--blocks`.
        meter: Of the machine.
        repeats: Pairs of windows.
        window_s: Length of a window, in seconds.
        timeout_s: How much longer than that a window may take.

    Returns:
        A pair of windows for each repeat.

    Raises:
        DeviceError: The meter says too little, sees no difference, or the link broke.
    """
    places: list[tuple[int, int, int, Mapping[str, Any]]] = []
    with Sampler(link, meter) as sampler:
        for _ in range(repeats):
            time.sleep(_SETTLE_S)
            begin = sampler.mark()
            time.sleep(window_s)
            middle = sampler.mark()
            reading(meter, sampler.samples[begin:middle])  # a meter that says too little is refused early
            runner.send(f"SUSTAIN {window_s} 0")
            event = runner.event("sustained", window_s + timeout_s)
            places.append((begin, middle, sampler.mark(), event))
    meter, samples = settled(meter, [text for _, text in sampler.samples]), sampler.samples
    windows = [
        Window(
            reading(meter, samples[begin:middle]),
            reading(meter, samples[middle:end]),
            event["runs"],
            event["duration_ms"] / 1e3,
        )
        for begin, middle, end, event in places
    ]
    if any(window.load.watts <= window.idle.watts for window in windows):
        raise DeviceError(
            f"{link.place} draws no more while it runs on than idle, by {meter.name!r}: something else was"
            " running, or the meter does not see the processor. Measure longer, with nothing else running."
        )
    return windows
