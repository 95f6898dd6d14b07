"""Which cores, and how many threads: latency against energy over the settings of a device."""

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

from tfzip.bench.benchmark import PathLike, benchmark
from tfzip.bench.devices import Device, devices, find_device
from tfzip.bench.devices.device import spec_of
from tfzip.bench.plan import BenchPlan
from tfzip.errors import OptionError
from tfzip.files import check_target, write_text
from tfzip.units import format_ms

_NEAR = 1.10


@dataclass(frozen=True)
class Setting:
    """One choice of cores and threads, measured.

    Attributes:
        cores: Cluster, such as `"big"`, or `"all"`.
        threads: Threads for the kernels.
        latency_ms: Median run.
        millijoules: Energy of an inference; None where it was not measured.
        disturbed: Whether the figures may not be trusted.
    """

    cores: str
    threads: int
    latency_ms: float
    millijoules: float | None
    disturbed: bool

    def __str__(self) -> str:
        energy = "" if self.millijoules is None else f", {self.millijoules:.3g} mJ"
        mark = ", disturbed" if self.disturbed else ""
        return f"{self.cores} cores, {self.threads} thread(s): {format_ms(self.latency_ms)}{energy}{mark}"


@dataclass(frozen=True)
class SweepReport:
    """All settings of a device for one file.

    Attributes:
        file: Path of the file.
        device: The registered name of the device and its fields.
        settings: In the order in which they were measured.
    """

    file: str
    device: Mapping[str, Any]
    settings: tuple[Setting, ...]

    @property
    def trusted(self) -> tuple[Setting, ...]:
        """Settings that were not disturbed; all where every one was."""
        return tuple(one for one in self.settings if not one.disturbed) or self.settings

    @property
    def fastest(self) -> Setting:
        """The setting with the shortest median among the trusted ones."""
        return min(self.trusted, key=lambda one: one.latency_ms)

    @property
    def front(self) -> tuple[Setting, ...]:
        """Trusted settings that none beats in both, fastest first; without energy the fastest."""
        if any(one.millijoules is None for one in self.trusted):
            return (self.fastest,)
        ordered = sorted(self.trusted, key=lambda one: (one.latency_ms, one.millijoules))
        found: list[Setting] = []
        for one in ordered:
            if not found or (one.millijoules or 0.0) < (found[-1].millijoules or 0.0):
                found.append(one)
        return tuple(found)

    def advice(self) -> list[str]:
        """Returns what to choose, in sentences."""
        fastest = self.fastest
        found = [f"Fastest: {fastest}."]
        if len(self.front) > 1:
            found.append(f"Least energy: {self.front[-1]}.")
            near = [one for one in self.front if one.latency_ms <= _NEAR * fastest.latency_ms]
            if near[-1] != fastest:
                saved = 1 - (near[-1].millijoules or 0.0) / (fastest.millijoules or 1.0)
                found.append(f"At most a tenth slower with {saved:.0%} less energy: {near[-1]}.")
        fewer = [one for one in self.trusted if one.cores == fastest.cores and one.threads < fastest.threads]
        enough = [one for one in fewer if one.latency_ms <= _NEAR * fastest.latency_ms]
        if enough:
            least = min(enough, key=lambda one: one.threads)
            found.append(f"{least.threads} thread(s) do as well there: {format_ms(least.latency_ms)}.")
        return [*found, *self._doubts()]

    def to_json(self) -> str:
        """Returns the settings and the advice as JSON text."""
        return json.dumps({**asdict(self), "advice": self.advice()}, indent=1, allow_nan=False)

    def to_csv(self) -> str:
        """Returns a line for each setting."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "device", *(field.name for field in fields(Setting))])
        writer.writerows([self.file, spec_of(self.device), *astuple(one)] for one in self.settings)
        return text.getvalue()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report beside its target and moves it into place.

        Args:
            path: `.csv` for a table, anything else for the JSON.

        Raises:
            OptionError: The target cannot be written; an existing file is left as it was.
        """
        target = check_target(path)
        content = self.to_csv() if target.suffix == ".csv" else self.to_json() + "\n"
        return write_text(target, content)

    def _doubts(self) -> list[str]:
        disturbed = sum(one.disturbed for one in self.settings)
        if not disturbed:
            return []
        left_out = "all of them" if disturbed == len(self.settings) else "which the advice leaves out"
        return [f"{disturbed} setting(s) were disturbed, {left_out}. Measure again on a quiet device."]

    def __str__(self) -> str:
        return "\n".join([*map(str, self.settings), *self.advice()])


def sweep(
    file: PathLike,
    *,
    device: str | Mapping[str, Any] | Device,
    progress: Callable[[int, int, str], None] | None = None,
    **options: Any,
) -> SweepReport:
    """Measures a file on each cluster of a device's cores, with 1, 2, 4 ... threads up to its cores.

    Args:
        file: An artifact or path.
        device: A device with clusters: android or ssh.
        progress: Called with (done, total, what) before each setting. Defaults to none.
        **options: As for `tfzip.benchmark`, without `threads`; `energy=True` measures energy as well.

    Raises:
        OptionError: The device has no choice of cores, or `threads` is given.
        TfzipError: As `tfzip.benchmark`.
    """
    found = find_device(device)
    if "threads" in options:
        raise OptionError("A sweep chooses the threads itself. Leave threads out.")
    if "cores" not in {field.name for field in fields(found)}:
        raise OptionError("A sweep needs a device with a choice of cores: android or ssh.")
    config = devices.config_of(found)
    choices = settings_of(found.environment(BenchPlan()))
    measured = []
    for number, (cores, threads) in enumerate(choices):
        if progress is not None:
            progress(number, len(choices), f"{cores} cores, {threads} thread(s)")
        report = benchmark(file, device={**config, "cores": cores}, threads=(threads,), **options)
        latency, energies = report.latencies[0], report.energies
        measured.append(
            Setting(
                cores,
                threads,
                latency.p50_ms,
                energies[0].millijoules if energies else None,
                bool(latency.disturbances),
            )
        )
    return SweepReport(str(file), config, tuple(measured))


def settings_of(environment: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Returns pairs of cluster and threads: each cluster of its own, and all cores."""
    clusters: Sequence[Mapping[str, Any]] = environment.get("clusters") or ()
    sizes = {str(one["name"]): len(one["cores"]) for one in clusters}
    sizes["all"] = int(environment["cores"])
    return [(name, threads) for name, size in sizes.items() for threads in _up_to(size)]


def _up_to(size: int) -> list[int]:
    powers = [1 << place for place in range(size.bit_length()) if 1 << place <= size]
    return powers if powers[-1] == size else [*powers, size]
