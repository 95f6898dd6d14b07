"""The part of a graph that XNNPACK's sparse inference could take, from its first convolution to its end."""

from collections.abc import Iterator
from dataclasses import dataclass

from tfzip.tflite.file_graph import Operator
from tfzip.tflite.sparse_rule import ENDS, Objection, SparseView, objection

_NO_END = (
    "nothing averages its result over height and width",
    "end it with GlobalAveragePooling2D(keepdims=True)",
)


@dataclass(frozen=True)
class Region:
    """Operations that pass values on from a first convolution to an end.

    Attributes:
        operators: In the order of execution, the first convolution first.
        has_end: Whether the last one is an end that XNNPACK knows, a MEAN or DEPTH_TO_SPACE.
    """

    operators: tuple[Operator, ...]
    has_end: bool


def region_of(view: SparseView) -> Region | None:
    """Returns the widest region of the main graph, or None when there is no convolution.

    It begins at the first convolution that an image of three channels goes into, else at the first of all; it
    ends at the last MEAN or DEPTH_TO_SPACE behind that, else at the last operation that makes an image.
    """
    first = _first(view)
    if first is None:
        return None
    behind, reached = [first], set(first.outputs)
    for operator in view.flow:
        if operator.index > first.index and reached.intersection(view.inputs(operator)):
            behind.append(operator)
            reached.update(operator.outputs)
    ends = [one for one in behind if one.name in ENDS and _is_image(view, one.inputs[0])]
    images = [one for one in behind if one.outputs and _is_image(view, one.outputs[0])]
    last = (ends or images or behind)[-1]
    kept, needed = [], set(last.outputs)
    for operator in reversed([one for one in behind if one.index <= last.index]):
        if needed.intersection(operator.outputs):
            kept.append(operator)
            needed.update(view.inputs(operator))
    return Region(tuple(reversed(kept)), bool(ends))


def _first(view: SparseView) -> Operator | None:
    convolutions = [one for one in view.flow if one.name == "CONV_2D" and view.constant(one, 1) is not None]
    colours = [one for one in convolutions if view.tensor(one.inputs[0]).shape[-1:] == (3,)]
    return next(iter(colours or convolutions), None)


def _is_image(view: SparseView, index: int) -> bool:
    return index >= 0 and len(view.tensor(index).shape) == 4


def objections(view: SparseView, region: Region) -> Iterator[tuple[Operator, Objection]]:
    """Yields what keeps a region from being taken, with the operation where it is."""
    inside = {operator.index for operator in region.operators}
    made = {index for operator in region.operators for index in operator.outputs}
    for operator in region.operators:
        is_first, is_last = operator is region.operators[0], operator is region.operators[-1]
        found = objection(view, operator, is_first=is_first)
        if found is not None:
            yield operator, found
        if not is_first and not made.issuperset(view.inputs(operator)):
            yield operator, ("it reads a value from outside the subgraph", "keep branches inside the network")
        leaves = _leaves(view, operator, inside)
        if leaves and not is_last:
            yield operator, (f"{leaves} reads its result outside the subgraph", "leave out that branch")
    if not region.has_end:
        yield region.operators[-1], _NO_END


def _leaves(view: SparseView, operator: Operator, inside: set[int]) -> str:
    """Returns what reads the result of an operation outside a region; empty when nothing does."""
    if set(operator.outputs) & set(view.subgraph.outputs):
        return "the caller"
    readers = (
        one.name
        for one in view.flow
        if one.index not in inside and set(operator.outputs).intersection(view.inputs(one))
    )
    return next(readers, "")
