"""What a fit with ClusteringCallback keeps at every batch, leaves behind, and refuses."""

import keras
import numpy as np
import pytest

import tfzip
from tests.quantization.small import compiled as compiled_by_choice
from tests.quantization.small import images, network
from tfzip.errors import ModelError, OptionError, UnknownNameError
from tfzip.quantization.clustering.callback import ClusteringCallback
from tfzip.tflite import read

CHANNELS = {"stem": -1, "depthwise": 2, "project": -1, "side": -1, "head": -1}


def compiled(model, optimizer="adam"):
    """Compiles without XLA, which `test_clustering_modes` covers: steps are traced in less time."""
    return compiled_by_choice(model, optimizer, jit_compile=False)


def channels_of(model, name):
    """Returns the kernel of a layer with a row for each output channel."""
    kernel = np.asarray(model.get_layer(name).kernel, np.float64)
    return np.moveaxis(kernel, CHANNELS[name], 0).reshape(kernel.shape[CHANNELS[name]], -1)


def ratios(rows):
    """Returns the different weights of a kernel in units of their channel's largest, up to rounding."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    ordered = np.sort((rows / np.where(largest > 0, largest, 1)).reshape(-1))
    return ordered[np.diff(ordered, prepend=-np.inf) > 1e-5]


class Watch(keras.callbacks.Callback):
    """Notes at each batch end the most values of a channel and the most codes of a kernel."""

    def on_train_begin(self, logs=None):
        self.values, self.codes, self.kernels = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        rows = {name: channels_of(self.model, name) for name in CHANNELS}
        self.values.append(max(len(np.unique(row)) for found in rows.values() for row in found))
        self.codes.append(max(len(ratios(found)) for found in rows.values()))
        self.kernels.append(rows)


def fitted(*callbacks, epochs=2, model=None, **options):
    x, y = images()
    model = model or compiled(network())
    model.fit(x, y, batch_size=16, epochs=epochs, callbacks=list(callbacks), verbose=0, **options)
    return model


def test_a_kernel_has_one_small_codebook_at_every_batch_end():
    watch = Watch()
    fitted(ClusteringCallback(8), watch)
    assert watch.codes == [8] * 12
    assert watch.values == [8] * 12


def test_with_a_codebook_for_each_channel_its_values_are_few_at_every_batch_end():
    watch = Watch()
    callback = ClusteringCallback(4, per_channel=True)
    fitted(callback, watch)
    assert watch.values == [4] * 12
    assert max(watch.codes) > 16
    assert {one.codebooks for one in callback.summary().kernels} == {4, 8, 10}


def test_kernels_whose_rows_are_square_share_along_the_right_axis():
    model = compiled(network())
    fitted(ClusteringCallback(4, per_channel=True, layers="project"), model=model, epochs=1)
    assert {len(np.unique(row)) for row in channels_of(model, "project")} <= {3, 4}


def test_codes_move_and_weights_learn():
    x, y = images()
    model = compiled(network(), keras.optimizers.Adam(3e-3))
    watch = Watch()
    history = model.fit(x, y, batch_size=16, epochs=8, callbacks=[ClusteringCallback(8), watch], verbose=0)
    assert history.history["loss"][-1] < 0.95 * history.history["loss"][0]
    assert not np.allclose(ratios(watch.kernels[0]["head"]), ratios(watch.kernels[-1]["head"]), atol=1e-3)


def linear(rate):
    """Returns a linear model under gradient descent, and a batch for it."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(3, use_bias=False, name="head")])
    model.compile(keras.optimizers.SGD(rate), "mse")
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(16, 40)).astype(np.float32), rng.normal(size=(16, 3)).astype(np.float32)
    return model, x, y


def test_under_gradient_descent_a_value_moves_by_the_mean_gradient_of_its_members():
    """One step on a linear model, whose gradient is written down by hand: 2 x^T (x w - y) / n."""
    model, x, y = linear(0.1)
    model.get_layer("head").kernel.assign(tfzip.cluster(model, 4, per_channel=True).get_layer("head").kernel)
    before = np.asarray(model.get_layer("head").kernel, np.float64)
    callback = ClusteringCallback(4, per_channel=True, freeze_codes=0)
    model.fit(x, y, batch_size=16, callbacks=[callback], verbose=0)
    after = np.asarray(model.get_layer("head").kernel)
    gradient = 2 * x.T @ (x @ before - y) / y.size
    for channel in range(3):
        for value in np.unique(before[:, channel]):
            members = before[:, channel] == value
            expected = value - 0.1 * gradient[members, channel].mean()
            np.testing.assert_allclose(after[members, channel], expected, rtol=1e-4)


def test_moving_codes_are_one_round_of_k_means_on_weights_trained_straight_through():
    """Two steps on a linear model beside a loop that keeps the weights that are not shared."""
    model, x, y = linear(0.5)
    whole = np.asarray(model.get_layer("head").kernel, np.float64)
    shared = np.asarray(tfzip.cluster(model, 4, per_channel=True).get_layer("head").kernel, np.float64)
    changed = 0
    for _ in range(2):
        whole -= 0.5 * 2 * x.T @ (x @ shared - y) / y.size
        for channel, weights in enumerate(whole.T):
            members = [shared[:, channel] == value for value in np.unique(shared[:, channel])]
            means = np.sort([weights[own].mean() for own in members])
            code = np.abs(weights[:, None] - means).argmin(axis=1)
            shared[:, channel] = [weights[code == own].mean() for own in code]
            changed += sum(len(np.unique(code[own])) > 1 for own in members)
    callback = ClusteringCallback(4, per_channel=True)
    model.fit(x, y, batch_size=16, epochs=2, callbacks=[callback], verbose=0)
    np.testing.assert_allclose(model.get_layer("head").kernel, shared, rtol=1e-4, atol=1e-6)
    assert changed


@pytest.mark.parametrize("per_channel", [False, True])
def test_weights_change_their_codes_until_these_freeze(per_channel):
    watch = Watch()
    callback = ClusteringCallback(8, per_channel=per_channel, freeze_codes=2)
    fitted(callback, watch, model=compiled(network(), keras.optimizers.Adam(1e-2)), epochs=4)

    def partitions(batches):
        rows = [watch.kernels[batch]["head"] for batch in batches]
        return {np.unique(row, return_inverse=True)[1].tobytes() for found in rows for row in found[:1]}

    assert len(partitions(range(12))) > 6
    assert len(partitions(range(12, 24))) <= 2  # values of one channel may come to change places


def test_zeros_of_a_pruned_model_stay_exactly_where_they_are():
    model = fitted(tfzip.PruningCallback(tfzip.ConstantSchedule(0.5)))
    zeros = {name: channels_of(model, name) == 0 for name in CHANNELS}
    watch = Watch()
    callback = ClusteringCallback(8)
    fitted(callback, watch, model=model)
    for rows in watch.kernels:
        for name, expected in zeros.items():
            np.testing.assert_array_equal(rows[name] == 0, expected)
    assert max(watch.codes) == 8
    assert max(one.values for one in callback.summary().kernels) == 8


@pytest.mark.parametrize("clustering_first", [True, False])
def test_pruning_and_clustering_run_in_one_fit_in_either_order(clustering_first):
    model = compiled(network())
    kernel = model.get_layer("project").kernel
    kernel.constraint = constraint = keras.constraints.NonNeg()
    watch = Watch()
    pruning = tfzip.PruningCallback(0.5, window=tfzip.PruningWindow(end=8, unit="steps", every=2))
    pair = [ClusteringCallback(8), pruning] if clustering_first else [pruning, ClusteringCallback(8)]
    fitted(*pair, watch, model=model)
    assert max(watch.codes) <= 8
    assert np.mean(watch.kernels[-1]["head"] == 0) == 0.5
    assert (watch.kernels[-1]["project"] >= 0).all()
    assert kernel.constraint is constraint
    assert model.get_layer("head").kernel.constraint is None
    assert np.mean(channels_of(model, "head") == 0) == 0.5
    assert len(ratios(channels_of(model, "head"))) <= 8


def test_clustering_starts_with_its_epoch():
    watch = Watch()
    fitted(ClusteringCallback(8, start=1), watch)
    assert min(watch.codes[:6]) > 100
    assert watch.codes[6:] == [8] * 6


def test_the_integers_of_the_file_are_those_of_one_codebook(tmp_path):
    model = compiled(network())
    model.get_layer("stem_norm").gamma.assign([1, -2, 0.5, 3, -1, 1, 0.1, -0.3])
    fitted(ClusteringCallback(8), model=model)
    tfzip.export(model, tmp_path / "m.tflite", scheme="int8", calibration=images()[0])
    graph = read(tmp_path / "m.tflite")
    weights = [t for t in graph.main.tensors if t.is_constant and t.dtype == "int8" and len(t.scales) > 1]
    assert len(weights) == 5
    assert all(len(np.unique(graph.constant(tensor))) <= 8 for tensor in weights)


def test_clusters_survive_quantization_aware_training(tmp_path):
    watch = Watch()
    model = fitted(tfzip.QuantizationCallback("int8"), ClusteringCallback(8), watch, epochs=3)
    assert watch.codes == [8] * 18
    tfzip.export(model, tmp_path / "m.tflite")
    graph = read(tmp_path / "m.tflite")
    weights = [t for t in graph.main.tensors if t.is_constant and t.dtype == "int8" and len(t.scales) > 1]
    assert all(len(np.unique(graph.constant(tensor))) <= 8 for tensor in weights)


def test_files_of_every_epoch_share_weights_and_load_without_tfzip(tmp_path):
    saving = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    fitted(ClusteringCallback(8), saving)
    for epoch in (1, 2):
        loaded = keras.models.load_model(tmp_path / f"{epoch}.keras")
        assert len(ratios(channels_of(loaded, "head"))) <= 8


def test_weights_that_early_stopping_restores_keep_their_own_codes():
    watch = Watch()
    stopping = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=100, restore_best_weights=True)
    model = fitted(stopping, ClusteringCallback(8), watch, epochs=3)
    np.testing.assert_array_equal(channels_of(model, "head"), watch.kernels[5]["head"])


def test_averages_written_at_the_end_of_training_are_shared_again():
    averaging = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    model = fitted(ClusteringCallback(8), model=compiled(network(), averaging))
    assert len(ratios(channels_of(model, "head"))) <= 8


def test_cluster_returns_a_new_model_and_trains_nothing():
    model = network()
    before = model.get_weights()
    shared = tfzip.cluster(model, 8, layers="head")
    assert len(ratios(channels_of(shared, "head"))) == 8
    np.testing.assert_array_equal(channels_of(shared, "stem"), channels_of(model, "stem"))
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    again = tfzip.cluster(shared, 8, layers="head")
    np.testing.assert_allclose(channels_of(again, "head"), channels_of(shared, "head"), rtol=1e-6)


def test_kernels_without_channels_in_the_file_have_one_scale():
    tokens = keras.Input((6,), dtype="int32")
    x = keras.layers.LSTM(5, name="memory")(keras.layers.Embedding(20, 8, name="embed")(tokens))
    model = tfzip.cluster(keras.Model(tokens, keras.layers.Dense(3, name="head")(x)), 4)
    assert len(np.unique(model.get_layer("embed").get_weights()[0])) == 4
    assert len(np.unique(model.get_layer("memory").get_weights()[1])) == 4


def test_the_summary_says_what_is_shared_and_why_the_rest_is_not():
    callback = ClusteringCallback(9, per_channel=True)
    with pytest.raises(OptionError, match="Pass it to model.fit first"):
        callback.summary()
    fitted(callback, epochs=1)
    lines = str(callback.summary()).splitlines()
    assert lines[0].split() == ["kernel", "shape", "codebooks", "values"]
    assert [line.split() for line in lines if line.startswith("head/kernel")] == [
        ["head/kernel", "192x10", "10", "9"]
    ]
    assert "has 9 weights in a channel, no more than clusters=9" in str(callback.summary())
    assert "head/bias" in str(callback.summary())


def test_two_callbacks_share_disjoint_layers_and_refuse_the_same():
    model = fitted(ClusteringCallback(8, layers="head"), ClusteringCallback(4, layers="stem"), epochs=1)
    assert len(ratios(channels_of(model, "head"))) == 8
    assert len(ratios(channels_of(model, "stem"))) == 4
    with pytest.raises(OptionError, match="Two ClusteringCallbacks share the weights of 'head/kernel'"):
        fitted(ClusteringCallback(8, layers="head"), ClusteringCallback(4, layers="head"), model=model)
    fitted(ClusteringCallback(4), model=model, epochs=1)
    assert model.get_layer("head").kernel.constraint is None


def test_an_interrupted_step_leaves_the_constraints_that_were_there():
    x, y = images()

    def data():
        yield x[:16], y[:16]
        raise ValueError("broken file")

    model = compiled(network())
    with pytest.raises(Exception, match="broken file"):
        model.fit(data(), callbacks=[ClusteringCallback(8)], shuffle=False, verbose=0)
    assert model.get_layer("head").kernel.constraint is None


def test_training_that_diverges_ends_with_an_error_and_without_constraints():
    model = compiled(network(), keras.optimizers.SGD(1e30))
    with pytest.raises(ModelError, match="Training has diverged"):
        fitted(ClusteringCallback(8), model=model, epochs=1)
    assert all(model.get_layer(name).kernel.constraint is None for name in CHANNELS)


def test_weights_that_are_not_finite_are_named():
    model = compiled(network())
    model.get_layer("project").kernel.assign(np.full((1, 1, 8, 8), np.nan))
    with pytest.raises(ModelError, match=r"diverged: 'project/kernel'.*Lower the learning rate"):
        fitted(ClusteringCallback(8), model=model)
    assert model.get_layer("head").kernel.constraint is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"clusters": 2}, OptionError, "from 3 to 256. Received: 2"),
        ({"clusters": 16.0}, OptionError, "from 3 to 256. Received: 16.0"),
        ({"initialization": "densty"}, UnknownNameError, "Did you mean 'density'"),
        ({"start": -1}, OptionError, "counts epochs from 0"),
        ({"freeze_codes": -1}, OptionError, "freeze_codes counts epochs from 0, or is None. Received: -1"),
        ({"freeze_codes": 1.5}, OptionError, "freeze_codes counts epochs from 0, or is None. Received: 1.5"),
    ],
)
def test_wrong_arguments_say_what_was_expected(arguments, error, message):
    with pytest.raises(error, match=message):
        ClusteringCallback(**arguments)


def test_models_that_cannot_be_clustered_say_why():
    with pytest.raises(ModelError, match="Call model.compile"):
        ClusteringCallback().set_model(network())
    with pytest.raises(OptionError, match="can be clustered: head/kernel is frozen"):
        tfzip.cluster(
            keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head", trainable=False)])
        )
