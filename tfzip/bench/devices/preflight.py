"""What a latency depends on, read from a machine with a Linux kernel before anything is measured."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfzip.errors import OptionError, UnknownNameError

SCRIPT = """
for c in /sys/devices/system/cpu/cpu[0-9]*; do
 f=$(cat $c/cpufreq/cpuinfo_max_freq 2>/dev/null); g=$(cat $c/cpufreq/scaling_governor 2>/dev/null)
 k=$(cat $c/cpu_capacity 2>/dev/null); o=$(cat $c/online 2>/dev/null)
 echo "core ${c##*/cpu} ${f:-0} ${k:-0} ${o:-1} $g"
done
echo "load $(cat /proc/loadavg)"
grep MemTotal /proc/meminfo
echo "machine $(uname -m)"
echo "system $(uname -sr)"
grep -m1 -E 'model name|^Model|^Hardware' /proc/cpuinfo
for z in /sys/class/thermal/thermal_zone*; do
 [ -r $z/temp ] && echo "zone $(cat $z/type 2>/dev/null) $(cat $z/temp 2>/dev/null)"
done
if command -v getprop >/dev/null 2>&1; then
 for p in ro.product.model ro.product.manufacturer ro.soc.model ro.board.platform ro.build.fingerprint \
  ro.build.version.release ro.build.version.sdk ro.product.cpu.abi; do echo "prop $p $(getprop $p)"; done
 dumpsys battery 2>/dev/null | sed 's/^ */battery /'
 dumpsys thermalservice 2>/dev/null | grep -m1 'Thermal Status' | sed 's/^ */thermal /'
 dumpsys power 2>/dev/null | grep -m1 'mWakefulness=' | sed 's/^ */screen /'
fi
true
"""
_MAX_CORES = 1024
_CORE = re.compile(r"core \d+ \d+ \d+ \S+(\s|$)")
CLUSTERS = ("little", "mid", "big", "all")


@dataclass(frozen=True)
class Preflight:
    """A machine's state before a measurement.

    Attributes:
        facts: As they go into the report.
        clusters: Numbers of the cores by `"little"`, `"mid"`, `"big"` and `"all"`, as far as they differ.
        temperature_c: Of the battery, else the warmest zone; None where nothing can be read.
        thermal_status: Android's, 0 (none) to 6 (shutdown); None elsewhere.
        charging: Whether it draws power from outside; None where it is not known.
    """

    facts: Mapping[str, Any]
    clusters: Mapping[str, tuple[int, ...]]
    temperature_c: float | None
    thermal_status: int | None
    charging: bool | None

    def mask(self, cores: str) -> str | None:
        """Returns the hexadecimal affinity mask of a cluster, or of a list such as `"4-7"`; None for all.

        Raises:
            UnknownNameError: There is no such cluster.
            OptionError: The machine has no such core.
        """
        if cores == "all":
            return None
        chosen = self.clusters.get(cores)
        if chosen is None:
            if not re.fullmatch(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*", cores):
                raise UnknownNameError("cluster of cores", cores, self.clusters)
            chosen = _numbers(cores)
            if missing := sorted(set(chosen) - set(self.clusters["all"])):
                raise OptionError(f"The device has no core {missing[0]}. Its cores: {self.clusters['all']}.")
        return f"{sum(1 << core for core in chosen):x}"


def parse_preflight(text: str) -> Preflight:
    """Reads what `SCRIPT` printed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    cores = [line.split() for line in lines if _CORE.match(line)]
    named = (line.split(None, 2)[1:] for line in lines if line.startswith("prop "))
    props = {words[0]: words[1] for words in named if len(words) == 2}
    battery = _pairs(line.removeprefix("battery ") for line in lines if line.startswith("battery "))
    memory, load = _number(lines, "MemTotal:"), _number(lines, "load")
    models = (line.partition(":")[2].strip() for line in lines if re.match("model name|Model|Hardware", line))
    cpu = next(models, "")
    status = re.search(r"\d+", _word(lines, "thermal"))
    governors = sorted({words[5] for words in cores if len(words) > 5})
    powered = [value == "true" for name, value in battery.items() if name.endswith("powered")]
    facts: dict[str, Any] = {
        "cpu": props.get("ro.soc.model") or props.get("ro.board.platform") or cpu or None,
        "architecture": _word(lines, "machine"),
        "cores": max(len(cores), 1),
        "governor": governors[0] if len(governors) == 1 else ", ".join(governors) or None,
        "load_average": load,
        "memory_bytes": 1024 * int(memory or 0),
        "system": _word(lines, "system"),
        "clusters": _described(cores),
    }
    if props:
        facts["android"] = props
    if battery:
        facts["battery"] = battery
    if screen := _word(lines, "screen"):
        facts["screen"] = screen.removeprefix("mWakefulness=")
    temperature = _temperature(battery, lines)
    thermal = int(status.group()) if status else None
    return Preflight(facts, _clusters(cores), temperature, thermal, any(powered) if powered else None)


def _clusters(cores: Sequence[Sequence[str]]) -> dict[str, tuple[int, ...]]:
    """Returns the cores by speed: their capacity where the kernel knows it, else their highest clock."""
    speeds: dict[int, list[int]] = {}
    for _, number, clock, capacity, online, *_ in cores:
        if online != "0":
            speeds.setdefault(int(capacity) or int(clock), []).append(int(number))
    ordered = [tuple(sorted(speeds[speed])) for speed in sorted(speeds)]
    found = {"all": tuple(sorted(core for cluster in ordered for core in cluster))}
    if len(ordered) > 1:
        found |= {"little": ordered[0], "big": ordered[-1]}
    if len(ordered) > 2:
        found["mid"] = tuple(sorted(core for cluster in ordered[1:-1] for core in cluster))
    return found


def _described(cores: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    clocks = {int(number): int(clock) for _, number, clock, *_ in cores}
    names = [(name, numbers) for name, numbers in _clusters(cores).items() if name != "all"]
    return [
        {"name": name, "cores": list(numbers), "max_khz": max(clocks[number] for number in numbers)}
        for name, numbers in names
    ]


def _temperature(battery: Mapping[str, str], lines: Sequence[str]) -> float | None:
    if battery.get("temperature", "").isdigit():
        return int(battery["temperature"]) / 10  # dumpsys gives tenths of a degree
    zones = [line.split()[-1] for line in lines if line.startswith("zone ")]
    degrees = [int(zone) / 1000 for zone in zones if zone.lstrip("-").isdigit()]
    return max((one for one in degrees if 0 < one < 150), default=None)


def _pairs(lines: Any) -> dict[str, str]:
    found = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and value.strip():
            found[name.strip().lower()] = value.strip()
    return found


def _word(lines: Sequence[str], key: str) -> str:
    return next((line.split(None, 1)[1] for line in lines if line.startswith(f"{key} ")), "")


def _number(lines: Sequence[str], key: str) -> float | None:
    """Returns the first number after a key, or None where the machine does not tell it."""
    found = re.match(r"\d+(\.\d+)?(?=\s|$)", _word(lines, key))
    return float(found.group()) if found else None


def _numbers(cores: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in cores.split(","):
        low, _, high = part.partition("-")
        first, last = int(low), int(high or low)
        if not first <= last < _MAX_CORES:
            raise OptionError(
                f"cores takes numbers below {_MAX_CORES:,}, and the lower one first, such as 4-7."
                f" Received: {part!r}."
            )
        found |= set(range(first, last + 1))
    return tuple(sorted(found))
