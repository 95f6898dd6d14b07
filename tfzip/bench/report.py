"""What a benchmark found: latencies with raw samples, verdicts, the environment, as JSON."""

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfzip.bench.agreement import Agreement
from tfzip.bench.arm_cost import InstructionReport
from tfzip.bench.chart import chart_page
from tfzip.bench.deadline import DeadlineVerdict
from tfzip.bench.devices.device import spec_of
from tfzip.bench.energy import EnergyReport
from tfzip.bench.plan import BenchPlan
from tfzip.files import check_target, write_text
from tfzip.units import format_bytes, format_ms

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class LaunchReport:
    """One fresh process with the file.

    Attributes:
        cold_start_ms: From starting the process to the first result.
        init_ms: Reading the file, building the interpreter and its delegate, allocating tensors.
        first_inference_ms: The first run.
        warmup_runs: Runs until steady.
        steady: Whether warm-up became steady in its time.
        samples_ms: Every timed run, a list for each block.
        left_out: Why the figures are not of this launch: it drifted or was throttled. None when it has no
            such flaw; where every launch has one, the figures are of all.
    """

    cold_start_ms: float
    init_ms: float
    first_inference_ms: float
    warmup_runs: int
    steady: bool
    samples_ms: tuple[tuple[float, ...], ...]
    left_out: str | None = None


@dataclass(frozen=True)
class LatencyReport:
    """What one file costs with one number of threads.

    Attributes:
        file: Path of the file.
        sha256: Digest of the file.
        size_bytes: Size of the file.
        threads: Threads for the kernels.
        runs: Timed runs over all launches that count.
        min_ms: Shortest run.
        p50_ms: Median run.
        p50_low_ms: Lower end of the median's 95 % interval.
        p50_high_ms: Upper end of the median's 95 % interval.
        p90_ms: 90 % of runs took at most this long.
        p95_ms: 95 % of runs took at most this long.
        p99_ms: 99 % of runs took at most this long.
        p999_ms: 99.9 % of runs took at most this long; with fewer than 1,000 runs close to the longest.
        max_ms: Longest run.
        jitter_ms: Longest run less the shortest.
        cold_start_ms: From starting the process to the first result, median over launches.
        init_ms: Reading the file, building the interpreter, allocating tensors, median over launches.
        first_inference_ms: The first run, median over launches.
        peak_memory_bytes: What the file adds to the peak memory of a process of its own.
        pss_bytes: Proportional set size of that process after its runs, None where the system does not tell.
        heap_bytes: What its allocator has given out for the file, the arena of tensors with it, or None.
        disturbances: Why the figures may not be trusted; empty when the machine was quiet.
        launches: The raw samples, also of launches that were left out.
        agreement: How the outputs of a device differ from those of the host; None on the host itself.
    """

    file: str
    sha256: str
    size_bytes: int
    threads: int
    runs: int
    min_ms: float
    p50_ms: float
    p50_low_ms: float
    p50_high_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    jitter_ms: float
    cold_start_ms: float
    init_ms: float
    first_inference_ms: float
    peak_memory_bytes: int
    pss_bytes: int | None
    heap_bytes: int | None
    disturbances: tuple[str, ...]
    launches: tuple[LaunchReport, ...]
    agreement: Agreement | None = None

    def __str__(self) -> str:
        return (
            f"{self.file}, {_threads(self.threads)}: median {format_ms(self.p50_ms)}"
            f" ({format_ms(self.p50_low_ms)} to {format_ms(self.p50_high_ms)}), p90 {format_ms(self.p90_ms)},"
            f" p99 {format_ms(self.p99_ms)}, first result after {format_ms(self.cold_start_ms)},"
            f" {format_bytes(self.peak_memory_bytes)} of memory"
        )


@dataclass(frozen=True)
class Verdict:
    """How a file compares with the first one.

    Attributes:
        file: Path of the file.
        baseline: Path of the first file.
        threads: Threads for the kernels.
        ratio: Latency of the file over that of the baseline.
        low: Lower end of the ratio's interval.
        high: Upper end of the ratio's interval.
        confidence: Confidence of the interval; 1 - 0.01 / n for n files against one baseline (Bonferroni).
        verdict: `"faster"`, `"slower"` or `"no difference"`.
    """

    file: str
    baseline: str
    threads: int
    ratio: float
    low: float
    high: float
    confidence: float
    verdict: str

    def __str__(self) -> str:
        interval = f"ratio {self.ratio:.3f}, interval {self.low:.3f} to {self.high:.3f}"
        end = f"with {_threads(self.threads)}: {interval}."
        if self.verdict == "no difference":
            return f"No difference between {self.file} and {self.baseline} {end}"
        factor = self.ratio if self.verdict == "slower" else 1 / self.ratio
        return f"{self.file} is {factor:.2f}x {self.verdict} than {self.baseline} {end}"


@dataclass(frozen=True)
class BenchmarkReport:
    """Everything that one benchmark measured.

    Attributes:
        device: The registered name of the device and its fields.
        environment: Processor, cores, load, versions and date.
        plan: How it was measured.
        latencies: A report for each number of threads and file, in that order.
        verdicts: Each file against the first, for each number of threads.
        instructions: A report for each file, where instructions are counted instead of time.
        energies: Of an inference, for each latency, where the plan asks for it.
        deadlines: A verdict for each latency, where the plan has a deadline.
        notes: What a reader should know of the environment, in sentences.
    """

    device: Mapping[str, Any]
    environment: Mapping[str, Any]
    plan: BenchPlan
    latencies: tuple[LatencyReport, ...]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    instructions: tuple[InstructionReport, ...] = ()
    deadlines: tuple[DeadlineVerdict, ...] = ()
    energies: tuple[EnergyReport, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain values; `tfzip/bench/schema.json` describes them."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def to_json(self) -> str:
        """Returns the report as JSON text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    def to_csv(self) -> str:
        """Returns a line for each latency or count, without the samples."""
        found = io.StringIO()
        writer = csv.writer(found, lineterminator="\n")
        for one in self.latencies or self.instructions:
            facts = _flat(asdict(one))
            if found.tell() == 0:
                writer.writerow(["device", "date", *facts])
            writer.writerow([spec_of(self.device), self.environment["date"], *facts.values()])
        return found.getvalue()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report beside its target and moves it into place.

        Args:
            path: `.csv` for a table, `.html` for a page with a chart, anything else for the JSON.

        Raises:
            OptionError: The target cannot be written; an existing file is left as it was.
        """
        target = check_target(path)
        kinds: dict[str, Callable[[], str]] = {".csv": self.to_csv, ".html": lambda: chart_page(self)}
        content = kinds.get(target.suffix, lambda: self.to_json() + "\n")()
        return write_text(target, content)

    def __str__(self) -> str:
        lines: Sequence[object] = (
            *self.latencies,
            *self.instructions,
            *self.verdicts,
            *self.energies,
            *self.deadlines,
            *self.notes,
            *self.disturbances(),
        )
        return "\n".join(map(str, lines))

    def disturbances(self) -> list[str]:
        """Returns one sentence for each latency that was disturbed."""
        return [
            f"{latency.file} with {_threads(latency.threads)} was disturbed:"
            f" {'; '.join(latency.disturbances)}. Measure again on a quiet machine."
            for latency in self.latencies
            if latency.disturbances
        ]


def _flat(facts: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Returns nested facts by dotted names; what is a list is left out."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        elif not isinstance(value, list | tuple):
            found[before + name] = value
    return found


def _threads(count: int) -> str:
    return f"{count} thread" + ("s" if count > 1 else "")
