"""From a traced graph and a choice of channels to the smaller model."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.graph.channel_trace import ChannelTrace, Edits, key_of
from tfzip.graph.flat_graph import FlatNode
from tfzip.graph.keras_nodes import full_precision
from tfzip.graph.positions import Kept
from tfzip.graph.rebuild import Rebuild, cloned


def shrink(trace: ChannelTrace, kept: Kept) -> keras.Model:
    """Returns a flat model without the channels that do not stay.

    Args:
        trace: What is known of the model's channels.
        kept: Which of them stay.

    Returns:
        A Functional model of the same layers, narrower, with their weights. It is not compiled.

    Raises:
        ModelError: A layer cannot be made again from its config.
    """
    return _Shrink(trace, kept).run()


class _Shrink(Rebuild):
    """A rebuild in which configs, arguments and weights change."""

    def __init__(self, trace: ChannelTrace, kept: Kept) -> None:
        super().__init__(trace.graph, None, share_weights=False)
        self.trace = trace
        self.kept = kept

    def key(self, node: FlatNode) -> int:
        return key_of(node)

    def edits(self, node: FlatNode) -> Edits:
        return self.trace.edits.get(key_of(node), Edits())

    def configured(self, node: FlatNode) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Returns what changes the config of a layer or an operation."""

        def change(config: dict[str, Any]) -> dict[str, Any]:
            for edit in self.edits(node).config:
                config = edit(config, self.kept)
            changed: dict[str, Any] = _without_arrays(config)
            return changed

        return change

    def make_layer(self, node: FlatNode, name: str) -> keras.Layer:
        return cloned(node.operation, name, None, node.path, self.configured(node))

    def make_operation(self, node: FlatNode, name: str) -> keras.Operation:
        if not self.edits(node).config:
            return super().make_operation(node, name)
        old = node.operation
        return type(old).from_config(self.configured(node)(old.get_config()) | {"name": name})

    def call(self, operation: Any, node: FlatNode, args: Any, kwargs: Any) -> Any:
        edits = self.edits(node)
        for edit in edits.arguments:
            args, kwargs = edit(args, kwargs, self.kept)
        if edits.around is not None:
            if not args:  # its input is given by name
                first = next(iter(kwargs))
                args, kwargs = (kwargs[first],), {k: v for k, v in kwargs.items() if k != first}
            return edits.around(lambda x: operation(x, *args[1:], **kwargs), args[0], self.kept)
        return operation(*args, **kwargs)

    def copy_state(self, old: keras.Layer, new: keras.Layer) -> None:
        values = [self.cut(source) for source in old.variables]
        before = (np.asarray(full_precision(source)) for source in old.variables)
        if all(np.array_equal(*pair) for pair in zip(before, values, strict=True)):
            super().copy_state(old, new)  # derived state, such as that of Normalization, follows
            return
        for target, cut in zip(new.variables, values, strict=True):
            target.assign(cut)

    def cut(self, variable: Any) -> NDArray[Any]:
        """Returns what is left of a weight."""
        values = np.asarray(full_precision(variable))
        for axis in range(values.ndim):
            known = self.trace.weights.get((id(variable), axis))
            if known is None or known.labels is None:
                continue
            stays = self.kept.mask(known.labels)
            places = [np.flatnonzero(stays), np.flatnonzero(~stays)[: None if known.moves_behind else 0]]
            values = np.take(values, np.concatenate(places), axis)
        return values


def _without_arrays(config: Any) -> Any:
    """Returns a config whose initializers hold no arrays of the old shape; weights are written anyway."""
    if isinstance(config, list):
        return [_without_arrays(one) for one in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "Constant" and not np.isscalar(config["config"].get("value", 0)):
        return config | {"config": config["config"] | {"value": 0.0}}
    return {name: _without_arrays(value) for name, value in config.items()}
