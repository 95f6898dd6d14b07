"""How well the model and the file do on the same labelled samples, and whether they differ."""

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import DataError
from tfzip.runtime.intervals import RESAMPLES, bootstrap_interval, tango_interval

Task = Literal["classes", "binary", "labels", "values"]


@dataclass(frozen=True)
class Quality:
    """A score of both on the same samples and the difference, file minus model.

    Attributes:
        metric: `"accuracy"` or `"mean absolute error"`.
        model: Score of the Keras model.
        file: Score of the file.
        difference: `file - model`.
        low: Lower end of the 95 % confidence interval of the difference.
        high: Upper end.
        method: How the interval was made.
        verdict: `"file is better"`, `"file is worse"` or `"not distinguishable"` when the interval holds 0.
    """

    metric: str
    model: float
    file: float
    difference: float
    low: float
    high: float
    method: str
    verdict: str


def task_of(outputs: NDArray[Any], targets: NDArray[Any] | None) -> Task | None:
    """Says what an output means, from its values and the targets.

    Args:
        outputs: The model's outputs, of shape (samples, ...).
        targets: Targets, or None.

    Returns:
        `"classes"`: one score for each class in the last axis. `"binary"`: one probability or logit.
        `"labels"`: several independent yes-or-no answers in the last axis. `"values"`: a regression.
        None: nothing says what it is.
    """
    if targets is None:
        return _task_of_outputs(outputs)
    if not _is_whole(targets):
        return "classes" if _is_distribution(targets) and targets.shape == outputs.shape else "values"
    is_yes_or_no = bool(np.isin(targets, (0, 1)).all())
    if targets.shape == outputs.shape and outputs.ndim > 1 and outputs.shape[-1] > 1:
        if not is_yes_or_no:
            return "values"
        return "classes" if _is_distribution(targets) else "labels"
    if outputs.ndim > 1 and outputs.shape[-1] > 1:
        return "classes"
    return "binary" if is_yes_or_no else "values"


def decide(outputs: NDArray[Any], task: Task, reference: NDArray[Any]) -> NDArray[np.int64]:
    """Turns outputs into decisions: the best class, or yes where a score passes the middle.

    The middle is 0.5 when every value of `reference` (the model's outputs) lies in [0, 1], else 0.
    """
    if task == "classes":
        return cast(NDArray[np.int64], np.argmax(outputs, axis=-1))
    is_probability = reference.size > 0 and reference.min() >= 0.0 and reference.max() <= 1.0
    return (outputs > (0.5 if is_probability else 0.0)).astype(np.int64)


def agreement(model: NDArray[Any], file: NDArray[Any], task: Task) -> float:
    """Returns the fraction of decisions that are the same."""
    return float(np.mean(decide(model, task, model) == decide(file, task, model)))


def score(model: NDArray[Any], file: NDArray[Any], targets: NDArray[Any], task: Task, seed: int) -> Quality:
    """Scores both against the targets and compares them sample by sample.

    Accuracy with one decision a sample gets Tango's score interval for paired proportions, which holds 0
    exactly when McNemar's test keeps the hypothesis of no difference (Tango 1998, Statistics in Medicine
    17:891-908; McNemar 1947, Psychometrika 12:153-157). Anything else gets a percentile interval of a paired
    bootstrap over samples (Efron 1979).

    Args:
        model: Outputs of the model, of shape (samples, ...).
        file: Outputs of the file, as real values.
        targets: Class numbers, one-hot rows, yes-or-no answers, or values.
        task: From `task_of`.
        seed: Seed of the bootstrap.

    Raises:
        DataError: The targets do not fit the outputs.
    """
    if task == "values":
        ours, theirs = (_errors(outputs, targets) for outputs in (model, file))
    else:
        ours, theirs = (_hits(decide(o, task, model), targets, task, model) for o in (model, file))
    if task != "values" and np.isin([ours, theirs], (0.0, 1.0)).all():
        method = "Tango score interval (McNemar)"
        gained, lost = int(np.sum(theirs > ours)), int(np.sum(ours > theirs))
        low, high = tango_interval(gained, lost, len(ours))
    else:
        method = f"paired bootstrap, {RESAMPLES} resamples"
        low, high = bootstrap_interval(theirs - ours, seed)
    return Quality(
        metric="mean absolute error" if task == "values" else "accuracy",
        model=float(np.mean(ours)),
        file=float(np.mean(theirs)),
        difference=float(np.mean(theirs - ours)),
        low=low,
        high=high,
        method=method,
        verdict=_verdict(low, high, bigger_is_better=task != "values"),
    )


def _verdict(low: float, high: float, *, bigger_is_better: bool) -> str:
    if low <= 0.0 <= high:
        return "not distinguishable"
    return "file is better" if (low > 0.0) == bigger_is_better else "file is worse"


def _hits(
    decided: NDArray[Any], targets: NDArray[Any], task: Task, outputs: NDArray[Any]
) -> NDArray[np.float64]:
    """Returns the fraction of right decisions for each sample; for labels, 1 where all are right."""
    truth = targets
    if task == "classes":
        truth = np.argmax(targets, axis=-1) if targets.shape == outputs.shape else targets
        truth = np.squeeze(truth, axis=-1) if truth.ndim == decided.ndim + 1 else truth
        classes = outputs.shape[-1]
        if truth.size and not (truth.min() >= 0 and truth.max() < classes):
            raise DataError(
                f"Targets must be class numbers from 0 to {classes - 1}."
                f" Received: {truth.min():g} to {truth.max():g}."
            )
    if truth.size != decided.size:
        raise DataError(f"Targets of shape {targets.shape} do not fit outputs of shape {outputs.shape}.")
    right = (decided == truth.reshape(decided.shape)).reshape(len(decided), -1)
    whole = right.all(axis=1) if task == "labels" else right.mean(axis=1)
    return np.asarray(whole, np.float64)


def _errors(outputs: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    if outputs.size != targets.size:
        raise DataError(f"Targets of shape {targets.shape} do not fit outputs of shape {outputs.shape}.")
    gap = np.abs(outputs.astype(np.float64) - targets.reshape(outputs.shape))
    return np.asarray(np.nan_to_num(gap, nan=np.inf).reshape(len(gap), -1).mean(axis=1), np.float64)


def _task_of_outputs(outputs: NDArray[Any]) -> Task | None:
    if outputs.ndim < 2 or outputs.shape[-1] == 1:
        in_unit = outputs.size > 0 and outputs.min() >= 0.0 and outputs.max() <= 1.0
        return "binary" if in_unit else None
    return "classes" if outputs.ndim == 2 or _is_distribution(outputs) else None


def _is_whole(targets: NDArray[Any]) -> bool:
    return targets.dtype.kind in "biu" or bool(np.array_equal(np.rint(targets), targets))


def _is_distribution(rows: NDArray[Any]) -> bool:
    if rows.ndim < 2 or rows.shape[-1] < 2 or rows.size == 0 or rows.min() < 0:
        return False
    return bool(np.allclose(rows.sum(axis=-1), 1.0, atol=1e-2))
