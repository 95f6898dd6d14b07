"""Supernets: the layer by hand, fair training, networks that are taken out, searches on shared weights."""

import keras
import numpy as np
import pytest

import tfzip
from tfzip.errors import OptionError

rng = np.random.default_rng(0)
X = rng.normal(size=(512, 8, 8, 2)).astype("float32")
Y = (X[:, 2:6, 2:6].mean((1, 2, 3)) > 0).astype("int32")


def small(options=None):
    layers = keras.layers
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(6, 3, padding="same", name="stem")(x)
    for block in range(2):
        made = (
            options()
            if options
            else {
                3: keras.Sequential(
                    [layers.Conv2D(6, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()]
                ),
                1: layers.Conv2D(6, 1, activation="relu"),
                0: None,
            }
        )
        x = tfzip.ChoiceLayer(made, name=f"block{block}")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2, "softmax", name="classes")(x))


@pytest.fixture(scope="module")
def trained():
    supernet = tfzip.Supernet(small())
    supernet.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = supernet.fit(X, Y, epochs=4, batch_size=64, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    return supernet


@pytest.fixture(scope="module")
def one_shot(trained):
    return tfzip.OneShot(trained, X[:256], Y[:256], calibration=X)


def test_a_layer_computes_its_option_or_the_mixture():
    layers = {"a": keras.layers.Dense(3, name="one"), "b": keras.layers.Dense(3, name="other"), "c": None}
    layer = tfzip.ChoiceLayer(layers, name="choice")
    x = rng.normal(size=(5, 3)).astype("float32")
    layer(x)
    parts = [np.asarray(layers["a"](x)), np.asarray(layers["b"](x)), x]
    for place, part in enumerate(parts):
        layer.place.assign(place)
        np.testing.assert_allclose(layer(x), part, rtol=1e-6)
    layer.mixed = np.array([0.5, 0.2, 0.3], "float32")
    np.testing.assert_allclose(layer(x), 0.5 * parts[0] + 0.2 * parts[1] + 0.3 * parts[2], rtol=1e-5)


def test_a_step_trains_every_option_of_every_choice_once():
    supernet = tfzip.Supernet(
        small(lambda: {k: keras.layers.Conv2D(6, k, padding="same") for k in (1, 3, 5)})
    )
    supernet.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    before = [[np.array(b.kernel) for b in layer.branches] for layer in supernet.choice_layers]
    supernet.fit(X[:32], Y[:32], batch_size=32, verbose=0)  # one step
    for layer, kernels in zip(supernet.choice_layers, before, strict=True):
        assert all(
            np.abs(np.array(b.kernel) - k).max() > 0 for b, k in zip(layer.branches, kernels, strict=True)
        )


def test_the_update_is_that_of_the_mean_over_paths():
    supernet = tfzip.Supernet(small(lambda: {0: keras.layers.Conv2D(6, 1, name="c"), 1: None}))
    head = supernet.model.get_layer("classes").kernel
    start = np.array(head)
    supernet.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    weights = supernet.get_weights()
    sums = {}
    for a in (0, 1):
        for b in (0, 1):
            plain = supernet.taken_out({"block0": a, "block1": b})
            plain.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
            plain.fit(X[:16], Y[:16], batch_size=16, verbose=0)
            sums[a, b] = np.array(plain.get_layer("classes").kernel) - start
    supernet.set_weights(weights)
    supernet.fit(X[:16], Y[:16], batch_size=16, verbose=0)
    moved = np.array(head) - start
    fair = [(sums[0, b] + sums[1, 1 - b]) / 2 for b in (0, 1)]  # the two ways of passing each option once
    assert min(np.abs(moved - one).max() for one in fair) < 1e-5


def test_uniform_sampling_passes_one_path():
    supernet = tfzip.Supernet(
        small(lambda: {k: keras.layers.Conv2D(6, k, padding="same") for k in (1, 3)}), sampling="uniform"
    )
    supernet.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    layer = supernet.choice_layers[0]
    before = [np.array(branch.kernel) for branch in layer.branches]
    supernet.fit(X[:32], Y[:32], batch_size=32, verbose=0)
    changed = [np.abs(np.array(b.kernel) - k).max() > 0 for b, k in zip(layer.branches, before, strict=True)]
    assert sorted(changed) == [False, True]


def test_a_network_that_is_taken_out_computes_what_the_supernet_does(trained, tmp_path):
    for choices in ({"block0": 3, "block1": 0}, {"block0": 1, "block1": 3}):
        trained.choose(choices)
        plain = trained.taken_out(choices)
        np.testing.assert_allclose(plain(X[:8]), trained(X[:8]), atol=1e-6)
        assert not [layer for layer in plain.layers if isinstance(layer, tfzip.ChoiceLayer)]
        path = tfzip.export(plain, tmp_path / "plain.tflite").path
        assert tfzip.inspect(path).macs == tfzip.profile(plain).macs
        plain.save(tmp_path / "plain.keras")
        np.testing.assert_allclose(keras.models.load_model(tmp_path / "plain.keras")(X[:8]), plain(X[:8]))


def test_statistics_are_those_of_the_network_alone(trained):
    plain = trained.taken_out({"block0": 3, "block1": 0}, X)
    inner = keras.Model(plain.inputs[0], plain.get_layer("stem").output)(X)
    block = plain.get_layer("block0")
    values = np.asarray(block.layers[0](inner))
    np.testing.assert_allclose(np.array(block.layers[1].moving_mean), values.mean((0, 1, 2)), atol=1e-4)


def test_costs_are_those_of_the_network(one_shot):
    for choices in one_shot.supernet.space:
        assert one_shot(choices)["macs"] == tfzip.profile(one_shot.supernet.taken_out(choices)).macs


@pytest.mark.parametrize("strategy", ["evolution", "gradient", {"name": "gradient", "binary": True}])
def test_searches_on_shared_weights_keep_the_cap_and_leave_the_supernet_alone(one_shot, strategy):
    before = one_shot.supernet.get_weights()
    cap = one_shot({"block0": 3, "block1": 1})["macs"]
    fields = {"name": strategy} if isinstance(strategy, str) else strategy
    fields |= {"steps": 40} if fields["name"] == "gradient" else {}
    found = tfzip.search(
        one_shot.supernet.space,
        one_shot,
        strategy=fields,
        constraints={"macs": cap},
        trials=6,
        storage=":memory:",
    )
    assert found.best.metrics["macs"] <= cap
    if fields["name"] == "gradient":
        assert all(trial.metrics["macs"] <= cap for trial in found.trials)
    assert all(layer.mixed is None for layer in one_shot.supernet.choice_layers)
    for old, new in zip(before, one_shot.supernet.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_costs_of_ones_own_are_added_up(trained):
    table = {"base": {"base": 1.0}, "block0": {3: 2.0, 1: 1.0, 0: 0.0}, "block1": {3: 4.0, 1: 2.0, 0: 0.0}}
    one_shot = tfzip.OneShot(trained, X[:64], Y[:64], calibration=X[:64], costs={"latency_ms": table})
    assert one_shot({"block0": 3, "block1": 1})["latency_ms"] == 5.0
    shares = {"block0": np.array([0.5, 0.5, 0.0], "float32"), "block1": np.array([0.0, 0.0, 1.0], "float32")}
    assert float(one_shot.expected(shares)["latency_ms"]) == pytest.approx(2.5)


def test_what_is_no_supernet_is_refused(trained):
    with pytest.raises(OptionError, match="at least one ChoiceLayer"):
        tfzip.Supernet(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    with pytest.raises(OptionError, match="give other shapes: 1"):
        tfzip.ChoiceLayer({1: keras.layers.Dense(2), 2: keras.layers.Dense(3)})(np.zeros((1, 2), "float32"))
    with pytest.raises(OptionError, match="layers by option"):
        tfzip.ChoiceLayer({})
    with pytest.raises(OptionError, match="Keras layer or None"):
        tfzip.ChoiceLayer({1: "relu"})
    with pytest.raises(OptionError, match=r"'block0' is one of \[3, 1, 0\]. Received: 7"):
        trained.choose({"block0": 7, "block1": 0})
    with pytest.raises(OptionError, match="has no"):
        tfzip.OneShot(trained, X[:8], Y[:8], calibration=X[:8], costs={"ms": {"block0": {3: 1.0}}})
