"""From the name of some data to arrays in three splits."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from tfzip.errors import DataError, OptionError, UnknownNameError, did_you_mean
from tfzip.sources.datasets import Dataset, Inputs, datasets
from tfzip.sources.datasets.dataset import SPLITS, TEST_FRACTION, Array, split_rows

Split = Literal["train", "val", "test"]
_NAMES = tuple(f"{axis}_{split}" for split in SPLITS for axis in "xy")
_FORMS = (
    "FILE.npz, a folder with one subfolder of images per class, keras:NAME, sklearn:digits,"
    " package.module:function"
)


@dataclass(frozen=True)
class DataSplits:
    """Inputs and targets in three splits, checked: finite, of equal length, not empty.

    Inputs are one array, or one for each input of the model by name; rows along the first axis. Images
    stored as bytes are float32 with the same values. Targets are None where the source has none.

    Attributes:
        x_train: Inputs to train and calibrate on.
        y_train: Their targets.
        x_val: Inputs to choose by: rates, epochs, sparsities.
        y_val: Their targets.
        x_test: Inputs for the last verdict only.
        y_test: Their targets.
        x: The split asked for, or every row of a source that has no splits of its own.
        y: Its targets.
    """

    x_train: Inputs
    y_train: Array | None
    x_val: Inputs
    y_val: Array | None
    x_test: Inputs
    y_test: Array | None
    x: Inputs
    y: Array | None


def load_data(
    spec: str | os.PathLike[str] | Dataset | Mapping[str, Any],
    *,
    split: Split = "test",
    val_fraction: float = 0.1,
    divide_by: float = 1.0,
    seed: int = 0,
    size: tuple[int, int] | None = None,
) -> DataSplits:
    """Loads the data that a string names.

    A source without a validation split lends it from its training rows, by class and by `seed`. A source
    without any split has a fifth of its rows, always the same, set apart as the test split first.

    Args:
        spec: `FILE.npz`, a folder with one subfolder of images per class, `keras:NAME`, `sklearn:digits`,
            `package.module:function`, or a source. `#` adds a split or fields: `a.npz#train`,
            `photos#size=96x96`, `engine.npz#x=train,y=rul`.
        split: What `x` and `y` of the result are, for a source with splits. Take `"train"` to calibrate.
            Defaults to `"test"`.
        val_fraction: Part of the training rows lent to validation, in [0, 1). Defaults to 0.1.
        divide_by: What every input is divided by, 255 for networks that want images in [0, 1]. Defaults to 1.
        seed: Seed of the validation split. Defaults to 0.
        size: Height and width for a folder of images that gives none itself. Defaults to none.

    Raises:
        DataError: The data is missing, empty, not finite, or its arrays differ in length.
        OptionError: A field after `#` is unknown or an argument is out of range.
        MissingDependencyError: Reading it takes a package that is not installed.
    """
    if not 0.0 <= val_fraction < 1.0:
        raise OptionError(f"val_fraction is a part of the rows in [0, 1). Received: {val_fraction!r}.")
    if not np.isfinite(divide_by) or divide_by == 0:
        raise OptionError(f"divide_by is a finite number other than 0. Received: {divide_by!r}.")
    source, named_split = resolve_data(spec)
    if size is not None and getattr(source, "size", size) is None:
        source = dataclasses.replace(cast(Any, source), size=size)
    arrays = _checked(source.load(), str(spec), divide_by)
    return _in_splits(arrays, str(spec), named_split or split, val_fraction, seed)


def resolve_data(spec: str | os.PathLike[str] | Dataset | Mapping[str, Any]) -> tuple[Dataset, Split | None]:
    """Returns the source that a string names and the split after its `#`, without reading any data."""
    if isinstance(spec, Dataset):
        return spec, None
    if isinstance(spec, Mapping):
        return datasets.get(spec), None
    text = os.fspath(spec)
    place, _, fragment = text.partition("#")
    for name in datasets:
        source = datasets.type_of(name).from_spec(place)
        if source is not None:
            return _with_fragment(source, fragment)
    prefix = place.partition(":")[0]
    near = did_you_mean(prefix, datasets) if ":" in place else ""
    raise DataError(f"There is no data {text!r}.{near} Expected one of: {_FORMS}.")


def _with_fragment(source: Dataset, fragment: str) -> tuple[Dataset, Split | None]:
    split: Split | None = None
    fields: dict[str, Any] = {}
    for part in filter(None, fragment.split(",")):
        key, equals, value = part.partition("=")
        if equals:
            fields[key] = _size(value) if key == "size" else value
        elif key in SPLITS:
            split = cast(Split, key)
        else:
            raise UnknownNameError("split", key, SPLITS)
    return (datasets.get(datasets.config_of(source) | fields) if fields else source), split


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise OptionError(f"size is height x width in pixels, for example size=96x96. Received: {text!r}.")
    return int(height), int(width)


def _checked(loaded: Mapping[str, Any], source: str, divide_by: float) -> dict[str, Any]:
    """Returns the arrays by their split names, each input in the type that models take."""
    arrays = dict(loaded)
    if not {"x", "x_train"} & arrays.keys():
        arrays = {"x": {name: value for name, value in arrays.items() if name != "y"}, "y": arrays.get("y")}
    known = {name: arrays[name] for name in ("x", "y", *_NAMES) if arrays.get(name) is not None}
    checked: dict[str, Any] = {}
    for name, value in known.items():
        if name.startswith("x"):
            checked[name] = _inputs(value, f"{name} of {source}", divide_by)
        else:
            checked[name] = _targets(value, f"{name} of {source}")
    for name in checked:
        if name.startswith("x"):
            _same_length(checked, name, source)
    return checked


def _inputs(value: Any, where: str, divide_by: float) -> Inputs:
    if isinstance(value, Mapping):
        return {
            key: cast(Array, _inputs(part, f"{key} of {where}", divide_by)) for key, part in value.items()
        }
    array = _numeric(value, where)
    if array.dtype in (np.uint8, np.uint16, np.float16, np.float64):
        array = array.astype(np.float32)
    return array if divide_by == 1.0 else (array / np.float32(divide_by)).astype(np.float32)


def _targets(value: Any, where: str) -> Array:
    array = _numeric(value, where)
    if array.dtype.kind == "u":
        array = array.astype(np.int64)
    is_column = array.ndim == 2 and array.shape[1] == 1 and np.issubdtype(array.dtype, np.integer)
    return array[:, 0] if is_column else array


def _numeric(value: Any, where: str) -> Array:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{where} has rows of unequal shape. Pad or resize them to one shape.") from error
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{where} holds {array.dtype}, expected numbers of one shape per row. Encode or pad it first."
        )
    if array.ndim == 0 or array.size == 0:
        raise DataError(f"{where} is empty: shape {array.shape}. Expected at least one row.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise DataError(
            f"{where} has {bad} values that are not finite (NaN or infinite). Clean the data first."
        )
    return array


def _same_length(arrays: Mapping[str, Any], name: str, source: str) -> None:
    parts = {name: arrays[name]} if not isinstance(arrays[name], dict) else dict(arrays[name])
    target = "y" + name[1:]
    if target in arrays:
        parts[target] = arrays[target]
    if len({len(part) for part in parts.values()}) > 1:
        lengths = ", ".join(f"{key}: {len(part)}" for key, part in parts.items())
        raise DataError(
            f"The arrays of {source} differ in length ({lengths}). Expected one row of each per example;"
            " choose arrays with #x=NAME,y=NAME."
        )


def num_rows(x: Inputs) -> int:
    """Returns how many examples there are."""
    return len(next(iter(x.values()))) if isinstance(x, dict) else len(x)


def take_rows(x: Inputs, rows: Any) -> Inputs:
    """Returns the examples of those indices or that slice, of every input."""
    return {name: part[rows] for name, part in x.items()} if isinstance(x, dict) else x[rows]


def _in_splits(
    arrays: dict[str, Any], source: str, split: Split, val_fraction: float, seed: int
) -> DataSplits:
    is_whole = "x" in arrays and "x_train" not in arrays
    if is_whole:
        arrays |= _divided(arrays, ("x", "y"), "test", TEST_FRACTION, seed=0)
    if "x_val" not in arrays:
        arrays |= _divided(arrays, ("x_train", "y_train"), "val", val_fraction, seed)
    if "x_test" not in arrays:
        raise DataError(f"{source} has x_train but no x_test. Expected both, or x alone to be split here.")
    suffix = "" if is_whole else f"_{split}"
    fields: dict[str, Any] = {name: arrays.get(name) for name in _NAMES}
    return DataSplits(**fields, x=arrays[f"x{suffix}"], y=arrays.get(f"y{suffix}"))


def _divided(
    arrays: Mapping[str, Any], names: tuple[str, str], held: Split, fraction: float, seed: int
) -> dict[str, Any]:
    x, y = arrays[names[0]], arrays.get(names[1])
    keep_rows, held_rows = split_rows(y, num_rows(x), fraction, seed)
    parts = {"x_train": take_rows(x, keep_rows), f"x_{held}": take_rows(x, held_rows)}
    if y is not None:
        parts |= {"y_train": y[keep_rows], f"y_{held}": y[held_rows]}
    return parts
