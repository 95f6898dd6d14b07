"""Ranges learned in training, written into the tensors of a file that compute the same values.

The simulation of training and the file run the same example; a tensor whose values look like one that the
simulation stored gets its range. Names and positions do not matter, so neither do fusion and reordering.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from tensorflow.lite.python.schema_py_generated import BuiltinOperator as Op

from tfzip.conversion.converters import Recorded
from tfzip.conversion.converters.calibrated import Batch, CalibratedFile, Values
from tfzip.errors import ConversionError
from tfzip.fingerprint import fingerprint, nearest
from tfzip.tflite import layer_of

_FIXED = {
    Op.SOFTMAX: (0.0, 1.0),
    Op.LOGISTIC: (0.0, 1.0),
    Op.TANH: (-1.0, 1.0),
    Op.L2_NORMALIZATION: (-1.0, 1.0),
    Op.LOG_SOFTMAX: (-16.0, 0.0),
}
_SAME_GRID = {
    *(Op.RESHAPE, Op.TRANSPOSE, Op.SQUEEZE, Op.EXPAND_DIMS, Op.SLICE, Op.STRIDED_SLICE, Op.GATHER),
    *(Op.PAD, Op.PADV2, Op.MIRROR_PAD, Op.AVERAGE_POOL_2D, Op.MAX_POOL_2D, Op.SPLIT, Op.SPLIT_V, Op.UNPACK),
    *(Op.RESIZE_BILINEAR, Op.RESIZE_NEAREST_NEIGHBOR, Op.SPACE_TO_DEPTH, Op.DEPTH_TO_SPACE, Op.TILE),
    *(Op.SPACE_TO_BATCH_ND, Op.BATCH_TO_SPACE_ND, Op.REVERSE_V2, Op.BROADCAST_TO, Op.GATHER_ND),
}


def probe_batch(recorded: Recorded, batch: int) -> Batch:
    """Returns the example as many times as the file's batch has rows."""
    return {name: np.repeat(one, batch, axis=0) for name, one in recorded.inputs.items()}


def write_recorded(file: CalibratedFile, recorded: Recorded, batch: int) -> list[int]:
    """Writes the ranges of a record into a file.

    Args:
        file: It is changed.
        recorded: The ranges.
        batch: First dimension of the file's inputs.

    Returns:
        Numbers of the tensors that no range was found for and that need one.
    """
    known = set()
    for index, key in matched(file, recorded, batch).items():
        file[index] = recorded.ranges[key]
        known.add(index)
    for index, name in file.names.items():
        if index not in known and name in recorded.inner:
            file[index] = recorded.inner[name]
            known.add(index)
    for index, limits in file.casts():
        if index not in known:
            file[index] = limits
            known.add(index)
    for code, given, made in file.operators():
        is_joined = code == Op.CONCATENATION and len({file[index] for index in given}) == 1
        if (code in _SAME_GRID or is_joined) and known.intersection(given):
            source = next(index for index in given if index in known)
            for index in set(made) - known:
                file[index] = file[source]
                known.add(index)
        if code in _FIXED:
            for index in set(made) - known:
                file[index] = _FIXED[code]
                known.add(index)
    return [index for index in file.names if index not in known]


def matched(file: CalibratedFile, recorded: Recorded, batch: int) -> dict[int, str]:
    """Returns the name of the recorded range of each tensor that has one."""
    keys = [key for key, _ in recorded.looks if key in recorded.ranges]
    looks = [look for key, look in recorded.looks if key in recorded.ranges]
    values_of = next(file.run(itertools.repeat(probe_batch(recorded, batch), 1)))
    found = {index: nearest(looks, _look(values_of, index, batch)) for index in file.names}
    return {index: keys[place] for index, place in found.items() if place is not None}


def refuse_unknown(file: CalibratedFile, unknown: Sequence[int], layers: Sequence[str]) -> None:
    """Raises `ConversionError` that names the layers of tensors without a range, if there are any."""
    if unknown:
        names = list(dict.fromkeys(layer_of(file.names[i], layers) or file.names[i] for i in unknown))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise ConversionError(
            f"Training left no range for what is computed inside {', '.join(map(repr, names[:3]))}{more}."
            " Give samples for it: calibration=x_train[:256], or --calibration on the command line."
        )


def _look(values_of: Values, index: int, batch: int) -> np.ndarray:
    """Returns the fingerprint of one row's share of a tensor."""
    flat = values_of(index).ravel()
    return fingerprint(flat[: flat.size // batch] if flat.size % batch == 0 else flat)
