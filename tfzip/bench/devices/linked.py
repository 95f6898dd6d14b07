"""Devices behind a link: their state before, the runner that is asked for, the measurement."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tfzip.artifact import sha256_of
from tfzip.bench.devices.device import Device, Measurement, Progress
from tfzip.bench.devices.link import Link
from tfzip.bench.devices.machine import describe_machine
from tfzip.bench.devices.preflight import SCRIPT, Preflight, parse_preflight
from tfzip.bench.devices.remote import Program, RemoteBench
from tfzip.bench.devices.shelf import Shelf
from tfzip.bench.devices.vendor_bench import VendorBench
from tfzip.bench.native.library import library_version
from tfzip.bench.native.vendor import vendor_binary
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.errors import OptionError

LINK_TIMEOUT_S = 30.0
VENDOR = "benchmark_model"


@dataclass(frozen=True)
class LinkedDevice(Device):
    """A machine behind a link.

    Attributes:
        cores: `"all"`, `"little"`, `"mid"`, `"big"`, or numbers such as `"4-7"`. Defaults to `"all"`.
        fp16: Whether XNNPACK may compute float32 in half precision. Defaults to False.
        runner: `"native"`; `"benchmark_model"`, LiteRT's own, which gives no samples and no outputs; on
            boards also `"bundle"`, with a C library of its own where the board's is older than 2.34, and
            `"agent"`, in Python with NumPy and ai-edge-litert or tflite-runtime. Defaults to `"native"`.
        runner_binary: Path of benchmark_model for the machine; None for the one that `tfzip devices setup`
            has fetched. Defaults to None.
    """

    cores: str = field(default="all", kw_only=True)
    fp16: bool = field(default=False, kw_only=True)
    runner: str = field(default="native", kw_only=True)
    runner_binary: str | None = field(default=None, kw_only=True)

    runners: ClassVar[tuple[str, ...]]
    measures_energy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.runner not in self.runners:
            raise OptionError(f"runner is one of {', '.join(self.runners)}. Received: {self.runner!r}.")

    @abstractmethod
    def link(self) -> Link:
        """Returns the way to the machine.

        Raises:
            TfzipError: It is not there, or nothing here reaches it.
        """

    @abstractmethod
    def system(self, state: Preflight) -> str:
        """Returns what a program has to be built for, such as `"linux-aarch64"`.

        Raises:
            DeviceError: For a processor that the runner is not built for.
        """

    @abstractmethod
    def program(self, shelf: Shelf, state: Preflight, options: Mapping[str, Any]) -> Program:
        """Puts the native runner, or what stands in for it, on the machine."""

    def environment(self, plan: BenchPlan) -> Mapping[str, Any]:
        """Describes the machine: chip, system, cores, governor, battery, thermal status, screen."""
        self._check(plan)
        state = preflight(self.link())
        runs, version = self.runtime(state)
        facts = {"runtime": runs, "runtime_version": version, "runner": self.runner}
        return {**describe_machine(), **state.facts, **facts}

    def runtime(self, state: Preflight) -> tuple[str, str]:
        """Returns the runtime and its version, as far as they are known before it runs."""
        if self.runner == VENDOR:
            digest = sha256_of(vendor_binary(self.system(state), self.runner_binary))
            return VENDOR, f"sha256 {digest[:12]}"
        return ("litert", library_version()) if self.runner != "agent" else ("unknown", "unknown")

    def measure(
        self, workloads: Sequence[Workload], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement]:
        """Pushes what is missing, and measures in turns."""
        self._check(plan)
        link = self.link()
        state = preflight(link)
        return self.bench(link, state).measure(workloads, plan, progress)

    def bench(
        self, link: Link, state: Preflight, settle: Callable[[], None] | None = None
    ) -> RemoteBench | VendorBench:
        """Returns the machine with the runner on it."""
        shelf, mask = Shelf(link, self.folder_there(link)), state.mask(self.cores)
        if self.runner == VENDOR:
            binary = shelf.put(vendor_binary(self.system(state), self.runner_binary), program=True)
            return VendorBench(link, shelf, binary, mask, settle)
        program = self.program(shelf, state, {"fp16": self.fp16, "cpus": mask})
        return RemoteBench(link, shelf, program, settle)

    def _check(self, plan: BenchPlan) -> None:
        """Raises `OptionError` for what the vendor's tool cannot tell."""
        if self.runner == VENDOR and (plan.energy or plan.deadline_ms is not None):
            asked, why = (
                ("--energy", "says when it runs") if plan.energy else ("--deadline-ms", "times each run")
            )
            raise OptionError(f"{asked} needs --runner native: {VENDOR} never {why}.")

    @abstractmethod
    def folder_there(self, link: Link) -> str:
        """Returns the folder on the machine."""


def preflight(link: Link) -> Preflight:
    """Returns the state of a machine.

    Raises:
        DeviceError: It does not answer.
    """
    return parse_preflight(link.check(SCRIPT, LINK_TIMEOUT_S))
