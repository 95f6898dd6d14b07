"""Operations that move or choose numbers without changing them: results stay on the grid they came from."""

from collections.abc import Sequence
from typing import Any

import keras

from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract
from tfzip.quantization.emitters import Value

_POOLINGS = [f"MaxPooling{n}D" for n in (1, 2, 3)]
_GLOBAL = [f"GlobalMaxPooling{n}D" for n in (1, 2, 3)]
_GEOMETRY = (
    *(f"{kind}{n}D" for kind in ("ZeroPadding", "Cropping") for n in (1, 2, 3)),
    *("UpSampling1D", "UpSampling3D"),
)
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
        "Max",
        "Cast",
    ),
    *("DepthToSpace", "SpaceToDepth", "Take", "Unstack", "Copy", "ConvertToTensor"),
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


@contract("Concatenate", "Stack", "Maximum", "Minimum", "Where", "Hstack", "Vstack")
def one_grid_for_all(call: Call) -> Value:
    """Several inputs, which LiteRT wants on one grid."""
    values = call.same_grid(call.inputs)
    result = call.compute([value.tensor for value in values])
    free = next((value for value in values if value.key is not None and not value.fixed), None)
    return call.result(result) if free is None else call.passed_on(result, free)


@contract("UpSampling2D", "Resizing", "Resize")
def resized(call: Call) -> Value | Sequence[Value]:
    """Numbers that are chosen, or means of four neighbours that are rounded to the grid."""
    if getattr(call.layer, "interpolation", "nearest") != "bilinear" or call.inputs[0].key is None:
        return same_scale(call)
    means = call.emitter.interpolate(call.inputs[0], lambda tensor: call.compute([tensor]))
    return call.passed_on(means)
