"""How long, how often and with how many threads to measure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tfzip.bench.energy import LEAST_REPEATS
from tfzip.errors import OptionError, did_you_mean
from tfzip.given import is_number

MAX_THREADS = 256
_MAX_BLOCK_RUNS = 5000
_LEAST_RUN_MS = 1e-4  # below, a clock tells nothing


@dataclass(frozen=True)
class BenchPlan:
    """Everything that decides what a benchmark measures, apart from the files and the device.

    A file is measured in `launches` fresh processes. In each launch the files take turns in blocks, forwards
    and then backwards (A B B A), `rounds` times.

    Attributes:
        threads: Numbers of threads to measure with, one after the other. Defaults to (1,).
        runs: Least number of timed runs of a file over all launches. Defaults to 100.
        min_duration_s: Least time spent on the timed runs of a file, in seconds; short models get more runs.
            Defaults to 1.
        launches: Fresh processes per file; a verdict needs at least 2. Defaults to 5.
        rounds: Times that A B B A is repeated in a launch, more for fast files. Defaults to 2.
        warmup_s: Longest warm-up of a launch in seconds; it ends earlier when steady. Defaults to 2.
        timeout_s: Longest time for opening a file and its first run, in seconds. Defaults to 60.
        deadline_ms: What a run may take, for a verdict on every file; None for no verdict. Defaults to None.
        energy: Whether to measure energy as well, where the device has a meter. Defaults to False.
        energy_window_s: Length of each idle and each load window of it, in seconds. Defaults to 20.
        energy_repeats: How many pairs of windows, at least 3. Defaults to 3.
        runtime: Name of the runtime. Defaults to the first installed of litert, tflite_runtime, tf_lite.
        seed: Seed of the random inputs, the order of files and the bootstrap. Defaults to 0.
    """

    threads: tuple[int, ...] = (1,)
    runs: int = 100
    min_duration_s: float = 1.0
    launches: int = 5
    rounds: int = 2
    warmup_s: float = 2.0
    timeout_s: float = 60.0
    deadline_ms: float | None = None
    energy: bool = False
    energy_window_s: float = 20.0
    energy_repeats: int = 3
    runtime: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        given: Any = self.threads
        threads = tuple(given) if isinstance(given, Iterable) else (given,)
        object.__setattr__(self, "threads", threads)
        for count in threads or (0,):
            _check("threads", count, 1, MAX_THREADS)
        if len(set(threads)) < len(threads):
            raise OptionError(f"threads must not repeat. Received: {', '.join(map(str, threads))}.")
        for name in ("runs", "launches", "rounds"):
            _check(name, getattr(self, name), 1, 10**9)
        _check("seed", self.seed, 0, 2**63 - 1)
        _check("energy_repeats", self.energy_repeats, LEAST_REPEATS, 1000)
        for name in ("min_duration_s", "warmup_s", "timeout_s", "energy_window_s"):
            value = getattr(self, name)
            if not (is_number(value) and value >= 0):
                raise OptionError(f"{name} must be a number of seconds from 0. Received: {value!r}.")
        deadline: Any = self.deadline_ms
        if deadline is not None and not (is_number(deadline) and deadline > 0):
            raise OptionError(f"deadline_ms must be a time above 0, as a number. Received: {deadline!r}.")
        if self.timeout_s == 0:
            raise OptionError("timeout_s must leave time to open a file. Received: 0.")

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "BenchPlan":
        """Returns a plan from its fields by name.

        Raises:
            OptionError: A field is unknown or out of range.
        """
        known = [f.name for f in fields(cls)]
        for name in options:
            if name not in known:
                hint = did_you_mean(name, known)
                raise OptionError(f"benchmark has no option {name!r}.{hint} Its options: {', '.join(known)}.")
        return cls(**options)

    @property
    def blocks(self) -> int:
        """Blocks of a file in a launch, unless a fast file needs more."""
        return 2 * self.rounds

    def blocks_for(self, run_ms: float) -> int:
        """Returns the blocks in a launch of a file that takes `run_ms` for a run.

        More than `blocks` where blocks of 5,000 runs would not last `min_duration_s`.
        """
        rounds = math.ceil(self._runs_by_duration(run_ms) / self.launches / (2 * _MAX_BLOCK_RUNS))
        return max(self.blocks, 2 * rounds)

    def runs_per_block(self, run_ms: float, blocks: int | None = None) -> int:
        """Returns the runs of a block, so that `runs` and `min_duration_s` both hold.

        Args:
            run_ms: What a run takes, in milliseconds.
            blocks: Blocks in a launch. Defaults to `blocks_for(run_ms)`.
        """
        total = self.launches * (blocks or self.blocks_for(run_ms))
        return max(math.ceil(self.runs / total), math.ceil(self._runs_by_duration(run_ms) / total))

    def _runs_by_duration(self, run_ms: float) -> int:
        return math.ceil(1000 * self.min_duration_s / max(run_ms, _LEAST_RUN_MS))


@dataclass(frozen=True)
class Workload:
    """One file to be run with one number of threads.

    Attributes:
        path: The .tflite file.
        threads: Threads for the kernels.
        data: Real inputs: an array for the only input, or arrays by input name; None for random ones.
    """

    path: Path
    threads: int
    data: Any = None


def _check(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise OptionError(f"{name} must be a whole number from {low} to {high}. Received: {value!r}.")
