"""Emulated ARM cores: exact instruction counts, memory and outputs; never a latency."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tfzip.bench.agreement import Agreement, Reference, agreement
from tfzip.bench.devices.arm_cores import CORES, EMULATOR, SYSROOT, write_root
from tfzip.bench.devices.device import Device, Found, Measurement, Memory, Progress, Ticker, devices
from tfzip.bench.devices.machine import describe_machine
from tfzip.bench.devices.setup import install_command, missing, require
from tfzip.bench.native.instructions import Counted, parse_counts
from tfzip.bench.native.library import library_for, library_version
from tfzip.bench.native.runner import RunnerCall, RunnerProcess
from tfzip.bench.native.toolchain import counter, runner_for
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.bench.reference import reference_of
from tfzip.errors import OptionError, UnknownNameError

_RUNS = 3
_NO_HALF = "{} has no arithmetic in half precision: --fp16 changed nothing."
_PATIENCE = 20.0  # emulation takes hundreds of times as long as a machine of today


@devices.register
@dataclass(frozen=True)
class QemuDevice(Device):
    """Counts the instructions of an inference on an emulated ARM core, by class and by operation.

    The counts are exact and repeatable to about one in ten thousand; they are no latency, since a core runs
    several instructions at a time and waits for memory. Needs `qemu-user`, libraries for AArch64 and a
    compiler: `tfzip devices setup qemu` says how to get them.

    Attributes:
        core: `"cortex-a53"`, `"cortex-a55"`, `"cortex-a72"`, `"cortex-a73"`, `"cortex-a76"`, `"cortex-a78"`
            or `"cortex-x1"`. Defaults to `"cortex-a72"`.
        fp16: Whether XNNPACK may compute float32 in half precision, on cores from cortex-a55 on. Defaults to
            False.
        sysroot: Folder with the libraries for AArch64, under `lib`. Defaults to `/usr/aarch64-linux-gnu`, of
            Debian and Ubuntu.
    """

    core: str = "cortex-a72"
    fp16: bool = False
    sysroot: str = str(SYSROOT)

    tells_time: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.core not in CORES:
            raise UnknownNameError("core", self.core, CORES)

    @classmethod
    def found_here(cls) -> list[Found]:
        """Returns the cores that can be emulated."""
        if needs := missing("qemu"):
            return [Found("qemu:CORE", "not set up", f"{install_command(needs)}; tfzip devices setup qemu")]
        return [Found(f"qemu:{core}", "ready", "counts instructions") for core in CORES]

    def environment(self, plan: BenchPlan) -> Mapping[str, Any]:
        """Describes the core that is shown and what emulates it."""
        self._check(plan)
        version = subprocess.run(  # noqa: S603
            [EMULATOR, "--version"], capture_output=True, text=True, check=True
        )
        shown = {"cpu": self.core, "architecture": "aarch64", "cores": 1, "governor": None, "memory_bytes": 0}
        facts = {"runtime": "litert", "runtime_version": library_version()}
        emulator = {"emulator": version.stdout.splitlines()[0]}
        return {**describe_machine(), **shown, **facts, **emulator, "load_average": None}

    def measure(
        self, workloads: Sequence[Workload], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement]:
        """Counts the instructions of each workload, and compares its outputs with those of this machine."""
        self._check(plan)
        tick = Ticker(progress, 3 * len(workloads))
        return [self._measured(workload, plan, tick) for workload in workloads]

    def _measured(self, workload: Workload, plan: BenchPlan, tick: Ticker) -> Measurement:
        name = workload.path.name
        tick(f"outputs of {name} here")
        reference = reference_of(workload, plan)
        with self._folder(workload) as folder:
            tick(f"memory of {name}")
            with self._runner(folder, workload, {"memory": True}) as runner:
                opened = runner.event("opened", _PATIENCE * plan.timeout_s)
                heap = runner.event("memory", _PATIENCE * plan.timeout_s)["heap_bytes"]
                runner.finish(plan.timeout_s)
            tick(f"instructions of {name}")
            (folder / "inputs").write_bytes(reference.packed(opened["inputs"]))
            counted = self._counted(folder, workload, plan)
            agreed = self._agreed(folder, reference, opened)
        notes = [] if not self.fp16 or CORES[self.core].has_half else [_NO_HALF.format(self.core)]
        return Measurement(Memory(max(heap, 0)), counted=counted, agreement=agreed, notes=notes)

    def _counted(self, folder: Path, workload: Workload, plan: BenchPlan) -> Counted:
        options = {"inputs": "inputs", "outputs": "outputs", "count": _RUNS}
        with self._runner(folder, workload, options, counting=True) as runner:
            profile = runner.event("profile", _PATIENCE * plan.timeout_s)["operations"]
            runner.finish(plan.timeout_s)
        return parse_counts((folder / "counts").read_text(), profile)

    def _agreed(self, folder: Path, reference: Reference, opened: Mapping[str, Any]) -> Agreement:
        written = (folder / "outputs").read_bytes()
        return agreement(reference, written, opened["outputs"], half=self.fp16)

    @contextmanager
    def _folder(self, workload: Workload) -> Iterator[Path]:
        """Gives a folder in which every path is short and the same each time, since counts depend on them."""
        with tempfile.TemporaryDirectory(prefix="tfzip-") as name:
            folder = Path(name)
            (folder / "root").mkdir()
            write_root(folder / "root", CORES[self.core], Path(self.sysroot))
            links = {
                "runner": runner_for("linux-aarch64"),
                "libLiteRt.so": library_for("aarch64"),
                "model.tflite": workload.path.resolve(),
                "counter.so": counter(),
            }
            for link, target in links.items():
                (folder / link).symlink_to(target)
            yield folder

    def _runner(
        self, folder: Path, workload: Workload, options: Mapping[str, Any], *, counting: bool = False
    ) -> RunnerProcess:
        options = {"fp16": self.fp16, **options}
        call = RunnerCall(("./runner",), "./libLiteRt.so", "./model.tflite", options)
        plugin = ["-plugin", "./counter.so,out=counts"] if counting else []
        command = [
            str(shutil.which(EMULATOR)),
            *plugin,
            "-cpu",
            CORES[self.core].cpu,
            "-L",
            "root",
            *call.words(),
        ]
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=folder,
            env={},
        )
        return RunnerProcess(process, f"qemu:{self.core}", str(workload.path))

    def _check(self, plan: BenchPlan) -> None:
        if set(plan.threads) != {1}:
            raise OptionError(
                f"Instructions are counted with one thread. Received: {', '.join(map(str, plan.threads))}."
            )
        require("qemu", Path(self.sysroot))
