"""Layers that `keras.applications` brings along."""

from keras import ops

from tfzip.graph.keras_nodes import full_precision
from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract
from tfzip.quantization.contracts.normalization import scaled_and_shifted
from tfzip.quantization.emitters import Value


@contract("LayerScale")
def layer_scale(call: Call) -> Value:
    """A product with one number per channel."""
    return scaled_and_shifted(
        call, call.inputs[0], ops.convert_to_tensor(full_precision(call.layer.gamma)), None
    )


@contract("StochasticDepth")
def stochastic_depth(call: Call) -> Value:
    """Nothing in the file; in training some examples become zeros, which every grid has."""
    return call.passed_on(call.run())
