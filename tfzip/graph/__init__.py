"""What a Keras model is: the only place that walks, flattens or rebuilds one."""

from tfzip.graph.walk import WalkedLayer, select_layers, walk

__all__ = ["WalkedLayer", "select_layers", "walk"]
