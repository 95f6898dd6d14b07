"""What quantization has learned about a model, kept with the model and in its files.

The record hangs on the model as an attribute that Keras saves but does not count as one of its layers: a
`.keras` or `.weights.h5` written with it has one more group of arrays, which a plain Keras ignores when
loading.
"""

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.schemes import Range, Scheme, TensorFormat

_ATTRIBUTE = "tfzip_quantization"


@dataclass(frozen=True)
class QuantizationRecord:
    """Grids of a model's tensors, by the names the simulation gives them.

    Attributes:
        scheme: What the grids are for.
        ranges: Smallest and largest value of each activation that the file stores.
        weight_scales: Step of each output channel, one number where the whole kernel shares it, for kernels
            whose step is not simply their largest magnitude divided by the largest integer. It belongs to
            the kernel as the file holds it: batch normalization folded in.
        inner: Ranges of tensors inside layers that the simulation runs whole, by their name in the file.
        shapes: Shape of one example of each input that the ranges were seen on, by `input_key`: it tells the
            sizes that the model leaves open.
    """

    scheme: Scheme
    ranges: Mapping[str, Range] = field(default_factory=dict)
    weight_scales: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    inner: Mapping[str, Range] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def input_key(place: int) -> str:
    """Returns an input's name in a record: its place, since Keras renames inputs when it loads a model."""
    return f"input:{place}"


def record_of(model: keras.Model) -> QuantizationRecord | None:
    """Returns what was learned about a model, or `None`."""
    store = vars(model).get(_ATTRIBUTE)
    return store.now() if store is not None else None


def attach_record(model: keras.Model, record: QuantizationRecord | None) -> None:
    """Keeps a record with a model, in place of an earlier one; `None` takes it off."""
    if record is None:
        vars(model).pop(_ATTRIBUTE, None)
    else:
        store = vars(model).setdefault(_ATTRIBUTE, _RecordStore())
        store.record, store.source = record, None


def attach_source(model: keras.Model, source: Callable[[], QuantizationRecord | None]) -> None:
    """Lets a model's record be what `source` returns, while grids move; `attach_record` ends that."""
    vars(model).setdefault(_ATTRIBUTE, _RecordStore()).source = source


def make_room_for_record(model: keras.Model) -> None:
    """Lets `model.load_weights` attach the record that a file holds."""
    vars(model).setdefault(_ATTRIBUTE, _RecordStore())


def attach_saved_record(model: keras.Model, path: Path) -> None:
    """Attaches the record that a `.keras` file holds, if it holds one."""
    with zipfile.ZipFile(path) as archive:
        if "model.weights.h5" not in archive.namelist():
            return
        with archive.open("model.weights.h5") as stream, h5py.File(stream) as weights:
            group = weights.get(f"{_ATTRIBUTE}/vars")
            if group and "names" in group:
                attach_record(model, unpack_record({name: array[()] for name, array in group.items()}))


class _RecordStore(keras.Layer):  # type: ignore[misc]  # Keras has no types
    """Lets Keras save and load a record. It has no variables and never runs."""

    def __init__(self) -> None:
        super().__init__(name=_ATTRIBUTE)
        self.built = True
        self.record: QuantizationRecord | None = None
        self.source: Callable[[], QuantizationRecord | None] | None = None

    def now(self) -> QuantizationRecord | None:
        """Returns the record."""
        found = self.source() if self.source is not None else None
        return self.record if found is None else found

    def save_own_variables(self, store: Any) -> None:
        record = self.now()
        if record is not None:
            for name, array in pack_record(record).items():
                store[name] = array

    def load_own_variables(self, store: Any) -> None:
        if "names" in store.keys():  # noqa: SIM118 (a store cannot be asked in another way)
            self.source = None
            self.record = unpack_record({name: np.asarray(store[name]) for name in store.keys()})  # noqa: SIM118


def pack_record(record: QuantizationRecord) -> dict[str, NDArray[Any]]:
    """Returns a record as arrays."""
    names = {
        "scheme": asdict(record.scheme),
        "ranges": list(record.ranges),
        "inner": list(record.inner),
        "weight_scales": list(record.weight_scales),
        "shapes": {name: list(shape) for name, shape in record.shapes.items()},
    }
    scales = {f"scale_{i}": np.asarray(s, np.float32) for i, s in enumerate(record.weight_scales.values())}
    return {
        "names": np.frombuffer(json.dumps(names).encode(), np.uint8),
        "ranges": np.array(list(record.ranges.values()), np.float64).reshape(-1, 2),
        "inner": np.array(list(record.inner.values()), np.float64).reshape(-1, 2),
        **scales,
    }


def unpack_record(arrays: Mapping[str, NDArray[Any]]) -> QuantizationRecord:
    """Returns the record that arrays hold."""
    names = json.loads(np.asarray(arrays["names"], np.uint8).tobytes())
    return QuantizationRecord(
        scheme=_scheme(names["scheme"]),
        ranges=dict(zip(names["ranges"], map(tuple, arrays["ranges"].tolist()), strict=True)),
        inner=dict(zip(names["inner"], map(tuple, arrays["inner"].tolist()), strict=True)),
        weight_scales={
            name: np.asarray(arrays[f"scale_{index}"], np.float32)
            for index, name in enumerate(names["weight_scales"])
        },
        shapes={name: tuple(shape) for name, shape in names.get("shapes", {}).items()},
    )


def _scheme(fields: dict[str, Any]) -> Scheme:
    layers = tuple((path, TensorFormat(**form)) for path, form in fields["layers"])
    weights, activations = TensorFormat(**fields["weights"]), TensorFormat(**fields["activations"])
    return Scheme(fields["name"], weights, activations, fields["summary"], layers)
