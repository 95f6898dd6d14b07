"""This machine, through a LiteRT interpreter with XNNPACK in child processes."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tfzip.bench.devices.device import Found, Memory, Opening, devices
from tfzip.bench.devices.machine import describe_machine, physical_memory_bytes
from tfzip.bench.devices.timed import Launch, TimedDevice
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.bench.reference import chosen_runtime
from tfzip.bench.statistics import Samples
from tfzip.bench.worker import Timing, WarmUp
from tfzip.errors import SandboxError
from tfzip.runtime.runtimes import runtimes
from tfzip.sandbox import Sandbox

_WORKER = "tfzip.bench.worker"
_LEAST_CAP_BYTES = 4 << 30
_PATIENCE = 20.0


@devices.register
@dataclass(frozen=True)
class HostDevice(TimedDevice):
    """Measures on this machine.

    Attributes:
        memory_bytes: Cap on the address space of a child; None stands for half of the machine's memory and at
            least 4 GiB. Defaults to None.
    """

    memory_bytes: int | None = None

    needs_quiet_here: ClassVar[bool] = True

    @classmethod
    def found_here(cls) -> list[Found]:
        """Returns this machine."""
        return [Found("host", "ready", str(describe_machine()["cpu"]))]

    def environment(self, plan: BenchPlan) -> Mapping[str, Any]:
        """Describes this machine and the runtime that the plan chooses."""
        runtime = chosen_runtime(plan)
        facts = {"runtime": runtimes.name_of(runtime), "runtime_version": runtime.version()}
        return {**describe_machine(), **facts}

    def memory(self, workload: Workload, plan: BenchPlan) -> Memory:
        """Runs the workload a few times in a child that does nothing else."""
        with self._child(plan) as child:
            call = f"{_WORKER}:peak_memory"
            options = _options(workload, plan)
            return Memory(int(_call(child, workload, call, timeout_s=plan.timeout_s, **options)))

    def launch(self, workload: Workload, plan: BenchPlan) -> "HostLaunch":
        """Opens the workload in a fresh child."""
        return HostLaunch(self._child(plan), workload, plan)

    def _child(self, plan: BenchPlan) -> Sandbox:
        cap = self.memory_bytes or max(physical_memory_bytes() // 2, _LEAST_CAP_BYTES)
        return Sandbox(timeout_s=plan.timeout_s, memory_bytes=min(cap, sys.maxsize))


class HostLaunch(Launch):
    """A file that is open in a child process of this machine."""

    def __init__(self, child: Sandbox, workload: Workload, plan: BenchPlan) -> None:
        self._child = child
        self._workload = workload
        self._plan = plan
        start = time.perf_counter()
        try:
            timing: Timing = self._call("open_file", plan.timeout_s, **_options(workload, plan))
        except BaseException:  # also an interrupt key: no child may stay behind
            child.close()
            raise
        cold_start_ms = 1e3 * (time.perf_counter() - start)
        self.opening = Opening(cold_start_ms, timing.init_ms, timing.first_inference_ms)
        self._run_ms = timing.first_inference_ms

    def warm_up(self) -> WarmUp:
        """Runs until steady, or as long as the plan allows."""
        limit_s = self._plan.timeout_s + self._plan.warmup_s + self._expected_s(runs=10)
        result: WarmUp = self._call("warm_up", limit_s, self._plan.warmup_s)
        self._run_ms = result.run_ms
        return result

    def time_block(self, runs: int, index: int) -> Samples:
        """Times consecutive runs; a block far beyond what the warm-up foretold counts as a hang."""
        limit_s = self._plan.timeout_s + self._expected_s(runs)
        samples: Samples = self._call("time_block", limit_s, runs, index)
        return samples

    def close(self) -> None:
        """Ends the child."""
        self._child.close()

    def _expected_s(self, runs: int) -> float:
        return _PATIENCE * runs * self._run_ms / 1e3

    def _call(self, function: str, limit_s: float, *args: Any, **options: Any) -> Any:
        return _call(
            self._child, self._workload, f"{_WORKER}:{function}", *args, timeout_s=limit_s, **options
        )


def _options(workload: Workload, plan: BenchPlan) -> dict[str, Any]:
    return {
        "path": os.fspath(workload.path),
        "runtime": runtimes.name_of(chosen_runtime(plan)),
        "threads": workload.threads,
        "seed": plan.seed,
        "data": workload.data,
    }


def _call(child: Sandbox, workload: Workload, target: str, *args: Any, **options: Any) -> Any:
    try:
        return child.call(target, *args, **options)
    except SandboxError as error:
        raise SandboxError(
            f"{workload.path} cannot be measured: {error}"
            " Look at the file with `tfzip inspect`; if it is only slow or large, give more time or memory.",
            error.detail,
        ) from error
