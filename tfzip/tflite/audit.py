"""What in a file did not follow its scheme or costs speed: Flex, float islands, float weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfzip.artifact import Finding
from tfzip.schemes import Scheme, get_scheme
from tfzip.tflite.bias import WrongBias, wrong_biases
from tfzip.tflite.file_graph import BITS_OF, FileGraph, Operator, Subgraph, Tensor
from tfzip.tflite.loops import runs_of_subgraphs
from tfzip.tflite.macs import macs_of
from tfzip.tflite.naming import layer_of_operator
from tfzip.tflite.unpacking import without_densify
from tfzip.units import format_bytes, format_count

_BORDER = {"QUANTIZE", "DEQUANTIZE"}
_CALLS = ("BodySubgraphIndex", "CondSubgraphIndex", "ThenSubgraphIndex", "ElseSubgraphIndex", "Subgraph")
_SMALL_BYTES = 512
_HUGE_STEP = 1e6
_FLEX = "needs TensorFlow's own kernels (the Flex delegate), which LiteRT does not contain"
_CUSTOM = "is not builtin; every program that runs the file has to register a kernel for it"


@dataclass(frozen=True)
class _Place:
    """An operation, its subgraph, the layer or tensor it is named after, and its runs in one inference."""

    subgraph: Subgraph
    operator: Operator
    layer: str
    runs: int

    @property
    def touches_float(self) -> bool:
        """Whether it computes on float values, so that constants do not count."""
        return self.operator.name not in _BORDER and any(
            tensor.is_float and not tensor.is_constant for tensor in self.tensors()
        )

    def tensors(self) -> tuple[Tensor, ...]:
        """Its inputs and outputs."""
        return self.subgraph.tensors_of(self.operator.inputs + self.operator.outputs)


def audit(graph: FileGraph, scheme: Scheme | str, layer_paths: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Lists what in a file did not follow the scheme it was exported with.

    Float islands are operations between integer ones that compute on floats: each costs its own time and a
    conversion at each border. They are grouped by layer and by being connected.

    Args:
        graph: From `read`.
        scheme: What the file was meant to be.
        layer_paths: Paths of the model's layers. Defaults to none: findings then name tensors.

    Returns:
        Findings, in the order of execution within each kind.
    """
    scheme, graph = get_scheme(scheme), without_densify(graph)
    runs = runs_of_subgraphs(graph)
    subgraphs = [
        [
            _place(graph, subgraph, operator, layer_paths=layer_paths, runs=times)
            for operator in subgraph.operators
        ]
        for subgraph, times in zip(graph.subgraphs, runs, strict=True)
    ]
    everywhere = [place for places in subgraphs for place in places]
    findings = [_foreign(place) for place in everywhere if place.operator.is_custom]
    in_islands: set[int] = set()
    if scheme.activations.kind == "int":
        borders = {id(subgraph): _borders(subgraph) for subgraph in graph.subgraphs}
        for island in _islands(subgraphs):
            in_islands |= {id(place) for place in island}
            findings.append(_island(island, borders[id(island[0].subgraph)]))
        findings += [_huge_step(place) for place in everywhere if _step(place) > _HUGE_STEP]
        findings += [_wrong_bias(graph, wrong, layer_paths) for wrong in wrong_biases(graph)]
    if scheme.weights.bits < 32:
        outside = [place for place in everywhere if id(place) not in in_islands]
        findings += _wide_weights(outside, scheme)
    return tuple(findings)


def _place(
    graph: FileGraph, subgraph: Subgraph, operator: Operator, *, layer_paths: Sequence[str], runs: int
) -> _Place:
    layer = layer_of_operator(graph, subgraph, operator, layer_paths=layer_paths)
    names = [tensor.name for tensor in subgraph.tensors_of(operator.outputs)]
    return _Place(subgraph, operator, layer or next(iter(names), f"operation {operator.index}"), runs)


def _foreign(place: _Place) -> Finding:
    is_flex = place.operator.is_flex
    return Finding(
        kind="flex_op" if is_flex else "custom_op",
        op=place.operator.name,
        layer=place.layer,
        cost=_FLEX if is_flex else _CUSTOM,
    )


def _step(place: _Place) -> float:
    """Returns the largest step of the integer tensors that an operation computes."""
    outputs = place.subgraph.tensors_of(place.operator.outputs)
    return max((scale for tensor in outputs for scale in tensor.scales), default=0.0)


def _huge_step(place: _Place) -> Finding:
    cost = f"one step of its result is {_step(place):.3g}, which leaves nothing of ordinary values"
    return Finding("huge_step", place.operator.name, place.layer, cost)


def _wrong_bias(graph: FileGraph, wrong: WrongBias, layer_paths: Sequence[str]) -> Finding:
    place = _place(graph, wrong.subgraph, wrong.operator, layer_paths=layer_paths, runs=1)
    cost = f"its bias counts {wrong.factor:.3g} times what it should"
    return Finding("wrong_bias", wrong.operator.name, place.layer, cost)


def _islands(subgraphs: Sequence[Sequence[_Place]]) -> list[list[_Place]]:
    """Returns the connected float operations of each layer; a loop or branch brings its bodies along."""
    inside = _called(subgraphs)
    islands: list[list[_Place]] = []
    for number, places in enumerate(subgraphs):
        if number not in inside:
            islands += _connected([place for place in places if place.touches_float])
    for island in islands:
        bodies = {index for place in island for index in _callees(place.operator)} & inside
        island += [place for index in sorted(bodies) for place in subgraphs[index]]
        inside -= bodies
    return islands


def _called(subgraphs: Sequence[Sequence[_Place]]) -> set[int]:
    """Returns the subgraphs that float operations call, one level deep."""
    calls = (_callees(p.operator) for places in subgraphs for p in places if p.touches_float)
    return {index for call in calls for index in call if 0 < index < len(subgraphs)}


def _callees(operator: Operator) -> set[int]:
    return {operator.options[name] for name in _CALLS if name in operator.options}


def _connected(places: Sequence[_Place]) -> list[list[_Place]]:
    """Joins operations that pass values to each other within one layer, by union-find."""
    parent = list(range(len(places)))
    writer: dict[int, int] = {}

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for number, place in enumerate(places):
        for index in place.operator.inputs:
            source = writer.get(index)
            if source is not None and places[source].layer == place.layer:
                parent[root(number)] = root(source)
        writer |= dict.fromkeys(place.operator.outputs, number)
    islands: dict[int, list[_Place]] = {}
    for number, place in enumerate(places):
        islands.setdefault(root(number), []).append(place)
    return list(islands.values())


def _island(island: Sequence[_Place], borders: Mapping[int, set[int]]) -> Finding:
    names = list(dict.fromkeys(place.operator.name for place in island))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    macs = sum(place.runs * macs_of(place.subgraph, place.operator) for place in island)
    moved = sum(place.runs * tensor.dense_bytes for place in island for tensor in place.tensors())
    own = {t.index for place in island if place.subgraph is island[0].subgraph for t in place.tensors()}
    added = {border for index in own for border in borders.get(index, ())}
    count = f"{len(island)} operations" if len(island) > 1 else "1 operation"
    return Finding(
        kind="float_island",
        op=", ".join(names[:3]) + more,
        layer=island[0].layer,
        cost=f"{count} in float, {format_count(macs)} MACs, {format_bytes(moved)} moved,"
        f" {len(added)} QUANTIZE/DEQUANTIZE added",
    )


def _borders(subgraph: Subgraph) -> dict[int, set[int]]:
    """Returns the conversions of each value, by the number of the tensor on its float side."""
    found: dict[int, set[int]] = {}
    for operator in subgraph.operators:
        constant = any(tensor.is_constant for tensor in subgraph.tensors_of(operator.inputs))
        if operator.name in _BORDER and not constant:
            for index in operator.outputs if operator.name == "DEQUANTIZE" else operator.inputs:
                found.setdefault(index, set()).add(operator.index)
    return found


def _wide_weights(places: Sequence[_Place], scheme: Scheme) -> list[Finding]:
    """Returns weights of more bits than their layer's, each once, named after the first that uses it."""
    found: dict[int, tuple[_Place, Tensor]] = {}
    for place in places:
        bits = scheme.weights_of(place.layer).bits
        for position, tensor in enumerate(place.subgraph.tensors_of(place.operator.inputs)):
            is_bias = position == 2 and len(tensor.shape) == 1
            if _is_wider(tensor, bits, macs_of(place.subgraph, place.operator) > 0) and not is_bias:
                found.setdefault(tensor.data_offset, (place, tensor))
    return [_wide(place, tensor, scheme.weights_of(place.layer).bits) for place, tensor in found.values()]


def _is_wider(tensor: Tensor, bits: int, is_weighted: bool) -> bool:
    is_big = tensor.size_bytes >= _SMALL_BYTES or (is_weighted and not tensor.is_float)
    is_weight = tensor.is_float or tensor.dtype in ("int8", "uint8")
    return tensor.is_constant and is_big and is_weight and BITS_OF[tensor.dtype] > bits


def _wide(place: _Place, tensor: Tensor, bits: int) -> Finding:
    saved = tensor.size_bytes * (BITS_OF[tensor.dtype] - bits) // BITS_OF[tensor.dtype]
    return Finding(
        kind="unquantized_weight" if tensor.is_float else "kept_wider",
        op=place.operator.name,
        layer=place.layer,
        cost=f"{format_bytes(tensor.size_bytes)} in {tensor.dtype},"
        f" {format_bytes(saved)} more than in {bits} bits",
    )
