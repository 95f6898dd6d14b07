"""What weight sharing has reached, kernel by kernel."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KernelCodes:
    """How a variable shares its weights, or why it does not.

    Attributes:
        path: Layer path and variable name.
        shape: The variable's shape.
        codebooks: How many codebooks it has: one, or one for each output channel.
        values: Different values in its largest codebook, zero included.
        skipped: Why the variable is left out; empty where its weights are shared.
    """

    path: str
    shape: tuple[int, ...]
    codebooks: int = 0
    values: int = 0
    skipped: str = ""


@dataclass(frozen=True)
class ClusteringSummary:
    """The shared weights of a model.

    Attributes:
        kernels: Every kernel whose weights are shared.
        left_out: Every other variable, with the reason.
    """

    kernels: tuple[KernelCodes, ...]
    left_out: tuple[KernelCodes, ...]

    def __str__(self) -> str:
        width = max(len(kernel.path) for kernel in (*self.kernels, *self.left_out))
        lines = [f"{'kernel':{width}}  {'shape':>18}  {'codebooks':>9}  {'values':>6}"]
        lines += [
            f"{kernel.path:{width}}  {_shape(kernel):>18}  {kernel.codebooks:9}  {kernel.values:6}"
            for kernel in self.kernels
        ]
        lines += [
            f"{kernel.path:{width}}  {_shape(kernel):>18}  left out: {kernel.skipped}"
            for kernel in self.left_out
        ]
        return "\n".join(lines)


def _shape(kernel: KernelCodes) -> str:
    return "x".join(map(str, kernel.shape))
