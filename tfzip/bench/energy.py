"""Energy of an inference: what a machine draws while it runs on, less what it draws idle."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tfzip.bench.perfetto import TRACE, rails_of
from tfzip.bench.statistics import student_quantile
from tfzip.errors import DeviceError

LEAST_REPEATS = 3
_LEAST_UPDATES = 20
_CONFIDENCE = 0.95
_DRAIN_INTERVAL_S = 2.0  # asking Android costs a share of a core
_DRAIN = (
    "$(dumpsys batterystats --charged | sed -n 's/.*[Cc]omputed drain: *\\([0-9.]*\\).*/\\1/p' | head -n 1)"
    " $(dumpsys battery | sed -n 's/^ *voltage: *//p')"
)
_SMALLEST_UA = 10_000  # a phone that reports less at its highest counts in milliamperes


@dataclass(frozen=True)
class Meter:
    """Something that tells power or energy.

    Attributes:
        kind: `"counter"` (energy that only grows), `"rails"` (the same by rail), `"perfetto"` (the same where
            Android hands it to its tracer alone), `"battery"` (current and voltage), or `"drain"` (what
            Android computes from its model of the phone).
        name: What it measures, such as `"intel-rapl:0"` or `"battery"`.
        paths: Files that hold it: the energy in microjoules, or current and voltage; none where a command is
            asked.
        wrap_uj: Where a counter begins anew, in microjoules; 0 for never.
    """

    kind: str
    name: str
    paths: tuple[str, ...]
    wrap_uj: float = 0.0

    @property
    def values(self) -> int:
        """How many values a reading has at least."""
        return len(self.paths) or (2 if self.kind == "drain" else 1)


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


METERS = f"""
for d in /sys/class/powercap/intel-rapl:[0-9]; do
 [ -r $d/energy_uj ] && echo "counter ${{d##*/}} $d/energy_uj $(cat $d/max_energy_range_uj)"
done
for d in /sys/bus/iio/devices/iio:device*; do
 [ -r $d/energy_value ] && echo "rails ${{d##*/}} $d/energy_value"
done
command -v perfetto >/dev/null 2>&1 && echo "perfetto power-rails $({TRACE})"
for d in /sys/class/power_supply/*; do
 if [ -r $d/current_now ] && [ -r $d/voltage_now ]; then
  echo "battery ${{d##*/}} $d/current_now $d/voltage_now $(cat $d/status 2>/dev/null)"; fi
done
if command -v dumpsys >/dev/null 2>&1; then
 if dumpsys battery | grep -q 'powered: true'; then echo "drain batterystats Charging"
 else echo "drain batterystats Discharging"; fi
fi
true
"""
"""A shell script that lists what a machine can be measured by, best first."""


def choose_meter(listing: str) -> Meter:
    """Returns the best meter of a machine.

    Args:
        listing: What `METERS` printed.

    Raises:
        DeviceError: There is none, or only a battery that is being charged.
    """
    charging = ""
    for line in listing.splitlines():
        words = line.split()
        if len(words) >= 4 and words[0] == "counter":
            return Meter("counter", words[1], (words[2],), float(words[3]))
        if len(words) == 3 and words[0] == "rails":
            return Meter("rails", words[1], (words[2],))
        if len(words) == 3 and words[0] == "perfetto" and rails_of(words[2]):
            return Meter("perfetto", words[1], ())
        if len(words) >= 4 and words[0] == "battery":
            state = words[4] if len(words) > 4 else "Unknown"
            if state in ("Discharging", "Unknown"):
                return Meter("battery", words[1], tuple(words[2:4]))
            charging = state.lower()
        if len(words) == 3 and words[0] == "drain":
            if words[2] == "Discharging":
                return Meter("drain", words[1], ())
            charging = charging or words[2].lower()
    if charging:
        raise DeviceError(
            f"The battery is {charging}: its current says nothing of what the device draws. Unplug it and"
            " connect by Wi-Fi (`adb tcpip`), or take a device with power rails."
        )
    raise DeviceError("The device tells neither power nor energy. Measure it with a meter in its supply.")


def sampling_script(meter: Meter, interval_s: float) -> str:
    """Returns a shell script that prints the clock and the meter's files, again and again."""
    reads = ""
    if meter.kind == "drain":
        interval_s, values = _DRAIN_INTERVAL_S, _DRAIN
    elif meter.kind == "perfetto":
        values = f"$({TRACE})"
    elif meter.kind == "rails":  # a line for each
        values = " ".join(f"$(cat {path} | tr '\\n' ' ')" for path in meter.paths)
    else:  # a single number, which the shell reads by itself, without a process that draws power
        reads = " ".join(f"v{index}=; read v{index} < {path};" for index, path in enumerate(meter.paths))
        values = " ".join(f"$v{index}" for index in range(len(meter.paths)))
    return f"while :; do read up rest < /proc/uptime; {reads} echo $up {values}; sleep {interval_s}; done"


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
        return Reading(_battery_joules(samples), seconds, updates)
    if meter.kind == "drain" and updates < 1:
        raise DeviceError(
            f"Android's account of the battery did not change in {seconds:.0f} s. Measure longer."
        )
    if meter.kind == "perfetto":
        return _traced(meter, [text for _, text in samples])
    energies = [_microjoules(meter, text) for _, text in samples]
    grown = sum(_grown(meter, before, after) for before, after in pairwise(energies))
    return Reading(1e-6 * grown, seconds, updates)


def energy_report(
    file: str, threads: int, meter: Meter, windows: Sequence[tuple[Reading, Reading, int]]
) -> EnergyReport:
    """Returns the energy of an inference from pairs of windows.

    Args:
        file: What was run.
        threads: With how many threads.
        meter: What it was measured by.
        windows: For each repeat: idle, load, and the inferences in the latter.

    Raises:
        DeviceError: There are fewer than three repeats.
    """
    if len(windows) < LEAST_REPEATS:
        raise DeviceError(f"Energy needs at least {LEAST_REPEATS} repeats. Received: {len(windows)}.")
    each = [1e3 * (load.watts - idle.watts) * load.seconds / runs for idle, load, runs in windows]
    mean = statistics.mean(each)
    spread = statistics.stdev(each) / len(each) ** 0.5
    half = student_quantile(_CONFIDENCE, len(each) - 1) * spread
    return EnergyReport(
        file,
        threads,
        meter.name,
        "modelled" if meter.kind == "drain" else "measured",
        len(windows),
        sum(runs for _, _, runs in windows),
        mean,
        mean - half,
        mean + half,
        statistics.mean(idle.watts for idle, _, _ in windows),
        statistics.mean(load.watts for _, load, _ in windows),
    )


def _traced(meter: Meter, lines: Sequence[str]) -> Reading:
    """Returns the energy between the last readings of the first trace and of the last, by their clock."""
    found = [rails for line in lines if (rails := rails_of(line)) is not None]
    if len(found) < 2 or found[-1][0] <= found[0][0]:
        raise DeviceError(f"Meter {meter.name!r} gave {len(found)} traces in the window. Measure longer.")
    updates = sum(before != after for (_, before), (_, after) in pairwise(found))
    return Reading(1e-6 * (found[-1][1] - found[0][1]), found[-1][0] - found[0][0], updates)


def _battery_joules(samples: Sequence[tuple[float, str]]) -> float:
    """Returns the integral of current times voltage, by trapezoids; makers differ in its sign."""
    pairs = [tuple(map(float, text.split())) for _, text in samples]
    currents = [abs(current) for current, _ in pairs]
    unit = 1e-3 if max(currents) < _SMALLEST_UA else 1e-6  # amperes
    watts = [unit * current * 1e-6 * voltage for current, (_, voltage) in zip(currents, pairs, strict=True)]
    times = [time for time, _ in samples]
    steps = zip(pairwise(times), pairwise(watts), strict=True)
    return sum((after - before) * (low + high) / 2 for (before, after), (low, high) in steps)


def _microjoules(meter: Meter, text: str) -> float:
    """Returns the sum of a counter's channels: a number, or lines such as `CH0(T=12)[RAIL], 345`."""
    if meter.kind == "drain":
        milliampere_hours, millivolts = map(float, text.split()[:2])
        return 3600 * milliampere_hours * millivolts
    if meter.kind == "rails":
        return float(sum(int(value) for value in re.findall(r"\],\s*(\d+)", text)))
    return float(text.split()[0])


def _grown(meter: Meter, before: float, after: float) -> float:
    return after - before if after >= before else after - before + meter.wrap_uj
