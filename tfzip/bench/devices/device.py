"""What every device is: launches of files, and the order in which their blocks take turns."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from tfzip.bench.plan import BenchPlan, Workload
from tfzip.bench.statistics import Samples
from tfzip.bench.worker import WarmUp
from tfzip.registry import Registry

Progress = Callable[[int, int, str], None]
"""Called with the steps done, the steps in all, and what is being done."""


@dataclass(frozen=True)
class Opening:
    """What it took until a file's first result.

    Attributes:
        cold_start_ms: From starting the process to the first result; the process starts cold, the file may
            be in the page cache.
        init_ms: Reading the file, building the interpreter and its delegate, allocating tensors.
        first_inference_ms: The first run.
    """

    cold_start_ms: float
    init_ms: float
    first_inference_ms: float


class Launch(ABC):
    """A file that is open in a fresh process on a device; a context manager that ends the process.

    Attributes:
        opening: What it took to open it.
    """

    opening: Opening

    @abstractmethod
    def warm_up(self) -> WarmUp:
        """Runs until steady, or as long as the plan allows."""

    @abstractmethod
    def time_block(self, runs: int, index: int) -> Samples:
        """Returns the milliseconds of `runs` consecutive runs, shape (runs,); `index` counts the blocks."""

    @abstractmethod
    def close(self) -> None:
        """Ends the process."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Measurement:
    """What was measured of one workload.

    Attributes:
        peak_memory_bytes: Peak of a process of its own over its baseline.
        openings: One for each launch.
        warm_ups: One for each launch.
        samples: Milliseconds, nested as launches of blocks of runs.
    """

    peak_memory_bytes: int
    openings: list[Opening] = field(default_factory=list)
    warm_ups: list[WarmUp] = field(default_factory=list)
    samples: list[list[Samples]] = field(default_factory=list)


@dataclass(frozen=True)
class Device(ABC):
    """A machine that runs files."""

    @abstractmethod
    def environment(self, plan: BenchPlan) -> Mapping[str, Any]:
        """Returns what a reader needs in order to judge the figures, as plain values.

        The names are those under `environment` in `tfzip/bench/schema.json`, None for what cannot be read,
        and any others that the device knows.

        Raises:
            TfzipError: The device or the runtime of the plan is not there.
        """

    @abstractmethod
    def peak_memory_bytes(self, workload: Workload, plan: BenchPlan) -> int:
        """Returns the peak memory of running the workload, measured in a process of its own."""

    @abstractmethod
    def launch(self, workload: Workload, plan: BenchPlan) -> Launch:
        """Opens the workload in a fresh process."""

    def measure(
        self, workloads: Sequence[Workload], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement]:
        """Measures workloads in turns.

        In a launch every workload is opened in a process of its own and warmed up, in a random order. Then
        each runs a block in that order, then in the reverse order, and so on: A B B A.

        Args:
            workloads: What to run.
            plan: How often and how long.
            progress: Called before each step. Defaults to none.

        Returns:
            A measurement for each workload, in their order.

        Raises:
            TfzipError: A workload cannot be run; the others' results are lost, since they were paired with
                it.
        """
        tick = _Ticker(progress, len(workloads) * (1 + plan.launches * (1 + plan.blocks)))
        results = []
        for workload in workloads:  # first, so that a file that cannot run is found before time is spent
            tick(f"memory of {workload.path.name}")
            results.append(Measurement(self.peak_memory_bytes(workload, plan)))
        for number in range(plan.launches):
            order = np.random.default_rng([plan.seed, number]).permutation(len(workloads))
            self._measure_launch([(workloads[i], results[i]) for i in order], plan, tick)
        return results

    def _measure_launch(
        self, pairs: Sequence[tuple[Workload, Measurement]], plan: BenchPlan, tick: "_Ticker"
    ) -> None:
        with ExitStack() as stack:
            turns = []
            for workload, result in pairs:
                tick(f"opening {workload.path.name}")
                launch = stack.enter_context(self.launch(workload, plan))
                warm_up = launch.warm_up()
                result.openings.append(launch.opening)
                result.warm_ups.append(warm_up)
                result.samples.append([])
                turns.append((launch, plan.runs_per_block(warm_up.run_ms), result.samples[-1], workload))
            for index in range(plan.blocks):
                for launch, runs, blocks, workload in turns if index % 2 == 0 else reversed(turns):
                    tick(f"timing {workload.path.name}")
                    blocks.append(launch.time_block(runs, index))


class _Ticker:
    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def __call__(self, what: str) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total, what)
        self._done += 1


devices: Registry[Device] = Registry("Device")
