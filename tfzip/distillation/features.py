"""Features of a model: which layers' outputs are compared, and how they are caught while the model runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import keras

from tfzip.distillation.stages import Positions, positions_of, stage_ends
from tfzip.errors import OptionError, did_you_mean
from tfzip.graph.flat_graph import FlatGraph
from tfzip.graph.keras_nodes import replace_call

AUTO = "auto"


@dataclass(frozen=True)
class Feature:
    """The output of a layer.

    Attributes:
        path: Of the layer.
        layer: The layer; where it is called several times, its last output counts.
        shape: Of its output, (batch, ...).
    """

    path: str
    layer: keras.Layer
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class FeaturePair:
    """Features that are compared.

    Attributes:
        teacher: Of the teacher.
        student: Of the student.
    """

    teacher: Feature
    student: Feature


def pair_features(teacher: FlatGraph, student: FlatGraph, layers: Any = AUTO) -> list[FeaturePair]:
    """Returns which features of a teacher and a student are compared.

    Args:
        teacher: Its flat graph.
        student: Its flat graph.
        layers: `"auto"`: the end of the stage of each resolution that both have, or what the last layer reads
            where nothing has positions. A mapping from paths or globs of the student to those of the teacher.
            A glob or several: for both.

    Raises:
        OptionError: A name matches nothing, or matches not as many layers of one as of the other.
    """
    if isinstance(layers, str) and layers == AUTO:
        return _by_resolution(teacher, student)
    theirs, ours = _features(teacher), _features(student)
    if isinstance(layers, str):
        layers = {layers: layers}
    elif isinstance(layers, Sequence) and all(isinstance(name, str) for name in layers):
        layers = {name: name for name in layers}
    if not isinstance(layers, Mapping):
        raise OptionError(f"layers= of a loss is 'auto', a glob, or a mapping. Received: {layers!r}.")
    if not layers or not all(isinstance(name, str) for both in layers.items() for name in both):
        raise OptionError(
            f"layers= of a loss names at least one layer, each with one of the teacher. Received: {layers!r}."
        )
    pairs = []
    for mine, other in layers.items():
        from_student = _named(ours, mine, f"student {student.name!r}")
        from_teacher = _named(theirs, other, f"teacher {teacher.name!r}")
        if len(from_student) != len(from_teacher):
            raise OptionError(
                f"{mine!r} matches {len(from_student)} layers of the student, {other!r} {len(from_teacher)}"
                " of the teacher. Name as many of both, for example with a mapping from one to the other."
            )
        pairs += [FeaturePair(*pair) for pair in zip(from_teacher, from_student, strict=True)]
    return pairs


@contextmanager
def caught(features: Sequence[Feature]) -> Iterator[dict[str, Any]]:
    """Gives what layers return while their model runs inside, by path."""
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        for feature in features:
            stack.callback(_listen(feature, found))
        yield found


def _listen(feature: Feature, found: dict[str, Any]) -> Any:
    layer = feature.layer
    own, takes_training = layer.call, layer._call_has_training_arg  # noqa: SLF001

    def call(*args: Any, training: Any = None, **kwargs: Any) -> Any:
        output = own(*args, **kwargs, **({"training": training} if takes_training else {}))
        found[feature.path] = output
        return output

    return replace_call(layer, call)


def _features(graph: FlatGraph) -> dict[str, Feature]:
    """Returns the inner layers with one output, in the order of the graph; the last call of each."""
    ends = set(graph.output_ids())
    found: dict[str, Feature] = {}
    for node in graph.nodes:
        if isinstance(node.operation, keras.Layer) and len(node.outputs) == 1 and node.outputs[0] not in ends:
            tensor = graph.tensors[node.outputs[0]]
            if tensor.dtype.startswith(("float", "bfloat")):
                found.pop(node.path, None)
                found[node.path] = Feature(node.path, node.operation, tensor.shape)
    return found


def _by_resolution(teacher: FlatGraph, student: FlatGraph) -> list[FeaturePair]:
    theirs, ours = _features(teacher), _features(student)
    ends = [_stages(*one) for one in ((teacher, theirs), (student, ours))]
    if not set(ends[0]) & set(ends[1]):
        ends = [_lasts(one) for one in (theirs, ours)]
    common = [positions for positions in ends[1] if positions in ends[0]]
    if common:
        return [FeaturePair(ends[0][positions], ends[1][positions]) for positions in common]
    lasts = [list(one.values())[-1:] for one in (theirs, ours)]
    if all(lasts) and len(lasts[0][0].shape) == len(lasts[1][0].shape) == 2:
        return [FeaturePair(lasts[0][0], lasts[1][0])]
    raise OptionError(
        "No layers of teacher and student have the same resolution. Name what is compared:"
        f" layers={{STUDENT: TEACHER}}. Resolutions of the teacher: {_listed(ends[0])}; of the student:"
        f" {_listed(ends[1])}."
    )


def _stages(graph: FlatGraph, features: Mapping[str, Feature]) -> dict[Positions, Feature]:
    """Returns the features at the end of each stage."""
    lasts = {node.path: node.outputs[0] for node in graph.nodes if node.path in features}
    ends = stage_ends(graph, {tensor: path for path, tensor in lasts.items()})
    return {positions: features[path] for positions, path in ends.items()}


def _lasts(features: Mapping[str, Feature]) -> dict[Positions, Feature]:
    """Returns the last feature of each resolution, for models in which nothing ends a stage."""
    sizes = ((positions_of(one.shape), one) for one in features.values())
    return {positions: one for positions, one in sizes if positions is not None}


def _named(features: Mapping[str, Feature], name: str, whose: str) -> list[Feature]:
    if name in features:
        return [features[name]]
    found = [one for path, one in features.items() if fnmatchcase(path, name)]
    if not found:
        raise OptionError(
            f"No inner layer of the {whose} matches {name!r}.{_near(name, features)}"
            " List them with tfzip.flatten(model)."
        )
    return found


def _near(name: str, features: Mapping[str, Feature]) -> str:
    """Returns the nearest path, also by its last part, since people name layers of nested models by it."""
    ends = {path.rsplit("/", 1)[-1]: path for path in features}
    near = name if name in ends else next(iter(get_close_matches(name, ends, n=1)), "")
    whole = did_you_mean(name, features)
    return f" Did you mean {ends[near]!r}?" if near and (near == name or not whole) else whole


def _listed(stages: Mapping[Positions, Feature]) -> str:
    return ", ".join("x".join(map(str, positions)) for positions in stages) or "none"
