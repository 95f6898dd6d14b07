"""Layers that run other layers step by step: with the kernels of the file, but only results are stored.

The file holds every step. Ranges of the tensors inside are found when training ends.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import ops

from tfzip.graph.keras_nodes import all_layers, full_precision
from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract, whole
from tfzip.quantization.emitters import Value
from tfzip.quantization.weighted import WeightGroup

_LAYERS = ("RNN", "LSTM", "GRU", "SimpleRNN", "Bidirectional", "TimeDistributed")
_CELLS = (keras.layers.LSTMCell, keras.layers.GRUCell, keras.layers.SimpleRNNCell, keras.layers.Dense)


@contract(*_LAYERS, is_complete=False)
def step_by_step(call: Call) -> Sequence[Value]:
    """Matrices of cells and dense layers are rounded; other layers inside run in float."""
    rounded = []
    for group in _matrices(call.layer, call.path):
        kernel, _ = call.emitter.weight(group, ops.cast(full_precision(group.kernel), "float32"))
        rounded.append((group.kernel, kernel))
    with keras.StatelessScope(state_mapping=rounded):
        return whole(call)


def _matrices(layer: Any, path: str) -> Iterator[WeightGroup]:
    for place, inner in enumerate(one for one in all_layers(layer) if isinstance(one, _CELLS)):
        for name in ("kernel", "recurrent_kernel"):
            kernel = getattr(inner, name, None)
            if kernel is not None:
                yield WeightGroup(f"{path}/{place}/{name}", path, inner, kernel, (-1,), None, ())
