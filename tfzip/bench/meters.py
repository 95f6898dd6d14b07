"""What tells the power or energy of a machine: which meters it has, and how they are read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tfzip.bench.perfetto import TRACE, rails_of
from tfzip.errors import DeviceError

_DRAIN_INTERVAL_S = 2.0  # asking Android costs a share of a core
_DRAIN = (
    "$(dumpsys batterystats --charged | sed -n 's/.*[Cc]omputed drain: *\\([0-9.]*\\).*/\\1/p' | head -n 1)"
    " $(dumpsys battery | sed -n 's/^ *voltage: *//p')"
)
_SMALLEST_UA = 10_000  # a phone that reports less at its highest counts in milliamperes
_BATTERY = re.compile(r"battery (\S+) (\S+) (\S+) type=(.*) scope=(.*) status=(.*)")


@dataclass(frozen=True)
class Meter:
    """Something that tells power or energy.

    Attributes:
        kind: `"counter"` (energy that only grows), `"rails"` (the same by rail), `"perfetto"` (the same where
            Android hands it to its tracer alone), `"battery"` (current and voltage), or `"drain"` (what
            Android computes from its model of the phone).
        name: What it measures, such as `"intel-rapl:0"` or `"battery"`.
        paths: Files that hold it: energies in microjoules that are added up, or current and voltage; none
            where a command is asked.
        wraps_uj: Where the counter of each path begins anew, in microjoules; 0 for never.
        current_a: Amperes of a unit of the current.
    """

    kind: str
    name: str
    paths: tuple[str, ...]
    wraps_uj: tuple[float, ...] = ()
    current_a: float = 1e-6

    @property
    def values(self) -> int:
        """How many values a reading has at least."""
        return len(self.paths) or (2 if self.kind == "drain" else 1)


METERS = f"""
for d in /sys/class/powercap/intel-rapl:[0-9] /sys/class/powercap/intel-rapl:[0-9][0-9]; do
 [ -r $d/energy_uj ] && echo "counter ${{d##*/}} $d/energy_uj $(cat $d/max_energy_range_uj) $(cat $d/name)"
done
for d in /sys/bus/iio/devices/iio:device*; do
 [ -r $d/energy_value ] && echo "rails ${{d##*/}} $d/energy_value"
done
command -v perfetto >/dev/null 2>&1 && echo "perfetto power-rails $({TRACE})"
for d in /sys/class/power_supply/*; do
 [ -d $d ] || continue
 f='- -'; [ -r $d/current_now ] && [ -r $d/voltage_now ] && f="$d/current_now $d/voltage_now"
 echo "battery ${{d##*/}} $f type=$(cat $d/type 2>/dev/null) scope=$(cat $d/scope 2>/dev/null)" \
  "status=$(cat $d/status 2>/dev/null)"
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
        DeviceError: There is none, or a battery that is being charged.
    """
    lines = [line.strip() for line in listing.splitlines()]
    words = [line.split() for line in lines]
    if found := _counter(words) or _rails(words) or _traced(words):
        return found
    batteries = [
        match.groups()
        for line in lines
        if (match := _BATTERY.fullmatch(line)) and match[4] == "Battery" and match[5] != "Device"
    ]
    drain = next((line[2] for line in words if len(line) == 3 and line[0] == "drain"), "")
    if state := _fed([status for *_, status in batteries], drain):
        raise DeviceError(
            f"The battery is {state}: its current says nothing of what the device draws. Unplug it and"
            " connect by Wi-Fi (`adb tcpip`), or take a device with power rails."
        )
    for name, current, voltage, *_ in batteries:
        if current != "-":
            return Meter("battery", name, (current, voltage))
    if drain:
        return Meter("drain", "batterystats", ())
    raise DeviceError("The device tells neither power nor energy. Measure it with a meter in its supply.")


def settled(meter: Meter, texts: Sequence[str]) -> Meter:
    """Returns a meter with the unit of its current, which all that it said in a measurement decides."""
    if meter.kind != "battery":
        return meter
    highest = max((abs(float(text.split()[0])) for text in texts), default=0.0)
    return replace(meter, current_a=1e-3 if highest < _SMALLEST_UA else 1e-6)


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


def _counter(lines: Sequence[Sequence[str]]) -> Meter | None:
    """Returns all processors' counters; that of the platform, which has them in it, where it is alone."""
    found = [words for words in lines if len(words) == 5 and words[0] == "counter" and words[3].isdigit()]
    chosen = [words for words in found if words[4].startswith("package")] or found[:1]
    if not chosen:
        return None
    name = "+".join(words[1] for words in chosen)
    return Meter("counter", name, tuple(w[2] for w in chosen), tuple(float(w[3]) for w in chosen))


def _rails(lines: Sequence[Sequence[str]]) -> Meter | None:
    found = [words for words in lines if len(words) == 3 and words[0] == "rails"]
    name = "+".join(words[1] for words in found)
    return Meter("rails", name, tuple(words[2] for words in found)) if found else None


def _traced(lines: Sequence[Sequence[str]]) -> Meter | None:
    found = (words for words in lines if len(words) == 3 and words[0] == "perfetto" and rails_of(words[2]))
    return next((Meter("perfetto", words[1], ()) for words in found), None)


def _fed(states: Sequence[str], drain: str) -> str:
    """Returns how batteries are fed from outside, or `""`; where they do not tell, Android does."""
    told = [state for state in states if state not in ("", "Unknown")]
    if told:
        return next((state.lower() for state in told if state != "Discharging"), "")
    return drain.lower() if drain != "Discharging" else ""
