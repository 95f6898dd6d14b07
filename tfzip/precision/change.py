"""How far a model's outputs move when its weights are rounded, for each sample."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import DataError, OptionError
from tfzip.runtime.scores import Task, task_of

Metric = Literal["logits", "kl", "loss"]
METRICS: tuple[Metric, ...] = get_args(Metric)
Floats = NDArray[np.float64]
_SMALLEST = 1e-30
_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Reference:
    """The outputs of the model as it is, and what they are measured against.

    Attributes:
        outputs: One array for each output: (samples, ...).
        labels: Targets; `None` for metrics that need none.
    """

    outputs: Sequence[NDArray[Any]]
    labels: NDArray[Any] | None = None


def measure_of(metric: str, reference: Reference) -> Callable[[Sequence[NDArray[Any]]], Floats]:
    """Returns the function from changed outputs to the change of each sample: (samples,).

    Args:
        metric: `"logits"`: mean squared change of the outputs as a fraction of their variance over the
            samples; of probabilities the logarithms count, less their mean, which are the logits before the
            softmax. `"kl"`: Kullback-Leibler divergence of the new probabilities from the old, in nats.
            `"loss"`: change of the loss: cross-entropy of decisions, squared error of values.
        reference: The model as it is.

    Raises:
        OptionError: The metric is unknown, or does not apply to these outputs.
        DataError: The metric needs labels and there are none, or they do not fit.
    """
    if metric == "logits":
        bases = [_logits(output, are_probabilities(output)) for output in reference.outputs]
        kinds = [are_probabilities(output) for output in reference.outputs]
        return lambda outputs: np.mean(
            [
                _relative_change(base, _logits(output, kind))
                for base, output, kind in zip(bases, outputs, kinds, strict=True)
            ],
            axis=0,
        )
    if metric == "kl":
        _check_probabilities(reference.outputs)
        return lambda outputs: np.sum(
            [_divergence(old, new) for old, new in zip(reference.outputs, outputs, strict=True)], axis=0
        )
    if metric == "loss":
        return _loss_change(reference)
    raise OptionError(f"metric must be {', '.join(map(repr, METRICS))}. Received: {metric!r}.")


def are_probabilities(output: NDArray[Any]) -> bool:
    """Whether an output is a softmax: rows that are not negative and add up to 1."""
    if output.ndim < 2 or output.shape[-1] < 2 or output.min() < 0:
        return False
    return bool(np.abs(output.sum(axis=-1) - 1.0).max() < _UNIT_TOLERANCE)


def _logits(output: NDArray[Any], from_probabilities: bool) -> Floats:
    values = output.astype(np.float64).reshape(len(output), -1)
    if not from_probabilities:
        return values
    logarithms = np.log(np.maximum(output.astype(np.float64), _SMALLEST))
    return np.asarray((logarithms - logarithms.mean(axis=-1, keepdims=True)).reshape(len(output), -1))


def _relative_change(old: Floats, new: Floats) -> Floats:
    variance = float(old.var(axis=0).mean()) or 1.0
    return np.asarray(((new - old) ** 2).mean(axis=1) / variance)


def _check_probabilities(outputs: Sequence[NDArray[Any]]) -> None:
    if not all(are_probabilities(output) for output in outputs):
        raise OptionError("metric 'kl' compares probabilities, and an output is no softmax. Use 'logits'.")


def _divergence(old: NDArray[Any], new: NDArray[Any]) -> Floats:
    old, new = (np.maximum(values.astype(np.float64), _SMALLEST) for values in (old, new))
    terms = (old * (np.log(old) - np.log(new))).sum(axis=-1)
    return np.asarray(terms.reshape(len(terms), -1).sum(axis=1))


def _loss_change(reference: Reference) -> Callable[[Sequence[NDArray[Any]]], Floats]:
    labels = reference.labels
    if labels is None:
        raise DataError("metric 'loss' needs labels: give labels=, or data that have targets.")
    if len(reference.outputs) != 1:
        raise OptionError(
            f"metric 'loss' takes a model with one output. Received: {len(reference.outputs)}. Use 'logits'."
        )
    output = reference.outputs[0]
    task = task_of(output, labels)
    _check_labels(output, labels, task)
    before = _loss(output, labels, task, output)
    return lambda outputs: _loss(outputs[0], labels, task, output) - before


def _check_labels(output: NDArray[Any], labels: NDArray[Any], task: Task | None) -> None:
    size = output[..., 0].size if task == "classes" and labels.shape != output.shape else output.size
    if labels.size != size:
        raise DataError(f"Labels of shape {labels.shape} do not fit outputs of shape {output.shape}.")
    if size != output.size and not (labels.min() >= 0 and labels.max() < output.shape[-1]):
        raise DataError(
            f"Labels must be class numbers from 0 to {output.shape[-1] - 1}."
            f" Received: {labels.min():g} to {labels.max():g}."
        )


def _loss(outputs: NDArray[Any], labels: NDArray[Any], task: Task | None, model: NDArray[Any]) -> Floats:
    """Returns the loss of each sample; what outputs are is told by those of the unchanged model."""
    values = outputs.astype(np.float64)
    if task == "classes":
        losses = _cross_entropy(values, labels, are_probabilities(model))
    elif task in ("binary", "labels"):
        in_unit = model.min() >= 0.0 and model.max() <= 1.0
        yes = np.clip(values if in_unit else 1 / (1 + np.exp(-values)), _SMALLEST, 1.0)
        no = np.maximum(1.0 - yes, _SMALLEST)
        truth = labels.reshape(values.shape)
        losses = -(truth * np.log(yes) + (1 - truth) * np.log(no))
    else:
        losses = (values - labels.reshape(values.shape)) ** 2
    return np.asarray(losses.reshape(len(losses), -1).mean(axis=1))


def _cross_entropy(values: Floats, labels: NDArray[Any], from_probabilities: bool) -> Floats:
    if from_probabilities:
        logarithms = np.log(np.maximum(values, _SMALLEST))
    else:
        shifted = values - values.max(axis=-1, keepdims=True)
        logarithms = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    if labels.shape == values.shape:
        return np.asarray(-(labels * logarithms).sum(axis=-1))
    picked = labels.reshape(values.shape[:-1]).astype(np.intp)
    return np.asarray(-np.take_along_axis(logarithms, picked[..., np.newaxis], axis=-1)[..., 0])
