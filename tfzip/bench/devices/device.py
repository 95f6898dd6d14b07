"""What every device is: a machine that measures files, found by its name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from tfzip.bench.agreement import Agreement
from tfzip.bench.energy import EnergyReport
from tfzip.bench.native.instructions import Counted
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.bench.statistics import Samples
from tfzip.bench.worker import WarmUp
from tfzip.errors import OptionError
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


@dataclass(frozen=True)
class Memory:
    """What a file needs in a process of its own.

    Attributes:
        peak_bytes: Peak of the resident memory over the baseline.
        pss_bytes: Resident memory after the runs, shared pages divided among those who share them
            (proportional set size); None where the system does not tell.
        heap_bytes: What the allocator has given out for the file, the arena of tensors with it; None where it
            does not tell.
    """

    peak_bytes: int
    pss_bytes: int | None = None
    heap_bytes: int | None = None


@dataclass
class Measurement:
    """What was measured of one workload.

    Attributes:
        memory: Of a process of its own.
        openings: One for each launch.
        warm_ups: One for each launch.
        samples: Milliseconds, nested as launches of blocks of runs; empty where time means nothing.
        flaws: Why a launch does not count, by its number and in the order of the samples; empty if it does.
        counted: Instructions, where they are counted.
        remarks: What happened meanwhile that makes the figures doubtful.
        notes: What a reader should know besides, in sentences.
        facts: What the runs themselves told of the environment, by its names.
        energy: Of an inference, where the plan asks for it.
        agreement: How the outputs differ from those of the host; None on the host itself.
    """

    memory: Memory
    openings: list[Opening] = field(default_factory=list)
    warm_ups: list[WarmUp] = field(default_factory=list)
    samples: list[list[Samples]] = field(default_factory=list)
    flaws: dict[int, str] = field(default_factory=dict)
    counted: Counted | None = None
    agreement: Agreement | None = None
    energy: EnergyReport | None = None
    remarks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def kept(self) -> list[list[Samples]]:
        """Returns the samples of launches without a flaw; of all where none is left."""
        good = [one for one, flaw in zip(self.samples, self.flaws.values(), strict=True) if not flaw]
        return good or self.samples

    def paired(self, baseline: "Measurement") -> tuple[list[list[Samples]], list[list[Samples]]]:
        """Returns the baseline's samples and these, of launches in which both took turns without a flaw.

        Where fewer than two are left, those of all launches in which they took turns.
        """
        both = [number for number in baseline.flaws if number in self.flaws]
        good = [number for number in both if not baseline.flaws[number] and not self.flaws[number]]
        chosen = good if len(good) > 1 else both
        sides = [dict(zip(one.flaws, one.samples, strict=True)) for one in (baseline, self)]
        first, second = ([side[number] for number in chosen] for side in sides)
        return first, second


@dataclass(frozen=True)
class Found:
    """A device that could be used from here.

    Attributes:
        spec: What `device=` and `--device` take.
        state: `"ready"`, or why it is not.
        what: What it is, or the remedy.
    """

    spec: str
    state: str
    what: str


@dataclass(frozen=True)
class Device(ABC):
    """A machine that runs files.

    Attributes:
        measures_energy: Whether its energy can be measured, if it has a meter.
        tells_time: Whether it measures latencies; others count instructions.
        needs_quiet_here: Whether it times what this machine computes, so that nothing else may run here.
    """

    measures_energy: ClassVar[bool] = False
    tells_time: ClassVar[bool] = True
    needs_quiet_here: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def found_here(cls) -> list[Found]:
        """Returns what of this kind can be reached from this machine, and what is missing."""

    @abstractmethod
    def environment(self, plan: BenchPlan) -> Mapping[str, Any]:
        """Returns what a reader needs in order to judge the figures, as plain values.

        The names are those under `environment` in `tfzip/bench/schema.json`, None for what cannot be read,
        and any others that the device knows.

        Raises:
            TfzipError: The device or the runtime of the plan is not there.
        """

    @abstractmethod
    def measure(
        self, workloads: Sequence[Workload], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement]:
        """Measures workloads.

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


class Ticker:
    """Counts steps for a progress.

    Args:
        progress: What is called before each step, or None.
        total: Steps in all, as far as they are foreseen.
    """

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def __call__(self, what: str) -> None:
        """Tells of the next step."""
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total, what)
        self._done += 1


devices: Registry[Device] = Registry("Device")


def device_with(spec: str, fields_given: Mapping[str, Any]) -> Device:
    """Returns a device from its name with some fields set; those that are None stay as they are.

    Raises:
        UnknownNameError: The name is not registered.
        OptionError: The device has no such field, or its value is out of range.
    """
    found = find_device(spec)
    given = {name: value for name, value in fields_given.items() if value is not None}
    return devices.get({**devices.config_of(found), **given}) if given else found


def spec_of(config: Mapping[str, Any]) -> str:
    """Returns the name of a device with its first field, as `--device` takes it, such as `"ssh:pi@board"`.

    Args:
        config: Name and fields of a device, as reports have them; the name may be one of another version.
    """
    name = str(config["name"])
    known = fields(devices.type_of(name)) if name in devices else ()
    first = next((config.get(one.name) for one in known if not one.kw_only), None)
    return f"{name}:{first}" if first and isinstance(first, str) else name


def find_device(spec: str | Mapping[str, Any] | Device) -> Device:
    """Returns a device from its name, `name:value` for its first field, a mapping, or as it is.

    Raises:
        UnknownNameError: The name is not registered.
        OptionError: The device has no such field, or its value is out of range.
    """
    if not isinstance(spec, str) or ":" not in spec:
        return devices.get(spec)
    name, _, value = spec.partition(":")
    first = next((field for field in fields(devices.type_of(name)) if not field.kw_only), None)
    if first is None or first.type not in ("str", str):
        raise OptionError(f"Device {name!r} takes nothing after a colon. Received: {spec!r}.")
    return devices.get({"name": name, first.name: value})
