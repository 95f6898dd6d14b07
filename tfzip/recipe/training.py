"""Trains a model so that an interrupted training goes on with the same numbers."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfzip.errors import DataError, OptionError
from tfzip.explained import explained
from tfzip.recipe.checkpoint import EpochCheckpoint
from tfzip.recipe.run_folder import RESTART_FILE
from tfzip.recipe.steps.step import Work
from tfzip.sources.data import DataSplits, num_rows, take_rows
from tfzip.sources.datasets.dataset import Array, Inputs

if TYPE_CHECKING:
    from tfzip.recipe.steps.train import TrainStep

_MOMENTUM = 0.9
_ADAMW_DECAY = 0.004  # Keras's
_CROSSENTROPIES = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy")


def fit(
    model: keras.Model, plan: "TrainStep", work: Work, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> list[dict[str, float]]:
    """Trains in place, from the last finished epoch if the same training was interrupted.

    The order of rows in an epoch depends on the seed and on the epoch's number alone.

    Args:
        model: What to train.
        plan: How to train.
        work: Gives the data, the seed and the folder of the restart file.
        callbacks: Called before the restart file is read or written.

    Returns:
        The logs of each epoch.

    Raises:
        DataError: Inputs or targets do not fit the model.
        OptionError: The loss does not fit the outputs, or training diverged.
    """
    targets = _check_data(model, plan, work.data)
    with explained("Training", "Check that the loss and the data fit the model."):
        return _fit(model, plan, work, targets, callbacks)


def _fit(
    model: keras.Model,
    plan: "TrainStep",
    work: Work,
    targets: Array,
    callbacks: Sequence[keras.callbacks.Callback],
) -> list[dict[str, float]]:
    data = work.data
    steps_per_epoch = math.ceil(num_rows(data.x_train) / plan.batch_size)
    loss = make_loss(model, plan, data.x_train, targets)
    fitted = _taught(model, plan, work)
    fitted.compile(optimizer=make_optimizer(plan, steps_per_epoch), loss=loss, metrics=metrics_of(plan))
    fitted.optimizer.build(fitted.trainable_variables)
    checkpoint = EpochCheckpoint(work.folder / RESTART_FILE, work.key, work.say)
    start = checkpoint.initial_epoch
    if start:
        work.say(f"continuing after epoch {start} of {plan.epochs}")
    fitted.fit(
        shuffled_batches(data.x_train, targets, plan, work.seed, start),
        steps_per_epoch=steps_per_epoch,
        epochs=plan.epochs,
        initial_epoch=start,
        validation_data=(data.x_val, data.y_val) if num_rows(data.x_val) else None,
        validation_batch_size=plan.batch_size,
        callbacks=[*callbacks, checkpoint],
        shuffle=False,
        verbose=0,
    )
    return checkpoint.history


def _taught(model: keras.Model, plan: "TrainStep", work: Work) -> keras.Model:
    """Returns what is fitted: the model, or the model with the one that came into the step as its teacher."""
    if not plan.distill:
        return model
    from tfzip.distillation.distiller import Distiller

    return Distiller(
        work.load_model(),
        model,
        plan.distill,
        weights=plan.distill_weights or None,
        label_weight=plan.label_weight,
        from_logits=(None, plan.from_logits if plan.loss in _CROSSENTROPIES else None),
    )


def shuffled_batches(
    x: Inputs, y: Array, plan: "TrainStep", seed: int, start: int
) -> Iterator[tuple[Inputs, Array]]:
    """Yields the batches of every epoch from `start`, each epoch in an order of its own, and augmented."""
    rows = num_rows(x)
    for epoch in range(start, plan.epochs):
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(rows)
        for first in range(0, rows, plan.batch_size):
            chosen = order[first : first + plan.batch_size]
            samples: Any = take_rows(x, chosen)
            for augmentation in plan.augment:
                samples = augmentation(samples, rng)
            yield samples, y[chosen]


def make_optimizer(plan: "TrainStep", steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Returns the optimizer of a plan; the rate falls along half a cosine to 0 if the plan says so."""
    rate: Any = plan.learning_rate
    if plan.decay == "cosine":
        steps = plan.epochs * steps_per_epoch
        rising = round(plan.warm_up * steps)
        rise = {"warmup_target": rate, "warmup_steps": rising} if rising else {}
        rate = keras.optimizers.schedules.CosineDecay(0.0 if rising else rate, steps - rising, **rise)
    decay = plan.weight_decay or None
    match plan.optimizer:
        case "adam":
            return keras.optimizers.Adam(rate, weight_decay=decay)
        case "adamw":
            return keras.optimizers.AdamW(rate, weight_decay=decay or _ADAMW_DECAY)
        case "rmsprop":
            return keras.optimizers.RMSprop(rate, weight_decay=decay)
    return keras.optimizers.SGD(rate, momentum=_MOMENTUM, weight_decay=decay)


def metrics_of(plan: "TrainStep") -> list[str]:
    """Returns what is measured beside the loss of a plan."""
    return ["accuracy"] if plan.loss in _CROSSENTROPIES else []


def make_loss(model: keras.Model, plan: "TrainStep", x: Inputs, y: Array) -> keras.losses.Loss:
    """Returns the loss of a plan, after a look at some outputs: a wrong `from_logits` fails silently."""
    config = {}
    if plan.loss in _CROSSENTROPIES:
        outputs = np.asarray(model(take_rows(x, slice(0, 32)), training=False))
        if not plan.from_logits and (outputs.min() < 0 or outputs.max() > 1):
            raise OptionError(
                f"The model gives logits, in [{outputs.min():.3g}, {outputs.max():.3g}], where {plan.loss}"
                " expects probabilities. Set from_logits = true."
            )
        classes = outputs.shape[-1]
        if plan.loss.startswith("sparse") and (y.min() < 0 or y.max() >= classes):
            raise DataError(
                f"The labels are {y.min()}..{y.max()} and the model has {classes} outputs."
                f" Expected labels from 0 to {classes - 1}."
            )
        config["from_logits"] = plan.from_logits
    name = "".join(part.capitalize() for part in plan.loss.split("_"))
    return keras.losses.get({"class_name": name, "config": config})


def _check_data(model: keras.Model, plan: "TrainStep", data: DataSplits) -> Array:
    if data.y_train is None:
        raise DataError("Training needs targets, and the data has none. Expected y, or y_train and y_test.")
    if num_rows(data.x_train) == 0:
        raise DataError("The training split is empty. Expected more rows, or a smaller val_fraction.")
    if plan.augment and isinstance(data.x_train, dict):
        raise DataError(
            f"augment is for models with one input. This data has {', '.join(data.x_train)}. Leave it out."
        )
    if not isinstance(data.x_train, dict):
        expected, received = tuple(model.inputs[0].shape[1:]), data.x_train.shape[1:]
        if len(expected) != len(received) or any(
            e not in (None, r) for e, r in zip(expected, received, strict=True)
        ):
            raise DataError(f"The model takes inputs of shape {expected}; the data has {received}.")
    return data.y_train
