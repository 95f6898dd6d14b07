"""Energy of an inference: what a machine draws while it runs on, less what it draws idle."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tfzip.bench.meters import Meter
from tfzip.bench.perfetto import rails_of
from tfzip.bench.statistics import student_quantile
from tfzip.errors import DeviceError

LEAST_REPEATS = 3
_LEAST_UPDATES = 20
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Reading:
    """What a meter said over a window.

    Attributes:
        joules: Energy of the window.
        seconds: Its length.
        updates: How often the figure changed.
    """

    joules: float
    seconds: float
    updates: int

    @property
    def watts(self) -> float:
        """Mean power."""
        return self.joules / self.seconds


@dataclass(frozen=True)
class Window:
    """A repeat: idle, then running on.

    Attributes:
        idle: What the meter said without the model.
        load: And while it ran on.
        runs: Inferences of the latter.
        seconds: How long they took, which is longer than from the first to the last sample.
    """

    idle: Reading
    load: Reading
    runs: int
    seconds: float

    @property
    def millijoules(self) -> float:
        """Of an inference, less idle."""
        return 1e3 * (self.load.watts - self.idle.watts) * self.seconds / self.runs


@dataclass(frozen=True)
class EnergyReport:
    """Energy of one inference.

    Attributes:
        file: Path of the file.
        threads: Threads for the kernels.
        source: The meter.
        label: `"measured"` by a counter or the battery's own gauge, `"modelled"` by Android.
        repeats: Windows with their own idle window before.
        runs: Inferences in all windows.
        millijoules: Per inference, less idle.
        low_millijoules: Lower end of the 95 % interval over repeats.
        high_millijoules: Upper end.
        idle_watts: Mean power without the model.
        load_watts: Mean power while it runs on.
    """

    file: str
    threads: int
    source: str
    label: str
    repeats: int
    runs: int
    millijoules: float
    low_millijoules: float
    high_millijoules: float
    idle_watts: float
    load_watts: float

    def __str__(self) -> str:
        return (
            f"{self.file}, {self.threads} thread(s): {self.millijoules:.3g} mJ per inference"
            f" ({self.low_millijoules:.3g} to {self.high_millijoules:.3g}), {self.label} by {self.source}:"
            f" {self.load_watts:.3g} W running on, {self.idle_watts:.3g} W idle"
        )


def reading(meter: Meter, samples: Sequence[tuple[float, str]]) -> Reading:
    """Returns the energy of a window.

    Args:
        meter: What was read.
        samples: Seconds and what the files held, from the first to the last.

    Raises:
        DeviceError: There are too few samples, or the figure is not renewed often enough.
    """
    if len(samples) < 2:
        raise DeviceError(f"Meter {meter.name!r} gave {len(samples)} values in the window. Measure longer.")
    updates = sum(before != after for (_, before), (_, after) in pairwise(samples))
    seconds = samples[-1][0] - samples[0][0]
    if meter.kind == "battery":
        if updates < _LEAST_UPDATES:
            raise DeviceError(
                f"The gauge of {meter.name!r} changed {updates} times in {seconds:.0f} s, of"
                f" {_LEAST_UPDATES} that a mean needs. Measure longer."
            )
        return Reading(_battery_joules(meter, samples), seconds, updates)
    if meter.kind == "drain" and updates < 1:
        raise DeviceError(
            f"Android's account of the battery did not change in {seconds:.0f} s. Measure longer."
        )
    if meter.kind == "perfetto":
        return _traced(meter, [text for _, text in samples])
    energies = [_microjoules(meter, text) for _, text in samples]
    grown = sum(_grown(meter, before, after) for before, after in pairwise(energies))
    return Reading(1e-6 * grown, seconds, updates)


def energy_report(file: str, threads: int, meter: Meter, windows: Sequence[Window]) -> EnergyReport:
    """Returns the energy of an inference from pairs of windows.

    Args:
        file: What was run.
        threads: With how many threads.
        meter: What it was measured by.
        windows: One for each repeat.

    Raises:
        DeviceError: There are fewer than three repeats.
    """
    if len(windows) < LEAST_REPEATS:
        raise DeviceError(f"Energy needs at least {LEAST_REPEATS} repeats. Received: {len(windows)}.")
    each = [window.millijoules for window in windows]
    mean = statistics.mean(each)
    spread = statistics.stdev(each) / len(each) ** 0.5
    half = student_quantile(_CONFIDENCE, len(each) - 1) * spread
    return EnergyReport(
        file,
        threads,
        meter.name,
        "modelled" if meter.kind == "drain" else "measured",
        len(windows),
        sum(window.runs for window in windows),
        mean,
        mean - half,
        mean + half,
        statistics.mean(window.idle.watts for window in windows),
        statistics.mean(window.load.watts for window in windows),
    )


def _traced(meter: Meter, lines: Sequence[str]) -> Reading:
    """Returns the energy between the last readings of the first trace and of the last, by their clock."""
    found = [rails for line in lines if (rails := rails_of(line)) is not None]
    if len(found) < 2 or found[-1][0] <= found[0][0]:
        raise DeviceError(f"Meter {meter.name!r} gave {len(found)} traces in the window. Measure longer.")
    updates = sum(before != after for (_, before), (_, after) in pairwise(found))
    return Reading(1e-6 * (found[-1][1] - found[0][1]), found[-1][0] - found[0][0], updates)


def _battery_joules(meter: Meter, samples: Sequence[tuple[float, str]]) -> float:
    """Returns the integral of current times voltage, by trapezoids; makers differ in its sign."""
    pairs = [tuple(map(float, text.split())) for _, text in samples]
    watts = [meter.current_a * abs(current) * 1e-6 * voltage for current, voltage in pairs]
    times = [time for time, _ in samples]
    steps = zip(pairwise(times), pairwise(watts), strict=True)
    return sum((after - before) * (low + high) / 2 for (before, after), (low, high) in steps)


def _microjoules(meter: Meter, text: str) -> tuple[float, ...]:
    """Returns what has been drawn: for each counter, or the sum of lines such as `CH0(T=12)[RAIL], 345`."""
    if meter.kind == "drain":
        milliampere_hours, millivolts = map(float, text.split()[:2])
        return (3600 * milliampere_hours * millivolts,)
    if meter.kind == "rails":
        return (float(sum(int(value) for value in re.findall(r"\],\s*(\d+)", text))),)
    return tuple(map(float, text.split()[: len(meter.paths)]))


def _grown(meter: Meter, before: Sequence[float], after: Sequence[float]) -> float:
    """Returns how much was drawn between two readings, of counters that may have begun anew."""
    wraps = meter.wraps_uj or (0.0,) * len(before)
    steps = zip(before, after, wraps, strict=True)
    return sum(new - old + (wrap if new < old else 0.0) for old, new, wrap in steps)
