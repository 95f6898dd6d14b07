"""Devices whose time means something: launches of files, and how their blocks take turns."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from tfzip.bench.devices.device import Device, Measurement, Memory, Opening, Progress, Ticker
from tfzip.bench.kept import flaw_of, lacking
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.bench.statistics import Samples
from tfzip.bench.worker import WarmUp

TOGETHER = 16
"""How many files at most take turns, each open in a process of its own."""


class Launch(ABC):
    """A file that is open in a fresh process on a device; a context manager that ends the process.

    Attributes:
        opening: What it took to open it.
        throttled: Whether the clock fell while it was timed.
    """

    opening: Opening
    throttled: bool = False

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


class Launcher(Protocol):
    """What files can be launched on: a device, or one with files on it."""

    def memory(self, workload: Workload, plan: BenchPlan) -> Memory:
        """Returns the memory of running the workload, measured in a process of its own."""

    def launch(self, workload: Workload, plan: BenchPlan) -> Launch:
        """Opens the workload in a fresh process."""


def take_turns(
    launcher: Launcher, workloads: Sequence[Workload], plan: BenchPlan, progress: Progress | None = None
) -> list[Measurement]:
    """Measures workloads in turns.

    In a launch every workload is opened in a process of its own and warmed up, in a random order. Then each
    runs a block in that order, then in the reverse order, and so on: A B B A. Of many workloads 16 at a time
    take turns, others in each launch, so that a device need not hold all of them at once.

    Args:
        launcher: Where they are launched.
        workloads: As the rest and the result, those of `Device.measure`.
        plan: See there.
        progress: See there.
    """
    tick = Ticker(progress, len(workloads) * (1 + plan.launches * (1 + plan.blocks)))
    results = []
    for workload in workloads:  # first, so that a file that cannot run is found before time is spent
        tick(f"memory of {workload.path.name}")
        results.append(Measurement(launcher.memory(workload, plan)))
    every = list(range(len(workloads)))
    for number in range(2 * plan.launches):
        again = number >= plan.launches
        chosen = lacking([one.flaws for one in results], plan.launches) if again else every
        order = np.random.default_rng([plan.seed, number]).permutation(chosen)
        for start in range(0, len(order), TOGETHER):
            together = order[start : start + TOGETHER]
            _launch_all(launcher, [(workloads[i], results[i]) for i in together], plan, tick, number)
    return results


def _launch_all(
    launcher: Launcher,
    pairs: Sequence[tuple[Workload, Measurement]],
    plan: BenchPlan,
    tick: Ticker,
    number: int,
) -> None:
    with ExitStack() as stack:
        turns: list[tuple[Launch, float, list[Samples], Workload]] = []
        for workload, result in pairs:
            tick(f"opening {workload.path.name}")
            launch = stack.enter_context(launcher.launch(workload, plan))
            warm_up = launch.warm_up()
            result.openings.append(launch.opening)
            result.warm_ups.append(warm_up)
            result.samples.append([])
            turns.append((launch, warm_up.run_ms, result.samples[-1], workload))
        count = max(plan.blocks_for(run_ms) for _, run_ms, _, _ in turns)  # as many of each, to be paired
        for index in range(count):
            for launch, run_ms, blocks, workload in turns if index % 2 == 0 else reversed(turns):
                if index < plan.blocks:  # steps that a fast file needs beyond were not counted
                    tick(f"timing {workload.path.name}")
                blocks.append(launch.time_block(plan.runs_per_block(run_ms, count), index))
        for (_, result), (launch, _, blocks, _) in zip(pairs, turns, strict=True):
            result.flaws[number] = flaw_of(blocks, throttled=launch.throttled)


@dataclass(frozen=True)
class TimedDevice(Device):
    """A machine that launches files without more ado, and whose time means something."""

    @abstractmethod
    def memory(self, workload: Workload, plan: BenchPlan) -> Memory:
        """Returns the memory of running the workload, measured in a process of its own."""

    @abstractmethod
    def launch(self, workload: Workload, plan: BenchPlan) -> Launch:
        """Opens the workload in a fresh process."""

    def measure(
        self, workloads: Sequence[Workload], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement]:
        """Measures workloads in turns."""
        return take_turns(self, workloads, plan, progress)
