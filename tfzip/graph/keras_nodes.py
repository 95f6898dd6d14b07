"""Keras' own records of layers and calls: the only file that reads attributes with a leading underscore.

Checked against Keras 3.15. When Keras renames a record, this file changes and no other.
"""

import keras


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Returns the layers held directly by a layer: in attributes, lists, tuples, dicts or its graph.

    A layer held twice appears once. Input layers, which compute nothing, are left out.
    """
    held = layer._flatten_layers(include_self=False, recursive=False)
    return [child for child in held if not isinstance(child, keras.layers.InputLayer)]


def is_stock(layer: keras.Layer) -> bool:
    """Whether Keras itself wrote the layer's `call`, so that the layer's type says what it computes."""
    module: str = type(layer).call.__module__
    return module.split(".")[0] == "keras"


def is_composite(layer: keras.Layer) -> bool:
    """Whether a layer is a model, or a user's layer that owns layers: something to look into.

    Stock layers that own layers (`Bidirectional`, `TimeDistributed`, `MultiHeadAttention`, `RNN`) are not.
    """
    return isinstance(layer, keras.Model) or (not is_stock(layer) and bool(sublayers(layer)))
