"""What a Keras model is: the only place that walks, flattens or rebuilds one."""

from tfzip.graph.flat_graph import FlatGraph
from tfzip.graph.flatten import flatten
from tfzip.graph.profile import LayerProfile, ModelProfile, profile
from tfzip.graph.rebuild import rebuild
from tfzip.graph.walk import WalkedLayer, select_layers, walk

__all__ = [
    "FlatGraph",
    "LayerProfile",
    "ModelProfile",
    "WalkedLayer",
    "flatten",
    "profile",
    "rebuild",
    "select_layers",
    "walk",
]
