"""How much each layer's width costs: its weights alone are rounded, and the outputs' change is measured."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzip.errors import DataError, ModelError, OptionError
from tfzip.graph import flatten
from tfzip.graph.signature import input_tree
from tfzip.precision.change import Reference, measure_of
from tfzip.precision.report import SensitivityReport, SensitivityRow
from tfzip.quantization.scales import least_squares_scales
from tfzip.quantization.weighted import WeightGroup, weight_groups
from tfzip.runtime.intervals import bootstrap_interval
from tfzip.schemes import Scheme, TensorFormat, get_scheme, mixed_scheme
from tfzip.sources.batches import calibration_samples
from tfzip.sources.data import load_data, num_rows, take_rows
from tfzip.sources.models import check_finite

Array = NDArray[Any]
_FULL_BITS = 8
_BATCH = 32


def sensitivity(
    model: keras.Model,
    data: Any,
    *,
    scheme: str | Scheme = "int8",
    bits: Sequence[int] = (4, 8),
    metric: str = "logits",
    labels: Any = None,
    samples: int = 256,
    seed: int = 0,
) -> SensitivityReport:
    """Measures what each width of each layer's weights does to the outputs.

    Layer by layer, the kernel as the file holds it (batch normalization folded in) is rounded to the integers
    that export writes, with all else in float, and the outputs are compared with those of the model as it is.
    One pass over the samples is kept; each layer and width costs one more.

    Args:
        model: A built model; it is left as it was.
        data: Calibration samples in any form that `export` takes, never those of a test set. Of a named data
            set, `samples` rows of the training split are drawn by `seed`.
        scheme: What the rest of the file will be: format of the weights apart from their width. Defaults to
            "int8".
        bits: Widths to try: 4, 8 or both. Defaults to (4, 8).
        metric: `"logits"`, `"kl"` or `"loss"`; see `measure_of`. Defaults to "logits".
        labels: Targets of the samples, for the metric `"loss"`. Defaults to None: those of a named data set.
        samples: Most samples to take. Defaults to 256.
        seed: Seed of drawn rows and of the intervals. Defaults to 0.

    Returns:
        A row for each layer with a kernel and each width, in the model's order.

    Raises:
        ModelError: The model cannot be flattened, has no kernels or weights that are not finite.
        DataError: The data do not fit the model, or labels are missing.
        OptionError: The scheme has no symmetric integer weights, or an option is out of range.

    Example:
        >>> print(tfzip.sensitivity(model, x_train[:256]))
    """
    scheme = _checked_scheme(scheme, bits, samples)
    check_finite(model)
    inputs, targets = _samples(model, data, labels, samples, seed)
    layers = _layers(model)
    forward = _forward(model, inputs)
    measure = measure_of(metric, Reference(forward(), targets))
    rows = []
    for path, groups in layers.items():
        for width in sorted(set(bits)):
            form = mixed_scheme(scheme, {path: width}).weights_of(path)
            with _rounded(groups, form):
                change = measure(forward())
            low, high = bootstrap_interval(change, seed)
            size_bytes = sum((group.kernel.shape.num_elements() * width + 7) // 8 for group in groups)
            rows.append(SensitivityRow(path, width, size_bytes, float(change.mean()), low, high))
    count = len(next(iter(inputs.values())))
    return SensitivityReport(model.name, scheme.name, metric, count, seed, tuple(rows))


def _checked_scheme(scheme: str | Scheme, bits: Sequence[int], samples: int) -> Scheme:
    scheme = get_scheme(scheme)
    if scheme.weights.kind != "int" or not scheme.weights.symmetric:
        raise OptionError(
            f"Widths are chosen for symmetric integer weights, such as those of 'int8' or 'int8_weights'."
            f" Received: {scheme.name!r}."
        )
    if not bits or not set(bits) <= {4, _FULL_BITS}:
        raise OptionError(f"bits are 4, 8 or both. Received: {tuple(bits)}.")
    if samples < 2:
        raise OptionError(f"samples must be at least 2. Received: {samples}.")
    return scheme


def _samples(
    model: keras.Model, data: Any, labels: Any, limit: int, seed: int
) -> tuple[dict[str, Array], Array | None]:
    if isinstance(data, str):
        splits = load_data(data, split="train")
        count = num_rows(splits.x)
        rows = np.sort(np.random.default_rng(seed).choice(count, min(limit, count), replace=False))
        data = take_rows(splits.x, rows)
        labels = splits.y[rows] if labels is None and splits.y is not None else labels
    specs = keras.tree.flatten(input_tree(model))
    inputs = calibration_samples(data, specs, limit)
    count = len(next(iter(inputs.values())))
    if labels is not None:
        labels = np.asarray(labels)[:limit]
        if len(labels) != count:
            raise DataError(f"There must be a label for each sample. Received: {len(labels)} for {count}.")
    return inputs, labels


def _layers(model: keras.Model) -> dict[str, list[WeightGroup]]:
    """Returns the kernels of each layer by its path, each variable once."""
    layers: dict[str, list[WeightGroup]] = {}
    seen: set[int] = set()
    for group in weight_groups(flatten(model, batch=1)):
        if id(group.kernel) not in seen:
            seen.add(id(group.kernel))
            layers.setdefault(group.path, []).append(group)
    if not layers:
        raise ModelError(
            f"Model {model.name!r} has no convolution or dense layer, so there is no width to choose."
        )
    return layers


def _forward(model: keras.Model, inputs: dict[str, Array]) -> Callable[[], list[Array]]:
    """Returns the function that computes the outputs on all samples with the present weights."""
    tree = input_tree(model)
    run = tf.function(lambda arguments: model(arguments, training=False), reduce_retracing=True)
    arrays = list(inputs.values())

    def outputs() -> list[Array]:
        parts = []
        for start in range(0, len(arrays[0]), _BATCH):
            batch = [tf.constant(array[start : start + _BATCH]) for array in arrays]
            made = keras.tree.flatten(run(keras.tree.pack_sequence_as(tree, batch)))
            parts.append([np.asarray(output) for output in made])
        return [np.concatenate(output) for output in zip(*parts, strict=True)]

    return outputs


@contextmanager
def _rounded(groups: Sequence[WeightGroup], form: TensorFormat) -> Iterator[None]:
    """Rounds kernels, and puts them back at the end."""
    originals = [np.array(group.kernel) for group in groups]
    try:
        for group in groups:
            group.set_folded_kernel(_on_grid(group, form))
        yield
    finally:
        for group, original in zip(groups, originals, strict=True):
            group.kernel.assign(original)


def _on_grid(group: WeightGroup, form: TensorFormat) -> NDArray[np.float32]:
    """Returns the folded kernel as the file will hold it."""
    kernel, top = group.folded_kernel(), form.limits[1]
    rows = group.by_channel(kernel) if form.per_channel else kernel.reshape(1, -1)
    if form.bits < _FULL_BITS:
        steps = least_squares_scales(rows, form)
    else:
        largest = np.abs(rows).max(axis=1)
        steps = np.where(largest > 0, largest / top, 1.0).astype(np.float32)
    spread = group.along_channels(steps) if form.per_channel else steps
    return np.asarray(np.clip(np.rint(kernel / spread), -top, top) * spread, np.float32)
