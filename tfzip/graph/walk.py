"""Layers and their paths: what `layers=` means everywhere in tfzip."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import keras

from tfzip.errors import ModelError, OptionError, did_you_mean
from tfzip.graph.keras_nodes import is_composite, sublayers

LayerSelection = None | str | Sequence[str] | Callable[[str, keras.Layer], bool]


@dataclass(frozen=True)
class WalkedLayer:
    """A leaf layer and where it stands in its model.

    Attributes:
        path: Names from the top down, joined by `/`, without the name of the model itself: `stem/conv`.
        layer: The layer.
    """

    path: str
    layer: keras.Layer


def walk(model: keras.Model) -> list[WalkedLayer]:
    """Returns every leaf layer of a model once, in the order in which the model holds them.

    Nested models and user layers that own layers are entered. Stock layers (`Bidirectional`,
    `MultiHeadAttention`, ...) are leaves, also where they own layers. Weights that a user layer owns beside
    its sublayers belong to no leaf. A layer that is shared appears at the first place that holds it; equal
    names side by side get `_1`, `_2`, ... Input layers are left out.

    Args:
        model: A built Functional, Sequential or subclassed model.

    Returns:
        The leaves with unique paths.

    Raises:
        ModelError: The model is not built.
    """
    check_built(model)
    return [WalkedLayer(path, layer) for path, layer in layer_paths(model) if not is_composite(layer)]


def layer_paths(model: keras.Layer) -> Iterator[tuple[str, keras.Layer]]:
    """Yields `(path, layer)` for every layer below a model, composites before what they own."""
    yield from _descend("", model, {id(model)})


def select_layers(model: keras.Model, layers: LayerSelection = None) -> list[WalkedLayer]:
    """Returns the leaf layers that `layers=` names.

    Args:
        model: A built model.
        layers: `None` for all; a glob pattern on paths in which `*` also matches `/` (`"block1/*"`); several
            patterns, of which any may match; or a predicate `(path, layer) -> bool`. Defaults to `None`.

    Returns:
        The matching part of `walk(model)`, in its order.

    Raises:
        ModelError: The model is not built.
        OptionError: A pattern or the predicate matches no layer, or `layers` is of another kind.
    """
    walked = walk(model)
    if layers is None:
        return walked
    if callable(layers) and not isinstance(layers, keras.Layer):
        try:
            chosen = [item for item in walked if layers(item.path, item.layer)]
        except TypeError as error:
            raise OptionError(
                f"layers= is called with (path, layer), which raised TypeError: {error}."
            ) from error
        if not chosen:
            raise OptionError(f"layers= selects none of the {len(walked)} layers of model {model.name!r}.")
        return chosen
    patterns = _patterns(layers)
    for pattern in patterns:
        if not any(fnmatchcase(item.path, pattern) for item in walked):
            raise OptionError(
                f"layers={pattern!r} matches no layer of model {model.name!r}."
                f"{did_you_mean(pattern, _spellings(walked))} tfzip.graph.walk(model) lists the paths."
            )
    return [item for item in walked if any(fnmatchcase(item.path, pattern) for pattern in patterns)]


def check_built(model: Any) -> None:
    """Raises `ModelError` unless `model` is a built Keras 3 model."""
    if not isinstance(model, keras.Model):
        raise ModelError(
            f"A Keras 3 model was expected. Received: {type(model).__module__}.{type(model).__qualname__}."
            " Convert a tf_keras model with tfzip.legacy.from_tf_keras."
        )
    if not model.built:
        raise ModelError(
            f"Model {model.name!r} is not built, so its layers have no weights yet."
            " Call it on one batch first, or give it a keras.Input."
        )


def _descend(scope: str, owner: keras.Layer, seen: set[int]) -> Iterator[tuple[str, keras.Layer]]:
    taken: set[str] = set()
    for layer in sublayers(owner):
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        name = unique_name(layer.name, taken)
        yield scope + name, layer
        if is_composite(layer):
            yield from _descend(f"{scope}{name}/", layer, seen)


def unique_name(name: str, taken: set[str]) -> str:
    """Returns `name`, or `name_1`, `name_2`, ... if it is taken, and adds it to `taken`."""
    candidate, count = name, 0
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    taken.add(candidate)
    return candidate


def _patterns(layers: Any) -> list[str]:
    patterns = [layers] if isinstance(layers, str) else list(layers) if isinstance(layers, Sequence) else []
    if not patterns or not all(isinstance(pattern, str) for pattern in patterns):
        raise OptionError(
            "layers= takes None, a glob pattern, a sequence of patterns, or a predicate"
            f" (path, layer) -> bool. Received: {layers!r}."
        )
    return patterns


def _spellings(walked: list[WalkedLayer]) -> list[str]:
    scopes = {item.path.rsplit("/", 1)[0] + "/*" for item in walked if "/" in item.path}
    return [item.path for item in walked] + sorted(scopes)
