"""The step that measures what the files cost."""

from dataclasses import dataclass
from typing import Any, ClassVar

from tfzip.errors import OptionError
from tfzip.recipe.run_folder import write_json
from tfzip.recipe.steps.step import Outcome, Step, Work, steps
from tfzip.units import format_ms

RAW_FILE = "benchmark.json"


@steps.register
@dataclass(frozen=True)
class BenchmarkStep(Step):
    """Measures every file exported so far, in turns; the first is what the others are compared with.

    Args:
        threads: Numbers of threads. Defaults to [1].
        runs: Least number of timed runs of each file. Defaults to 100.
        launches: Fresh processes per file. Defaults to 5.
    """

    threads: tuple[int, ...] = (1,)
    runs: int = 100
    launches: int = 5

    needs_file: ClassVar[bool] = True

    def __post_init__(self) -> None:
        from tfzip.bench.plan import BenchPlan

        BenchPlan(threads=self.threads, runs=self.runs, launches=self.launches)
        if self.launches < 2:
            raise OptionError(f"launches is at least 2, for a verdict. Received: {self.launches}.")

    def run(self, work: Work) -> Outcome:
        """Benchmarks on this machine; the raw samples are in a file of their own."""
        from tfzip.bench.benchmark import benchmark

        names = {str(file.path): file.name for file in work.files}
        report = benchmark(
            [file.path for file in work.files],
            threads=self.threads,
            runs=self.runs,
            launches=self.launches,
            seed=work.seed,
        )
        raw = _renamed(report.to_dict(), names)
        write_json(work.folder / RAW_FILE, raw)
        latencies = [
            {key: value for key, value in latency.items() if key != "launches"}
            for latency in raw["latencies"]
        ]
        for latency in latencies:
            work.say(
                f"{latency['file']}: median {format_ms(latency['p50_ms'])}, {latency['threads']} thread(s)"
            )
        facts = {"latencies": latencies, "verdicts": raw["verdicts"], "environment": raw["environment"]}
        verdicts = [f"{v['file']}: {v['verdict']} (ratio {v['ratio']:.2f})" for v in raw["verdicts"]]
        return Outcome(facts, "; ".join(verdicts) or f"median {format_ms(latencies[0]['p50_ms'])}")


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """Replaces paths by names that hold wherever the run folder is moved to."""
    if isinstance(value, dict):
        return {key: _renamed(part, names) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value
