"""A fit that has ended has reached its target, or says that it has not."""

import warnings

import keras
import numpy as np
import pytest

from tests.pruning.small import SIZES, ZeroObserver, compiled, images, network, zeros_of
from tfzip.errors import ModelError
from tfzip.pruning.callback import PruningCallback
from tfzip.pruning.schedules import ConstantSchedule, LinearSchedule
from tfzip.pruning.window import PruningWindow

HALF = {name: size // 2 for name, size in SIZES.items()}


def zeros(model):
    return {name: zeros_of(model.get_layer(name).weights[0]) for name in SIZES}


def fit(model, *callbacks, batch_size=16, epochs=2):
    x, y = images()
    return model.fit(x, y, batch_size=batch_size, epochs=epochs, callbacks=list(callbacks), verbose=0)


class StopAfter(keras.callbacks.Callback):
    """Stops a fit after a number of batches, as early stopping does."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            self.model.stop_training = True


@pytest.mark.parametrize("steps_per_execution", [1, 4])
def test_a_fit_of_one_step_reaches_its_target_and_its_log_says_so(steps_per_execution):
    model = compiled(network(), steps_per_execution=steps_per_execution)
    pruning = PruningCallback(0.5)
    history = fit(model, pruning, batch_size=96, epochs=1).history
    assert history["sparsity"] == [0.5]
    assert pruning.summary().reached == 0.5
    assert zeros(model) == HALF


@pytest.mark.parametrize(
    "window",
    [
        PruningWindow(end=2),
        PruningWindow(begin=2, end=2),
        PruningWindow(end=12, unit="steps", every=100),
        PruningWindow(begin=11, end=12, unit="steps"),
    ],
)
def test_a_window_that_ends_with_the_fit_reaches_its_target(window):
    model = compiled(network())
    fit(model, PruningCallback(LinearSchedule(0.5), window=window))
    assert zeros(model) == HALF


def test_a_window_that_ends_with_the_fit_reaches_its_target_where_gradients_are_accumulated():
    model = compiled(network(), keras.optimizers.SGD(gradient_accumulation_steps=5))
    fit(model, PruningCallback(0.5, window=PruningWindow(end=2)))
    assert zeros(model) == HALF


@pytest.mark.parametrize(
    ("window", "reached"),
    [(PruningWindow(end=4, every=6), 0.125), (PruningWindow(begin=100, end=200, unit="steps"), 0.0)],
)
def test_a_window_that_ends_after_the_fit_warns_once_of_what_is_missing(window, reached):
    model = compiled(network())
    observer = ZeroObserver()
    pruning = PruningCallback(LinearSchedule(0.5), window=window)
    with pytest.warns(UserWarning, match=r"PruningWindow\(end=\.\.\.\)") as caught:
        fit(model, pruning, observer)
    assert len(caught) == 1
    end = int(window.end * 6 if window.unit == "epochs" else window.end)
    assert str(caught[0].message).startswith(
        f"The fit ended at step 12 and the pruning window ends at step {end},"
        f" so the schedule reached sparsity {reached:g} and not its target 0.5."
    )
    assert pruning.summary().reached == reached
    assert zeros(model) == observer.seen[-1]


def test_a_fit_that_stops_inside_its_window_warns_and_one_that_stops_after_it_does_not():
    window = PruningWindow(end=6, unit="steps")
    stopped_in_time = compiled(network())
    fit(stopped_in_time, PruningCallback(0.5, window=window), StopAfter(6))
    assert zeros(stopped_in_time) == HALF
    early = compiled(network())
    with pytest.warns(UserWarning, match="ended at step 3 and the pruning window ends at step 6"):
        fit(early, PruningCallback(0.5, window=window), StopAfter(3))
    assert early.get_layer("head").kernel.constraint is None


def test_a_schedule_that_is_done_before_its_window_does_not_warn():
    fit(compiled(network()), PruningCallback(ConstantSchedule(0.5), window=PruningWindow(end=50)))


def test_a_fit_without_epochs_neither_prunes_nor_warns():
    model = compiled(network())
    fit(model, PruningCallback(0.5, window=PruningWindow(end=0)), epochs=0)
    assert zeros(model) == dict.fromkeys(SIZES, 0)


class OwnOptimizer(keras.Model):
    """Trains with an optimizer of its own, as adversarial networks do."""

    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(3, name="head")
        self.own = keras.optimizers.SGD(0.01)

    def call(self, x):
        return self.head(x)

    def train_step(self, data):
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            loss = keras.ops.mean(keras.ops.square(self(x) - y))
        weights = self.trainable_variables
        self.own.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss}


def test_an_optimizer_that_applies_nothing_is_an_error_with_the_remedy():
    model = OwnOptimizer()
    x, y = np.ones((8, 4), np.float32), np.ones((8, 3), np.float32)
    model(x)
    model.compile("adam")
    with pytest.raises(ModelError, match=r"applied nothing in an epoch of 2 batches.*compile\(optimizer="):
        model.fit(x, y, batch_size=4, epochs=3, callbacks=[PruningCallback(0.5)], verbose=0)
    assert model.head.kernel.constraint is None
    model.compile(model.own)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, y, batch_size=4, epochs=3, callbacks=[PruningCallback(0.5)], verbose=0)
    assert zeros_of(model.head.kernel) == 6


def test_an_epoch_shorter_than_the_accumulation_of_gradients_is_no_error():
    model = compiled(network(), keras.optimizers.SGD(gradient_accumulation_steps=8))
    fit(model, PruningCallback(0.5))
    assert zeros(model) == HALF
