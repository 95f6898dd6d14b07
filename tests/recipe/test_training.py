"""What a training refuses, and that a restart point holds all that the next epoch depends on."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tfzip.errors import DataError, OptionError
from tfzip.recipe.augmentations import augmentations
from tfzip.recipe.checkpoint import EpochCheckpoint
from tfzip.recipe.steps.step import Work
from tfzip.recipe.steps.train import TrainStep
from tfzip.recipe.training import fit, make_optimizer, shuffled_batches
from tfzip.sources.data import DataSplits

ROWS = 60


class KilledError(Exception):
    """Stands for the end of a process."""


class KillInEpoch(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KilledError


def small_model(activation="softmax", classes=3):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, activation="relu")(inputs)
    x = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(x))
    return keras.Model(inputs, keras.layers.Dense(classes, activation=activation)(x))


def data(**changes):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ROWS, 4)).astype(np.float32), rng.integers(0, 3, ROWS)
    whole = DataSplits(x, y, x[:10], y[:10], x[:10], y[:10], x, y)
    return replace(whole, **changes)


def work(folder, **changes):
    found = Work("w", folder, folder / "m.keras", data(), (), "key", 3, False, lambda line: None)
    return replace(found, **changes)


PLAN = TrainStep(epochs=4, batch_size=16, learning_rate=0.01)


def test_a_training_ended_in_any_epoch_goes_on_with_the_same_numbers(tmp_path):
    whole = small_model()
    expected = fit(whole, PLAN, work(tmp_path))
    for epoch in (1, 3):
        (folder := tmp_path / str(epoch)).mkdir()
        with pytest.raises(KilledError):
            fit(small_model(), PLAN, work(folder), [KillInEpoch(epoch)])
        resumed = small_model()
        assert fit(resumed, PLAN, work(folder)) == expected
        for variable, other in zip(resumed.variables, whole.variables, strict=True):
            np.testing.assert_array_equal(variable, other)


def test_a_restart_point_of_another_training_is_not_used(tmp_path):
    with pytest.raises(KilledError):
        fit(small_model(), PLAN, work(tmp_path), [KillInEpoch(2)])
    assert EpochCheckpoint(tmp_path / "restart.npz", "key", print).initial_epoch == 2
    assert EpochCheckpoint(tmp_path / "restart.npz", "other", print).initial_epoch == 0


def test_every_epoch_sees_every_row_once_in_an_order_of_its_own():
    rows = np.arange(ROWS, dtype=np.float32)[:, None]
    batches = [y for _, y in shuffled_batches(rows, np.arange(ROWS), PLAN, 0, 0)]
    epochs = np.concatenate(batches).reshape(4, ROWS)
    assert all(sorted(epoch) == list(range(ROWS)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    late = np.concatenate([y for _, y in shuffled_batches(rows, np.arange(ROWS), PLAN, 0, 2)])
    np.testing.assert_array_equal(late, epochs[2:].ravel())


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
def test_the_rate_falls_along_half_a_cosine(name):
    optimizer = make_optimizer(replace(PLAN, optimizer=name, learning_rate=0.5), 10)
    assert type(optimizer).__name__.lower() == name
    assert float(optimizer.learning_rate) == pytest.approx(0.5)
    optimizer.iterations.assign(20)
    assert float(optimizer.learning_rate) == pytest.approx(0.25)
    optimizer.iterations.assign(40)
    assert float(optimizer.learning_rate) == pytest.approx(0.0)


def test_the_rate_rises_first_where_that_is_asked_for():
    optimizer = make_optimizer(replace(PLAN, learning_rate=0.5, warm_up=0.25), 10)
    rates = []
    for step in (0, 5, 10, 25, 40):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0.0, 0.25, 0.5, 0.25, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"warm_up": 1.0}, "warm_up is a share below 1"),
        ({"warm_up": 0.1, "decay": "none"}, "comes before decay = 'cosine'"),
        ({"weight_decay": -1.0}, "weight_decay is at least 0"),
    ],
)
def test_bad_rates_are_one_line(fields, message):
    with pytest.raises(OptionError, match=message):
        replace(PLAN, **fields)


def test_augmented_epochs_do_not_depend_on_where_training_began():
    rows = np.random.default_rng(0).normal(size=(ROWS, 5, 2)).astype(np.float32)
    plan = replace(PLAN, augment=(augmentations.get("shift"), augmentations.get("noise")))
    whole = [x for x, _ in shuffled_batches(rows, np.arange(ROWS), plan, 0, 0)]
    late = [x for x, _ in shuffled_batches(rows, np.arange(ROWS), plan, 0, 2)]
    np.testing.assert_array_equal(np.concatenate(late), np.concatenate(whole)[2 * ROWS :])


def test_models_with_several_inputs_are_not_augmented(tmp_path):
    plan = replace(PLAN, augment=(augmentations.get("noise"),))
    values = data(x_train={"a": np.zeros((ROWS, 4), np.float32), "b": np.zeros((ROWS, 4), np.float32)})
    with pytest.raises(DataError, match="augment is for models with one input. This data has a, b"):
        fit(small_model(), plan, work(tmp_path, data=values))


def test_logits_taken_for_probabilities_are_refused_with_the_remedy(tmp_path):
    with pytest.raises(OptionError, match="Set from_logits = true"):
        fit(small_model(activation=None), PLAN, work(tmp_path))
    fit(small_model(activation=None), replace(PLAN, from_logits=True, epochs=1), work(tmp_path))


def test_training_that_diverges_is_stopped_with_the_remedy(tmp_path):
    plan = replace(PLAN, loss="mean_squared_error", learning_rate=1e30, optimizer="sgd", decay="none")
    values = data(y_train=np.full(ROWS, 1e30, np.float32), y_val=np.zeros(10, np.float32))
    with pytest.raises(OptionError, match=r"diverged in epoch \d.*Lower learning_rate"):
        fit(small_model("linear", 1), plan, work(tmp_path, data=values))


def test_a_loss_that_does_not_fit_the_targets_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"Training failed: .*Check that the loss") as caught:
        fit(small_model(), replace(PLAN, loss="categorical_crossentropy"), work(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": None}, "needs targets"),
        ({"x_train": np.zeros((0, 4), np.float32), "y_train": np.zeros(0, int)}, "training split is empty"),
        ({"x_train": np.zeros((ROWS, 5), np.float32)}, r"inputs of shape \(4,\); the data has \(5,\)"),
        ({"y_train": np.full(ROWS, 3)}, r"labels are 3\.\.3 and the model has 3 outputs"),
    ],
)
def test_data_that_do_not_fit_are_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        fit(small_model(), PLAN, work(tmp_path, data=data(**changes)))
