"""Hypermodels as spaces: everything that they ask for is found, and every sample builds."""

import keras
import numpy as np
import pytest

import tfzip
from tfzip.errors import OptionError

kt = pytest.importorskip("keras_tuner", reason="KerasTuner is not installed")


class Hyper(kt.HyperModel):
    """As users write them: a loop of which later rounds are asked for late, a scope, floats, a log range."""

    def build(self, hp):
        model = keras.Sequential([keras.Input((6,))])
        for i in range(hp.Int("layers", 1, 3)):
            model.add(keras.layers.Dense(hp.Int(f"units_{i}", 4, 12, step=4)))
            model.add(keras.layers.Activation(hp.Choice(f"act_{i}", ["relu", "tanh"])))
        kind = hp.Choice("end", ["drop", "plain"])
        with hp.conditional_scope("end", ["drop"]):
            if kind == "drop":
                model.add(keras.layers.Dropout(hp.Float("rate", 0.1, 0.5, step=0.1)))
        if hp.Boolean("bias"):
            model.add(keras.layers.Dense(3))
        model.add(keras.layers.Dense(hp.Fixed("classes", 2)))
        model.compile(keras.optimizers.SGD(hp.Float("rate_of_learning", 1e-4, 1e-1, sampling="log")), "mse")
        return model


@pytest.fixture(scope="module")
def networks():
    return tfzip.from_keras_tuner(Hyper())


def test_everything_that_is_asked_for_is_found(networks):
    parameters = networks.space.parameters
    assert parameters["layers"] == tfzip.IntRange(1, 3)
    assert {f"units_{i}" for i in range(3)} <= set(parameters)
    assert parameters["units_2"].options == (4, 8, 12)
    assert parameters["act_1"].options == ("relu", "tanh")
    assert parameters["bias"].options == (False, True)
    assert parameters["rate"].only_if == {"end": ["drop"]}
    np.testing.assert_allclose(parameters["rate"].options, [0.1, 0.2, 0.3, 0.4, 0.5])
    np.testing.assert_allclose(parameters["rate_of_learning"].options, np.geomspace(1e-4, 1e-1, 10))
    assert "classes" not in parameters


def test_every_sample_builds_what_it_says(networks):
    rng = np.random.default_rng(0)
    for _ in range(8):
        choices = networks.space.sample(rng)
        model = networks.build(choices)
        dense = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
        wanted = [choices[f"units_{i}"] for i in range(choices["layers"])]
        assert dense == [*wanted, *([3] if choices["bias"] else []), 2]
        rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
        assert rates == ([choices["rate"]] if choices["end"] == "drop" else [])
        assert float(model.optimizer.learning_rate) == pytest.approx(choices["rate_of_learning"])


def test_a_search_goes_through_a_function_of_hyperparameters():
    def build(hp):
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(hp.Int("units", 1, 9))])

    networks = tfzip.from_keras_tuner(build)

    def objective(choices):
        units = networks.build(choices).layers[-1].units
        return {"accuracy": -abs(units - 6)}

    found = tfzip.search(networks.space, objective, trials=30, storage=":memory:")
    assert found.best.choices == {"units": 6}


def test_what_is_no_space_is_refused():
    with pytest.raises(OptionError, match="asks for nothing"):
        tfzip.from_keras_tuner(lambda hp: None)

    def twice(hp):
        hp.Choice("kind", ["a", "b"])
        for kind in "ab":
            with hp.conditional_scope("kind", [kind]):
                hp.Int("size", 1, 9)

    with pytest.raises(OptionError, match="'size' twice"):
        tfzip.from_keras_tuner(twice)
