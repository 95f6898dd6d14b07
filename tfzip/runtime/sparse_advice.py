"""Says whether XNNPACK's sparse kernels can run a file, and what keeps them from it."""

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tfzip.errors import OptionError
from tfzip.runtime.reading import read_in, reading_child
from tfzip.sandbox import Sandbox
from tfzip.tflite import FileGraph, read, read_metadata
from tfzip.tflite.file_graph import Operator, Tensor
from tfzip.tflite.layer_list import layers_in
from tfzip.tflite.naming import layer_of_operator
from tfzip.tflite.sparse_kernels import FEWEST_ZEROS
from tfzip.tflite.sparse_region import Region, objections, region_of
from tfzip.tflite.sparse_rule import SparseView
from tfzip.tflite.sparsity import zero_fraction

_ON_X86 = (
    "On x86 processors with AVX, XNNPACK never uses sparse kernels: it takes dense ones to be faster there."
)
_INTEGERS = "int8 and other integer schemes are not covered: their files become smaller, not faster."
_MEASURE = "This is XNNPACK's documented rule, not a measurement: measure on the device with tfzip bench."


@dataclass(frozen=True)
class SparseBlocker:
    """What keeps XNNPACK from running a file with sparse kernels.

    Attributes:
        op: Name of the operation, or empty when it is about the whole file.
        layer: Path of its Keras layer, or its tensor's name.
        why: What is wrong with it.
        remedy: What to do.
    """

    op: str
    layer: str
    why: str
    remedy: str


@dataclass(frozen=True)
class SparseAdvice:
    """Whether XNNPACK's documented rule for sparse inference holds for a file.

    Attributes:
        path: The file.
        applies: Whether nothing blocks.
        ops: The operations of the subgraph, in order: name and layer.
        zeros: Share of zeros over all 1x1 convolutions of the subgraph; more than 2/3 are needed.
        blockers: What keeps it from being taken, in order.
        warnings: What the rule does not cover, which holds for every file.
    """

    path: str
    applies: bool
    ops: tuple[tuple[str, str], ...]
    zeros: float
    blockers: tuple[SparseBlocker, ...]
    warnings: tuple[str, ...] = (_ON_X86, _INTEGERS, _MEASURE)

    def to_json(self) -> str:
        """Returns everything as a JSON object, keys as the fields here."""
        return json.dumps(dataclasses.asdict(self), indent=2, allow_nan=False)

    def __str__(self) -> str:
        lines = [
            f"XNNPACK's sparse inference {'applies' if self.applies else 'does not apply'} to {self.path}"
        ]
        if self.ops:
            (first, begin), (last, end) = self.ops[0], self.ops[-1]
            lines.append(f"Subgraph: {len(self.ops)} operations, {first} {begin} to {last} {end}")
            lines.append(f"Zeros: {100 * self.zeros:.1f} % in 1x1 convolutions, more than 66.7 % are needed")
        for one in self.blockers:
            place = f"{one.op} {one.layer}" if one.op else "the whole"
            lines.append(f"Blocked by {place}: {one.why}. Remedy: {one.remedy}")
        return "\n".join([*lines, *(f"Note: {warning}" for warning in self.warnings)])


def sparse_advice(path: str | os.PathLike[str], *, child: Sandbox | None = None) -> SparseAdvice:
    """Checks on a .tflite whether XNNPACK's sparse inference applies.

    The rule is about the topology, the kernels and how they are stored. The file is read in a child process,
    so that it cannot hurt the caller.

    Args:
        path: The file.
        child: Where to work, for many files in turn. Defaults to a new child.

    Returns:
        The verdict, the operations it is about, and each blocker with the remedy.

    Raises:
        FileFormatError: The file does not exist, is no .tflite, or is damaged.
        OptionError: `path` is no path.

    Example:
        >>> print(tfzip.sparse_advice("model.tflite"))
    """
    if not isinstance(path, str | os.PathLike):
        raise OptionError(
            f"Advice is about a .tflite file. Received: {type(path).__name__}. Export the model first."
        )
    with reading_child(child) as own:
        advice: SparseAdvice = read_in(own, f"{__name__}:advise", os.fspath(path))
    return advice


def advise(path: str) -> SparseAdvice:
    """Checks a file in this process; called in a child."""
    graph, layers = read(path), layers_in(read_metadata(path))
    view = SparseView(graph)
    region = region_of(view)
    if region is None:
        none = SparseBlocker("", "", "the file has no convolution", "only convolutional networks are covered")
        return SparseAdvice(path, applies=False, ops=(), zeros=0.0, blockers=(none,))
    kernels = [kernel for one in region.operators if (kernel := _pointwise(view, one)) is not None]
    total = sum(kernel.num_elements for kernel in kernels)
    zeros = sum(zero_fraction(graph, kernel) * kernel.num_elements for kernel in kernels) / max(1, total)
    blockers = tuple(
        SparseBlocker(one.name, _layer(graph, view, one, layers), why, remedy)
        for one, (why, remedy) in objections(view, region)
    )
    blockers += tuple(_of_all(view, region, kernels, zeros))
    return SparseAdvice(
        path,
        applies=not blockers,
        ops=tuple((one.name, _layer(graph, view, one, layers)) for one in region.operators),
        zeros=zeros,
        blockers=blockers,
    )


def _of_all(
    view: SparseView, region: Region, kernels: Sequence[Tensor], zeros: float
) -> Iterator[SparseBlocker]:
    """Yields what is wrong with the subgraph as a whole."""
    types = sorted(
        {
            view.tensor(index).dtype
            for one in region.operators
            for index in one.outputs
            if not view.tensor(index).is_float
        }
    )
    if types:
        yield SparseBlocker(
            "", "", f"it computes on {', '.join(types)}", "export with scheme='float32' or 'float16'"
        )
    if not kernels:
        yield SparseBlocker("", "", "there is no 1x1 convolution", "only 1x1 convolutions run sparse")
    elif zeros <= FEWEST_ZEROS:
        yield SparseBlocker(
            "",
            "",
            f"{100 * zeros:.1f} % of the weights of 1x1 convolutions are zero, more than 66.7 % are needed",
            "train with tfzip.PruningCallback(0.8)",
        )
    stored = (view.constant(one, 1) for one in region.operators)
    if not any(kernel is not None and kernel.is_sparse for kernel in stored):
        yield SparseBlocker("", "", "no kernel is stored sparse", "export with sparse=True")


def _pointwise(view: SparseView, operator: Operator) -> Tensor | None:
    kernel = view.constant(operator, 1) if operator.name == "CONV_2D" else None
    return kernel if kernel is not None and kernel.shape[1:3] == (1, 1) else None


def _layer(graph: FileGraph, view: SparseView, operator: Operator, layers: Sequence[str]) -> str:
    found = layer_of_operator(graph, view.subgraph, operator, layer_paths=layers)
    return found or next((view.tensor(index).name for index in operator.outputs if index >= 0), "")
