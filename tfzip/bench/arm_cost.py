"""What an inference costs on an ARM core, in instructions."""

from dataclasses import asdict, dataclass

from tfzip.artifact import sha256_of
from tfzip.bench.agreement import Agreement
from tfzip.bench.native.instructions import Counted, Instructions, OperationInstructions
from tfzip.bench.plan import Workload
from tfzip.units import format_bytes, format_count


@dataclass(frozen=True)
class InstructionReport:
    """The instructions of one inference of one file, counted under emulation.

    A count is no latency: cores run several instructions at a time and wait for memory. It is exact, so it
    tells two files, two schemes or two releases apart where a latency would drown in noise.

    Attributes:
        file: Path of the file.
        sha256: Digest of the file.
        size_bytes: Size of the file.
        core: The core that was emulated.
        instructions: Of the median inference, by class.
        spread: (most - least) / least over the inferences.
        operations: By operation, in the order in which they ran.
        covered: Share of the instructions that the operations account for; the rest is LiteRT's own, between
            them.
        heap_bytes: What opening and running the file adds to the C library's heap: the packed weights and the
            arena.
        agreement: How the outputs differ from those of this machine.
    """

    file: str
    sha256: str
    size_bytes: int
    core: str
    instructions: Instructions
    spread: float
    operations: tuple[OperationInstructions, ...]
    covered: float
    heap_bytes: int
    agreement: Agreement

    def __str__(self) -> str:
        same = "the same outputs" if self.agreement.identical else "outputs"
        off = "" if self.agreement.identical else f" off by {self.agreement.largest:.1g} at most"
        return (
            f"{self.file} on {self.core}: {format_count(self.instructions.total)} instructions per inference"
            f" ({self.classes()}), {format_bytes(self.heap_bytes)} of heap, {same} as here{off}"
        )

    def classes(self) -> str:
        """Returns the classes with their shares, largest first, those under a hundredth left out."""
        counts = {name: n for name, n in asdict(self.instructions).items() if name not in ("total", "macs")}
        shares = {name: count / self.instructions.total for name, count in counts.items()}
        largest = sorted(shares, key=lambda name: -shares[name])
        return ", ".join(f"{name} {shares[name]:.0%}" for name in largest if shares[name] >= 0.01)


def instruction_report(
    workload: Workload, core: str, counted: Counted, agreed: Agreement, heap_bytes: int
) -> InstructionReport:
    """Returns the report of a workload whose instructions were counted."""
    runs = sorted(counted.runs, key=lambda run: run.total)
    median = runs[len(runs) // 2]
    return InstructionReport(
        file=str(workload.path),
        sha256=sha256_of(workload.path),
        size_bytes=workload.path.stat().st_size,
        core=core,
        instructions=median,
        spread=(runs[-1].total - runs[0].total) / runs[0].total,
        operations=counted.operations,
        covered=sum(one.instructions.total for one in counted.operations) / median.total,
        heap_bytes=heap_bytes,
        agreement=agreed,
    )
