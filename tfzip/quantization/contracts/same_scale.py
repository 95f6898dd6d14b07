"""Operations that move or choose numbers without changing them: their result stays on the grid it came from.

Average pooling belongs to them: LiteRT's kernel has no other scale for its result.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import keras

from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract
from tfzip.quantization.emitters import Value

_POOLINGS = [f"MaxPooling{n}D" for n in (1, 2, 3)]
_GLOBAL = [f"GlobalMaxPooling{n}D" for n in (1, 2, 3)]
_GEOMETRY = [f"{kind}{n}D" for kind in ("ZeroPadding", "Cropping", "UpSampling") for n in (1, 2, 3)]
_DROPOUTS = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout")
_NOISE = ("GaussianNoise", "GaussianDropout", "ActivityRegularization", "Identity", "Masking", "StopGradient")
_SHAPES = (
    *(
        "Reshape",
        "Flatten",
        "Permute",
        "Transpose",
        "ExpandDims",
        "Squeeze",
        "GetItem",
        "Slice",
        "RepeatVector",
    ),
    *(
        "Split",
        "Repeat",
        "Tile",
        "Swapaxes",
        "Moveaxis",
        "BroadcastTo",
        "Flip",
        "Roll",
        "Resize",
        "Max",
        "Cast",
    ),
    *("Resizing", "DepthToSpace", "SpaceToDepth", "Take", "Unstack", "Copy", "ConvertToTensor"),
)


@contract(*_POOLINGS, *_GLOBAL, *_GEOMETRY, *_DROPOUTS, *_NOISE, *_SHAPES)
def same_scale(call: Call) -> Sequence[Value]:
    """One input, any number of results."""
    results: list[Any] = keras.tree.flatten(call.run())
    if not keras.backend.is_float_dtype(results[0].dtype):
        return [Value(result) for result in results]
    if not call.inputs or call.inputs[0].key is None:
        return [call.result(results[0])]
    return [call.passed_on(result) for result in results]


@contract("AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
def average_pooling(call: Call) -> Value:
    """Averages on the grid of their input; where padding is counted out, the count differs at the edges."""
    mean = call.run()
    if call.layer.padding == "valid":
        mean = call.emitter.average(call.inputs[0], mean, prod(call.layer.pool_size))
    return call.passed_on(mean)


@contract("Concatenate", "Stack", "Maximum", "Minimum", "Where", "Hstack", "Vstack")
def one_grid_for_all(call: Call) -> Value:
    """Several inputs, which LiteRT wants on one grid."""
    values = call.same_grid(call.inputs)
    result = call.compute([value.tensor for value in values])
    free = next((value for value in values if value.key is not None and not value.fixed), None)
    return call.result(result) if free is None else call.passed_on(result, free)
