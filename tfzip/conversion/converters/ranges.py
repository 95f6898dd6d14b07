"""Ranges of inner activations from calibration data, chosen by an observer.

TensorFlow calibrates with the smallest and largest value ever seen, so that one outlier widens every step and
more calibration data make a file worse.
"""

from collections.abc import Collection, Iterable, Mapping

from tensorflow.lite.python.schema_py_generated import BuiltinOperator as Op

from tfzip.conversion.converters.calibrated import Batch, CalibratedFile
from tfzip.errors import DataError
from tfzip.quantization.observers import Observer, TensorStatistics
from tfzip.schemes import TensorFormat

_MASK = -1e6
_NO_WEIGHT = 12.0  # exp(-12) is less than a tenth of the step of an int8 softmax


def observe_ranges(
    file: CalibratedFile, batches: Iterable[Batch], observer: Observer, form: TensorFormat
) -> None:
    """Writes the ranges that an observer chooses for the inner activations of a file.

    Inputs, outputs and constants keep their full range. Where attention is masked by a number close to minus
    infinity, that number is replaced by one just low enough for a weight of zero, since a grid that reached
    it would leave one value for all others.

    Args:
        file: It is changed.
        batches: The calibration data again, by input name.
        observer: Chooses a range.
        form: Format of activations.

    Raises:
        DataError: An activation is not finite on the data.
    """
    inner = [i for i in file.names if i not in file.ends and file[i][0] != file[i][1]]
    masked = masked_in(file).intersection(inner)
    seen = _observed(file, batches, inner, masked)
    for index in inner:
        if index not in masked:
            file[index] = observer.range(seen[index], form)
    if masked:
        _soften_masks(file, {index: seen[index] for index in masked if seen[index].minima})
    _join_compared(file)


def _join_compared(file: CalibratedFile) -> None:
    """Gives what a minimum or maximum reads and makes one range, since LiteRT has one grid for all of it.

    The converter would take that of the result, which cuts off what others read of the inputs.
    """
    compared = [{*given, *made} for code, given, made in file.operators() if code in (Op.MINIMUM, Op.MAXIMUM)]
    for tensors in compared * len(compared):  # one may read what another makes
        lows, highs = zip(*(file[index] for index in tensors), strict=True)
        for index in tensors:
            file[index] = min(lows), max(highs)


def _observed(
    file: CalibratedFile, batches: Iterable[Batch], indices: Iterable[int], masked: Collection[int]
) -> dict[int, TensorStatistics]:
    """Returns what activations are over the data; of masked ones, all but the numbers that mask."""
    seen = {index: TensorStatistics() for index in indices}
    for values_of in file.run(batches):
        for index, statistics in seen.items():
            values = values_of(index).ravel()
            if index in masked:
                values = values[values > _MASK]
            if not values.size:
                continue
            try:
                statistics.add(values)
            except DataError:
                raise DataError(
                    f"The activation {file.names[index]!r} is NaN or infinite on the calibration data, so it"
                    " has no range. Check the data and the weights."
                ) from None
    return seen


def soften_recorded_masks(file: CalibratedFile, masked: Collection[int]) -> None:
    """Replaces numbers close to minus infinity by the low end of what they mask, once that has its range.

    Args:
        file: It is changed.
        masked: Numbers of the tensors that such numbers were seen in, from `masked_in`.
    """
    instead = min((file[index][0] for index in masked), default=0.0)
    if _MASK < instead < 0:
        _replace_constants(file, instead)


def masked_in(file: CalibratedFile) -> set[int]:
    """Returns the numbers of the tensors whose present range reaches close to minus infinity."""
    return {index for index in file.names if file[index][0] < _MASK}


def _soften_masks(file: CalibratedFile, seen: Mapping[int, TensorStatistics]) -> None:
    lowest = min((statistics.low for statistics in seen.values()), default=0.0)
    highest = max((statistics.high for statistics in seen.values()), default=0.0)
    instead = lowest - highest - _NO_WEIGHT
    for index, statistics in seen.items():
        file[index] = instead, statistics.high
    _replace_constants(file, instead)


def _replace_constants(file: CalibratedFile, instead: float) -> None:
    for values in file.float_constants():
        values[values < _MASK] = instead
