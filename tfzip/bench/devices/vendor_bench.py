"""Files measured by LiteRT's own benchmark_model on a machine behind a link."""

import secrets
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfzip.bench.devices.device import Measurement, Memory, Opening, Progress
from tfzip.bench.devices.link import Link
from tfzip.bench.devices.shelf import Shelf
from tfzip.bench.devices.timed import Launch, take_turns
from tfzip.bench.native.vendor import VendorResult, flags, parse_output, parse_result
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.bench.statistics import Samples
from tfzip.bench.worker import WarmUp
from tfzip.errors import DeviceError

NOTE = (
    "benchmark_model gives no samples: each value is the median of one of its processes, so percentiles are"
    " over processes. It writes no outputs: nobody has checked what was computed."
)
_COMMAND_TIMEOUT_S = 30.0
_PATIENCE = 20.0
_MEMORY_RUNS = 5


class VendorBench:
    """A device with benchmark_model on it.

    Args:
        link: The way there.
        shelf: Where files go there.
        program: Path of benchmark_model there.
        mask: Cores to run on, in hexadecimal; None for all.
        settle: Called before each launch. Defaults to nothing.
    """

    def __init__(
        self,
        link: Link,
        shelf: Shelf,
        program: str,
        mask: str | None,
        settle: Callable[[], None] | None = None,
    ) -> None:
        self._link = link
        self._shelf = shelf
        self._words = ["taskset", mask, program] if mask else [program]
        self._settle = settle
        self._models: dict[Path, str] = {}

    def measure(
        self, workloads: Sequence[Workload], plan: BenchPlan, progress: Progress | None
    ) -> list[Measurement]:
        """Measures in turns, a process for each block."""
        return take_turns(self, workloads, plan, progress)

    def memory(self, workload: Workload, plan: BenchPlan) -> Memory:
        """Pushes a workload and returns the peak that the tool reports."""
        self._models[workload.path] = self._shelf.put(workload.path)
        return Memory(self.run(workload, _MEMORY_RUNS, plan.timeout_s, memory=True).peak_bytes)

    def launch(self, workload: Workload, plan: BenchPlan) -> "VendorLaunch":
        """Runs the file once, for what it takes to open it."""
        if self._settle is not None:
            self._settle()
        return VendorLaunch(self, workload, plan)

    def run(self, workload: Workload, runs: int, timeout_s: float, *, memory: bool = False) -> VendorResult:
        """Runs one process of the tool.

        Raises:
            DeviceError: It fails, hangs, or reports nothing.
        """
        model = self._models[workload.path]
        result = f"{self._shelf.folder}/result-{secrets.token_hex(6)}.pb"
        words = [*self._words, *flags(model, workload.threads, runs, result, memory=memory)]
        done = self._link.run(shlex.join(words), timeout_s)
        if done.status:
            lines = (done.stderr + done.stdout).strip().splitlines() or ["it says nothing"]
            raise DeviceError(
                f"{workload.path} on {self._link.place}: benchmark_model ended with status {done.status}:"
                f" {lines[-1].rstrip('.')}."
            )
        there = self._link.run(f"[ -s {shlex.quote(result)} ]", _COMMAND_TIMEOUT_S).status == 0
        if not there:  # versions before 2.0 write none
            return parse_output(done.stdout + done.stderr)
        content = self._link.pull(result, _COMMAND_TIMEOUT_S)
        self._shelf.remove(result)
        return parse_result(content)


class VendorLaunch(Launch):
    """Blocks of one file, each a process of benchmark_model."""

    def __init__(self, bench: VendorBench, workload: Workload, plan: BenchPlan) -> None:
        self._bench = bench
        self._workload = workload
        self._plan = plan
        first = bench.run(workload, 1, plan.timeout_s)
        self._run_ms = first.median_ms
        self.opening = Opening(first.init_ms + first.first_ms, first.init_ms, first.first_ms)

    def warm_up(self) -> WarmUp:
        """Tells how long a run takes; each process warms up by itself."""
        return WarmUp(1, self._run_ms, True, self._run_ms)

    def time_block(self, runs: int, index: int) -> Samples:  # noqa: ARG002 (inputs are random)
        """Returns the median of a process with so many runs."""
        limit_s = self._plan.timeout_s + _PATIENCE * runs * self._run_ms / 1e3
        return np.array([self._bench.run(self._workload, runs, limit_s).median_ms])

    def close(self) -> None:
        """Nothing stays open between blocks."""
