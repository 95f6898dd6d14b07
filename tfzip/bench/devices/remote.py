"""Machines behind a link: the runner and the files are pushed, launches speak its protocol."""

import math
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tfzip.bench.agreement import Agreement, Reference, agreement
from tfzip.bench.devices.device import Measurement, Memory, Opening, Progress
from tfzip.bench.devices.link import Link
from tfzip.bench.devices.power import measure_power, meter_of
from tfzip.bench.devices.shelf import Shelf
from tfzip.bench.devices.timed import TOGETHER, Launch, take_turns
from tfzip.bench.energy import EnergyReport, energy_report
from tfzip.bench.meters import Meter
from tfzip.bench.native.runner import PROTOCOL, RunnerCall, RunnerProcess
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.bench.reference import reference_of
from tfzip.bench.statistics import Samples
from tfzip.bench.worker import WarmUp
from tfzip.errors import DeviceError, TfzipError

_COMMAND_TIMEOUT_S = 30.0
_PATIENCE = 20.0
_LONGEST_S = 3600  # more than any launch takes besides what the plan asks for
_ALARM_S = 10**6  # the longest that the runner takes
_CLOCK_FELL = 0.9
_RUNTIMES = {"ai_edge_litert": "litert"}  # by the package that an agent opens
_WITHOUT_XNNPACK = "tflite_runtime"  # for integers, in the versions that there are


@dataclass(frozen=True)
class Program:
    """The runner as it lies on a device.

    Attributes:
        words: First words of its command there.
        library: Path of the library there.
        options: Options for every call, such as `cpus`.
    """

    words: tuple[str, ...]
    library: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class _Staged:
    """A workload as it lies on the device, and what is known of its outputs."""

    model: str
    inputs: str
    reference: Reference
    opened: Mapping[str, Any]
    digest: str = ""
    agreed: Agreement | None = None
    fastest_khz: int = 0
    remarks: list[str] = field(default_factory=list)


class RemoteBench:
    """A device with the runner on it; files are staged when they are first asked for.

    Args:
        link: The way there.
        shelf: Where files go there.
        program: The runner there.
        settle: Called before each launch, to wait until the device is as it was. Defaults to nothing.
    """

    def __init__(
        self, link: Link, shelf: Shelf, program: Program, settle: Callable[[], None] | None = None
    ) -> None:
        self.link = link
        self._settle = settle
        self.shelf = shelf
        self._program = program
        self._staged: dict[Path, _Staged] = {}

    def measure(
        self, workloads: Sequence[Workload], plan: BenchPlan, progress: Progress | None
    ) -> list[Measurement]:
        """Measures in turns, the outputs of every launch compared with those of the host."""
        meter = meter_of(self.link) if plan.energy else None  # without one nothing is measured
        results = take_turns(self, workloads, plan, progress)
        for workload, result in zip(workloads, results, strict=True):
            staged = self._staged[workload.path]
            result.agreement = staged.agreed
            result.remarks += dict.fromkeys(staged.remarks)
            result.facts = _facts(staged.opened)
            if meter is not None:
                try:
                    result.energy = self._energy(workload, plan, meter)
                except TfzipError as error:  # the latencies are there
                    result.notes.append(f"The energy of {workload.path} was not measured: {error}")
        return results

    def memory(self, workload: Workload, plan: BenchPlan) -> Memory:
        """Stages a workload and measures memory in a process that does nothing else."""
        reference = reference_of(workload, plan)  # tells best what is wrong with a file
        model = self.shelf.put(workload.path)
        with self.runner(workload, model, {"memory": True, "threads": workload.threads}) as runner:
            opened = runner.event("opened", plan.timeout_s)
            memory = runner.event("memory", plan.timeout_s)
            runner.finish(plan.timeout_s)
        if opened["runner"] != PROTOCOL:
            raise DeviceError(
                f"{self.link.place}: the runner speaks protocol {opened['runner']}, not {PROTOCOL}."
            )
        if opened.get("package") == _WITHOUT_XNNPACK:
            reference = reference_of(workload, plan, portable=True)
        with TemporaryDirectory(prefix="tfzip-") as folder:
            inputs = Path(folder) / "inputs.bin"
            inputs.write_bytes(reference.packed(opened["inputs"]))
            self._staged[workload.path] = _Staged(model, self.shelf.put(inputs), reference, opened)
        known = {name: memory[name] if memory[name] > 0 else None for name in ("pss_bytes", "heap_bytes")}
        return Memory(memory["peak_memory_bytes"], **known)

    def launch(self, workload: Workload, plan: BenchPlan) -> "RemoteLaunch":
        """Opens a staged workload in a fresh process and compares its outputs."""
        if self._settle is not None:
            self._settle()
        staged = self._staged[workload.path]
        outputs = f"{self.shelf.folder}/outputs-{Path(staged.model).stem}.out"
        options = {
            "blocks": True,
            "threads": workload.threads,
            "warmup-s": plan.warmup_s,
            "inputs": staged.inputs,
            "outputs": outputs,
            "deadline-s": longest_launch_s(plan, staged.opened["first_inference_ms"]),
        }
        with ExitStack() as undone:  # also for an interrupt key: neither process nor file may stay behind
            undone.callback(self.shelf.remove, outputs)
            launch = RemoteLaunch(self.runner(workload, staged.model, options), plan, staged)
            undone.enter_context(launch)
            self._compare(staged, outputs, launch.digest)
            undone.pop_all()
        return launch

    def _energy(self, workload: Workload, plan: BenchPlan, meter: Meter) -> EnergyReport:
        with self.launch(workload, plan) as launch:
            launch.warm_up()
            windows = measure_power(
                self.link,
                launch.runner,
                meter,
                repeats=plan.energy_repeats,
                window_s=plan.energy_window_s,
                timeout_s=plan.timeout_s,
            )
        return energy_report(str(workload.path), workload.threads, meter, windows)

    def runner(self, workload: Workload, model: str, options: Mapping[str, Any]) -> RunnerProcess:
        """Starts the runner; when it is closed, its process on the device is ended as well."""
        note = f"{self.shelf.folder}/{secrets.token_hex(8)}.pid"
        call = RunnerCall(
            self._program.words,
            self._program.library,
            model,
            {**self._program.options, "deadline-s": _LONGEST_S, **options},
        )
        command = f"echo $$ > {shlex.quote(note)}; exec {call.line()}"
        return RunnerProcess(
            self.link.start(command), self.link.place, str(workload.path), lambda: self._end(note)
        )

    def _end(self, note: str) -> None:
        """Ends a process of the device by the number that it noted."""
        quoted = shlex.quote(note)
        self.link.tidy(
            f"if [ -f {quoted} ]; then pid=$(cat {quoted}); rm -f {quoted};"
            " if grep -q -- --model /proc/$pid/cmdline 2>/dev/null; then kill -9 $pid; fi; fi"
        )

    def _compare(self, staged: _Staged, outputs: str, digest: str) -> None:
        if digest != staged.digest:
            content = self.link.pull(outputs, _COMMAND_TIMEOUT_S)
            half = bool(self._program.options.get("fp16"))
            try:
                found = agreement(staged.reference, content, staged.opened["outputs"], half=half)
            except DeviceError as error:
                raise DeviceError(f"{self.link.place}: {error}") from error
            if staged.agreed is None or found.largest > staged.agreed.largest:
                staged.agreed = found
            staged.digest = digest
        self.shelf.remove(outputs)


class RemoteLaunch(Launch):
    """A file that is open in a process of the runner."""

    def __init__(self, runner: RunnerProcess, plan: BenchPlan, staged: _Staged) -> None:
        self.runner = runner
        self._plan = plan
        self._staged = staged
        self._run_ms = float(staged.opened["first_inference_ms"])
        try:
            opened = runner.event("opened", plan.timeout_s + self._expected_s(len(staged.reference.feeds)))
        except BaseException:  # also an interrupt key: no process may stay behind
            runner.close()
            raise
        self.digest = str(opened["outputs_digest"])
        first_ms = opened["first_inference_ms"]
        start_ms = opened["load_ms"] + opened["init_ms"] + first_ms
        self.opening = Opening(start_ms, opened["init_ms"], first_ms)

    def warm_up(self) -> WarmUp:
        """Waits until the runner is warm."""
        limit_s = self._plan.timeout_s + self._plan.warmup_s + self._expected_s(10)
        event = self.runner.event("warm", limit_s)
        self._run_ms = event["run_ms"]
        return WarmUp(event["runs"], event["duration_ms"], event["steady"], event["run_ms"])

    def time_block(self, runs: int, index: int) -> Samples:
        """Times consecutive runs."""
        self.runner.send(f"BLOCK {runs} {index}")
        event = self.runner.event("block", self._plan.timeout_s + self._expected_s(runs))
        self._watch_clock(event.get("clock_khz", ()))
        return np.asarray(event["samples_ns"], np.float64) / 1e6

    def close(self) -> None:
        """Ends the runner, in peace if it still listens."""
        self.runner.close()

    def _expected_s(self, runs: int) -> float:
        return _PATIENCE * runs * self._run_ms / 1e3

    def _watch_clock(self, clocks: Sequence[int]) -> None:
        """Notes a core whose clock fell: it is throttled, or the governor has let it go."""
        seen = [int(clock) for clock in clocks if clock]
        if not seen:
            return
        self._staged.fastest_khz = max(self._staged.fastest_khz, *seen)
        if min(seen) < _CLOCK_FELL * self._staged.fastest_khz:
            self.throttled = True
            self._staged.remarks.append(
                f"the core's clock fell from {self._staged.fastest_khz // 1000} to {min(seen) // 1000} MHz"
            )


def longest_launch_s(plan: BenchPlan, run_ms: float) -> int:
    """Returns after how many seconds a launch may be taken for one whose other end has gone.

    Args:
        plan: What is measured.
        run_ms: Of the file's first run; those that take turns with it are taken to be as slow.
    """
    runs = plan.blocks * plan.runs_per_block(run_ms)
    others = TOGETHER * (plan.timeout_s + plan.warmup_s + _PATIENCE * runs * run_ms / 1e3)
    windows = plan.energy_repeats * (2 * plan.energy_window_s + plan.timeout_s) if plan.energy else 0.0
    return min(_ALARM_S, math.ceil(_LONGEST_S + others + windows))


def _facts(opened: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the runtime that a runner names; one that names none opened the library that was pushed."""
    if "package" not in opened:
        return {}
    name = str(opened["package"])
    return {"runtime": _RUNTIMES.get(name, name), "runtime_version": str(opened.get("version", "unknown"))}
