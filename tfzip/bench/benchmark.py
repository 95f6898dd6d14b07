"""Measures what files cost on a device."""

import os
import statistics as stdlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfzip.artifact import sha256_of
from tfzip.bench.arm_cost import InstructionReport, instruction_report
from tfzip.bench.deadline import DeadlineVerdict, deadline_verdict
from tfzip.bench.devices import Device, Measurement, devices, find_device
from tfzip.bench.devices.device import Progress
from tfzip.bench.devices.vendor_bench import NOTE as VENDOR_NOTE
from tfzip.bench.energy import EnergyReport
from tfzip.bench.kept import MAX_DRIFT
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.bench.report import BenchmarkReport, LatencyReport, LaunchReport, Verdict
from tfzip.bench.statistics import (
    block_medians,
    drift_fraction,
    median_interval,
    outlier_fraction,
    paired_ratio,
    percentiles,
)
from tfzip.errors import OptionError
from tfzip.runtime.session import existing_file
from tfzip.tflite import read

PathLike = str | os.PathLike[str]

_ERROR_RATE = 0.01
_MAX_OUTLIERS = 0.05
_MAX_SPREAD = 0.10
_BUSY_LOAD = 0.5
_MAX_ROWS = 4096
_DECIMALS = 6


def benchmark(
    files: PathLike | Sequence[PathLike],
    *,
    device: str | Mapping[str, Any] | Device = "host",
    data: Any = None,
    progress: Progress | None = None,
    **options: Any,
) -> BenchmarkReport:
    """Measures latency, start-up and memory of files, in turns, with a paired verdict against the first one.

    Every file runs in child processes: one that crashes, hangs or exhausts memory becomes an error. Runs are
    timed from outside the interpreter, around its `invoke`; feeding inputs and reading outputs is not
    included.

    Args:
        files: An artifact or path, or several; the first is the baseline of the verdicts.
        device: Name of a device, alone or as `"qemu:cortex-a53"`, a mapping with `name` and fields, or a
            device. Defaults to `"host"`.
        data: Real inputs: an array, a tuple of arrays, a dict of arrays by input name, or the name of a data
            set. Defaults to seeded random numbers in each input's range.
        progress: Called with (done, total, what) before each step. Defaults to none.
        **options: Fields of `BenchPlan`: threads, runs, launches, seed and so on.

    Returns:
        A report with a latency for each number of threads and file, and the raw samples.

    Raises:
        FileFormatError: A file is missing or cannot be run.
        SandboxError: A file crashed, hung or exhausted the memory of its child.
        OptionError: An option is unknown or out of range.
        DataError: The data do not fit the inputs.
    """
    paths = _checked_paths(files)
    plan = BenchPlan.from_options(options)
    if len(paths) > 1 and plan.launches < 2:
        raise OptionError(
            f"A verdict on {len(paths)} files needs at least 2 launches. Received: {plan.launches}."
        )
    for path in paths:
        read(path)  # most damage is found here, in a millisecond
    where = find_device(device)
    _check_wishes(where, plan)
    config, environment = devices.config_of(where), where.environment(plan)
    rows = _rows(data)
    latencies: list[LatencyReport] = []
    verdicts: list[Verdict] = []
    counted: list[InstructionReport] = []
    energies: list[EnergyReport] = []
    said: list[str] = []
    for index, threads in enumerate(plan.threads):
        workloads = [Workload(path, threads, rows) for path in paths]
        part = _part_of(progress, index, len(plan.threads))
        measured = where.measure(workloads, plan, part)
        energies += [one.energy for one in measured if one.energy]
        said += [note for one in measured for note in one.notes]
        environment = {**environment, **measured[0].facts}
        pairs = list(zip(workloads, measured, strict=True))
        latencies += [_latency(workload, one, plan) for workload, one in pairs if one.samples]
        counted += [
            instruction_report(w, environment["cpu"], one.counted, one.agreement, one.memory.peak_bytes)
            for w, one in pairs
            if one.counted and one.agreement
        ]
        if latencies:
            verdicts += _verdicts(workloads, measured)
    return BenchmarkReport(
        config,
        environment,
        plan,
        tuple(latencies),
        tuple(verdicts),
        (
            *((*_notes(environment, plan), *_repeated(latencies)) if latencies else ()),
            *dict.fromkeys(said),
        ),
        tuple(counted),
        tuple(_deadlines(latencies, plan)),
        tuple(energies),
    )


def _check_wishes(device: Device, plan: BenchPlan) -> None:
    """Raises `OptionError` when the plan asks for what the device cannot measure."""
    if plan.energy and not device.measures_energy:
        raise OptionError(
            "Energy is measured on android and ssh devices, this machine's with --device ssh:localhost."
        )
    if plan.deadline_ms is not None and not device.tells_time:
        raise OptionError(
            f"A deadline needs a device that tells time; {devices.name_of(device)} counts instructions."
            " Leave deadline_ms out, or measure on host, android or ssh."
        )


def _checked_paths(files: PathLike | Sequence[PathLike]) -> list[Path]:
    paths = [Path(f) for f in ([files] if isinstance(files, str | os.PathLike) else files)]
    if not paths:
        raise OptionError("benchmark needs at least one file. Received none.")
    for path in paths:
        existing_file(path)
    return paths


def _rows(data: Any) -> Any:
    """Loads named data and cuts it to as many rows as any benchmark feeds."""
    if isinstance(data, str | os.PathLike):
        from tfzip.sources.data import load_data

        data = load_data(data).x
    if isinstance(data, Mapping):
        return {name: np.asarray(array)[:_MAX_ROWS] for name, array in data.items()}
    if isinstance(data, tuple | list):
        return tuple(np.asarray(array)[:_MAX_ROWS] for array in data)
    return None if data is None else np.asarray(data)[:_MAX_ROWS]


def _part_of(progress: Progress | None, index: int, parts: int) -> Progress | None:
    """Returns a progress for one of several measurements with as many steps each."""
    if progress is None:
        return None
    return lambda done, total, what: progress(index * total + done, parts * total, what)


def _latency(workload: Workload, measured: Measurement, plan: BenchPlan) -> LatencyReport:
    kept = measured.kept()
    samples = np.concatenate([block for launch in kept for block in launch])
    centre, found = median_interval(kept, seed=plan.seed), percentiles(samples)
    return LatencyReport(
        file=str(workload.path),
        sha256=sha256_of(workload.path),
        size_bytes=workload.path.stat().st_size,
        threads=workload.threads,
        runs=samples.size,
        p50_low_ms=centre.low,
        p50_high_ms=centre.high,
        **{f"{name}_ms": value for name, value in found.items()},
        jitter_ms=found["max"] - found["min"],
        cold_start_ms=stdlib.median(o.cold_start_ms for o in measured.openings),
        init_ms=stdlib.median(o.init_ms for o in measured.openings),
        first_inference_ms=stdlib.median(o.first_inference_ms for o in measured.openings),
        peak_memory_bytes=measured.memory.peak_bytes,
        pss_bytes=measured.memory.pss_bytes,
        heap_bytes=measured.memory.heap_bytes,
        disturbances=tuple(_disturbances(measured, plan)),
        launches=tuple(_launches(measured)),
        agreement=measured.agreement,
    )


def _launches(measured: Measurement) -> list[LaunchReport]:
    each = zip(measured.openings, measured.warm_ups, measured.samples, measured.flaws.values(), strict=True)
    return [
        LaunchReport(
            opening.cold_start_ms,
            opening.init_ms,
            opening.first_inference_ms,
            warm_up.runs,
            warm_up.steady,
            tuple(tuple(block.round(_DECIMALS).tolist()) for block in blocks),
            flaw or None,
        )
        for opening, warm_up, blocks, flaw in each
    ]


def _disturbances(measured: Measurement, plan: BenchPlan) -> list[str]:
    found, kept = [*measured.remarks, *_left_out(measured, plan)], measured.kept()
    restless = sum(not warm_up.steady for warm_up in measured.warm_ups)
    if restless:
        found.append(f"{restless} of {len(measured.warm_ups)} launches never became steady")
    drift = drift_fraction(np.concatenate([block_medians(launch) for launch in kept]))
    if abs(drift) > MAX_DRIFT:
        found.append(f"latency drifted by {drift:+.0%}")
    outliers = outlier_fraction(np.concatenate([block for launch in kept for block in launch]))
    if outliers > _MAX_OUTLIERS:
        found.append(f"{outliers:.0%} of runs took over 1.5x the median")
    medians = [float(np.median(np.concatenate(launch))) for launch in kept]
    if max(medians) > (1 + _MAX_SPREAD) * min(medians):
        found.append(f"launches differ by {max(medians) / min(medians) - 1:.0%}")
    return found


def _left_out(measured: Measurement, plan: BenchPlan) -> list[str]:
    """Returns what is said when too few launches neither drifted nor were throttled."""
    good = sum(not flaw for flaw in measured.flaws.values())
    if good >= plan.launches:
        return []
    if good:
        return [f"only {good} of {len(measured.flaws)} launches neither drifted nor were throttled"]
    return [f"all {len(measured.flaws)} launches drifted or were throttled, and the figures are of these"]


def _deadlines(latencies: Sequence[LatencyReport], plan: BenchPlan) -> Iterator[DeadlineVerdict]:
    """Yields verdicts on every run, also of launches that do not count: a miss while throttled is a miss."""
    for one in latencies if plan.deadline_ms is not None else ():
        blocks = [block for launch in one.launches for block in launch.samples_ms]
        yield deadline_verdict(one.file, one.threads, np.concatenate(blocks), float(plan.deadline_ms or 0))


def _verdicts(workloads: Sequence[Workload], measured: Sequence[Measurement]) -> list[Verdict]:
    if len(workloads) < 2:
        return []
    confidence = 1 - _ERROR_RATE / (len(workloads) - 1)
    verdicts = []
    for workload, result in zip(workloads[1:], measured[1:], strict=True):
        found = paired_ratio(*result.paired(measured[0]), confidence=confidence)
        verdicts.append(
            Verdict(
                str(workload.path),
                str(workloads[0].path),
                workload.threads,
                found.ratio,
                found.low,
                found.high,
                confidence,
                found.verdict,
            )
        )
    return verdicts


def _repeated(latencies: Sequence[LatencyReport]) -> Iterator[str]:
    for one in latencies:
        if out := [launch.left_out for launch in one.launches if launch.left_out]:
            what = "are left out of the figures" if len(out) < len(one.launches) else "have a flaw"
            yield (
                f"{one.file}, {one.threads} thread(s): {len(out)} of {len(one.launches)} launches {what}:"
                f" {', '.join(dict.fromkeys(out))}."
            )


def _notes(environment: Mapping[str, Any], plan: BenchPlan) -> tuple[str, ...]:
    cores, load = environment["cores"], environment["load_average"]
    notes = [VENDOR_NOTE] if environment.get("runner") == "benchmark_model" else []
    if load is not None and load > _BUSY_LOAD * cores:
        notes.append(f"The machine was busy: load average {load:g} on {cores} cores before the first run.")
    if max(plan.threads) > cores:
        notes.append(f"{max(plan.threads)} threads contend for {cores} cores.")
    if environment["governor"] not in (None, "performance"):
        notes.append(f"The clock may vary: the frequency governor is {environment['governor']!r}.")
    return tuple(notes)
