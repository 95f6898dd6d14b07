"""Channels disappear, the ones that matter least, and what is left computes the same as with zeros."""

import keras
import numpy as np
import pytest
from keras import layers

import tfzip
from tests.graph.channel_zoo import built, examples
from tfzip.errors import DataError, ModelError, OptionError, UnknownNameError
from tfzip.pruning.channels.target import per_cost, until_met
from tfzip.pruning.criteria import criteria

DATA_FREE = [name for name in criteria if not criteria.type_of(name).needs]


def classifier(width=12, seed=0):
    """Returns a small compiled network whose channels differ."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(width, 3, use_bias=False, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Conv2D(width, 3, activation="relu", name="second"),
            layers.BatchNormalization(name="other_norm"),
            layers.Flatten(),
            layers.Dense(4, name="head"),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for variable in model.weights:
        if "gamma" in variable.path:
            variable.assign(np.random.default_rng(seed).uniform(0.5, 1.5, variable.shape))
    return model


def data(count=64, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 8, 8, 1)).astype("float32"), rng.integers(0, 4, count)


def evidence(name, model):
    """Returns what a criterion looks at."""
    if criteria.type_of(name).needs != "start":
        return data()
    start = keras.models.clone_model(model)
    start.set_weights([0.5 * one for one in model.get_weights()])
    return start


def silence(model, layer, places):
    """Lets channels of a layer say nothing, and lets nothing be read of them."""
    kernel = np.array(model.get_layer(layer).kernel.numpy())
    kernel[..., places] = 0
    model.get_layer(layer).kernel.assign(kernel)


@pytest.mark.parametrize("name", sorted(criteria))
def test_every_criterion_removes_half(name):
    model = classifier()
    small = tfzip.remove_channels(model, 0.5, criterion=name, data=evidence(name, model))
    assert [small.get_layer(n).kernel.shape for n in ("first", "second")] == [(3, 3, 1, 6), (3, 3, 6, 6)]
    assert small.output_shape == model.output_shape


@pytest.mark.parametrize("name", sorted(set(criteria) - {"random", "batch_norm", "geometric_median"}))
def test_channels_that_do_nothing_go_first(name):
    model, dead = classifier(), [1, 4, 5, 10]
    silence(model, "first", dead)
    norm = model.get_layer("norm")
    for variable in (norm.gamma, norm.beta):
        values = np.array(variable.numpy())
        values[dead] = 0
        variable.assign(values)
    reads = np.array(model.get_layer("second").kernel.numpy())
    reads[:, :, dead] = 0
    model.get_layer("second").kernel.assign(reads)
    seen = evidence(name, model)
    small = tfzip.remove_channels(model, 1 / 3, criterion=name, data=seen, layers="first")
    alive = np.setdiff1d(np.arange(12), dead)
    np.testing.assert_array_equal(
        small.get_layer("first").kernel.numpy(), model.get_layer("first").kernel.numpy()[..., alive]
    )
    x = data()[0]
    np.testing.assert_allclose(small.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def test_the_model_is_left_as_it_is():
    model = classifier()
    before, config, optimizer = model.get_weights(), model.get_config(), model.optimizer
    for name in ("sensitivity", "taylor", "apoz"):
        tfzip.remove_channels(model, criterion=name, data=data())
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert model.get_config() == config
    assert model.optimizer is optimizer


def test_the_result_is_plain_and_trains():
    small = tfzip.remove_channels(classifier(), 0.5)
    assert {type(layer).__module__.split(".")[0] for layer in small.layers} == {"keras"}
    small.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = data()
    losses = small.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_a_global_ranking_takes_from_the_weaker_layer():
    model = classifier()
    model.get_layer("first").kernel.assign(model.get_layer("first").kernel * 1e-3)
    model.get_layer("second").kernel.assign(model.get_layer("second").kernel * 10)
    small = tfzip.remove_channels(
        model, 0.25, criterion="magnitude", scope="global", layers=["first", "second"]
    )
    widths = [small.get_layer(name).filters for name in ("first", "second")]
    assert sum(widths) == 18
    assert widths[0] != widths[1]


def test_isomorphic_ranking_compares_layers_of_one_kind():
    model = built("residual")
    small = tfzip.remove_channels(model, 0.5, scope="isomorphic")
    before = sorted(layer.filters for layer in model.layers if isinstance(layer, layers.Conv2D))
    after = sorted(layer.filters for layer in small.layers if isinstance(layer, layers.Conv2D))
    assert sum(after) < sum(before)
    assert min(after) >= 1


def test_widths_are_multiples():
    small = tfzip.remove_channels(classifier(width=30), 0.5, multiple_of=8)
    assert [small.get_layer(name).filters for name in ("first", "second")] == [16, 16]


def test_a_layer_narrower_than_the_multiple_stays():
    inputs = keras.Input((8,))
    hidden = layers.Dense(16, name="wide")(layers.Dense(6, name="narrow")(inputs))
    small = tfzip.remove_channels(keras.Model(inputs, layers.Dense(2)(hidden)), 0.5, multiple_of=8)
    assert [small.get_layer(name).units for name in ("narrow", "wide")] == [6, 8]


def test_a_multiple_that_leaves_everything_is_said():
    with pytest.raises(OptionError, match="multiple_of=8 leaves all layers .* the widest with 6 channels"):
        tfzip.remove_channels(classifier(width=6), 0.5, multiple_of=8)


def test_units_with_gates_and_shuffled_pixels_are_multiples_too():
    inputs = keras.Input((6, 3))
    units = layers.GRU(20, name="gru")(layers.LSTM(20, return_sequences=True, name="lstm")(inputs))
    small = tfzip.remove_channels(keras.Model(inputs, layers.Dense(2)(units)), 0.5, multiple_of=8)
    assert [small.get_layer(name).units for name in ("lstm", "gru")] == [8, 8]
    image = keras.Input((4, 4, 3))
    maps = layers.Reshape((8, 8, 20))(layers.Conv2D(80, 1, name="wide")(image))
    shuffled = keras.ops.nn.depth_to_space(layers.Conv2D(80, 1, name="shuffled")(image), 2)
    ends = [layers.Dense(2)(one) for one in (maps, shuffled)]
    small = tfzip.remove_channels(keras.Model(image, ends), 0.5, multiple_of=8, layers="shuffled")
    assert small.get_layer("shuffled").filters == 32


def test_groups_of_several_channels_are_multiples_of_what_is_missing():
    inputs = keras.Input((8, 8, 3))
    grouped = layers.Conv2D(32, 3, groups=8, name="grouped")(layers.Conv2D(16, 1)(inputs))
    small = tfzip.remove_channels(keras.Model(inputs, layers.Dense(2)(grouped)), 0.6, multiple_of=8)
    assert (small.get_layer("grouped").filters, small.get_layer("grouped").groups) == (16, 4)


def test_scores_in_loss_are_divided_by_what_a_channel_saves():
    def cost(removed):
        return 100.0 - sum(10.0 if unit < 2 else 1.0 if unit < 4 else 0.0 for unit in removed)

    dear, cheap, free = np.array([3.0, 6.0]), np.array([1.0, 2.0]), np.array([0.5])
    found = per_cost([dear, cheap, free], [[0, 1], [2, 3], [4]], cost)
    np.testing.assert_allclose(found[0], [0.3, 0.6])
    np.testing.assert_allclose(found[1], [1.0, 2.0])
    assert found[2][0] > 1e4  # saves nothing: the last to go


def test_a_target_of_macs_takes_dear_channels_first_where_they_matter_as_little():
    inputs = keras.Input((16, 16, 4))
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="dear")(inputs)
    x = layers.Conv2D(8, 3, strides=8, padding="same", name="between")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="cheap")(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    model.compile(loss="mse")
    rng = np.random.default_rng(0)
    data = rng.normal(size=(64, 16, 16, 4)).astype("float32"), rng.normal(size=(64, 3)).astype("float32")
    options = {"criterion": "fisher", "scope": "global", "data": data, "layers": ["dear", "cheap"]}
    by_channels = tfzip.remove_channels(model, 0.4, target="channels", **options)
    by_macs = tfzip.remove_channels(model, 0.4, target="macs", **options)
    assert by_macs.get_layer("cheap").filters > by_channels.get_layer("cheap").filters


@pytest.mark.parametrize("target", ["macs", "parameters"])
@pytest.mark.parametrize("name", ["residual", "separable", "attended", "recurrent"])
def test_a_target_is_met_closely(target, name):
    model = built(name)
    small = tfzip.remove_channels(model, 0.5, target=target, scope="global", criterion="l2")
    if target == "parameters":
        before, now = model.count_params(), small.count_params()
    else:
        before, now = tfzip.profile(model).macs, tfzip.profile(small).macs
    assert 0.2 * before < now <= 0.52 * before


def test_a_function_is_a_target():
    model = classifier()
    calls = []

    def cost(candidate):
        calls.append(candidate)
        return candidate.count_params()

    small = tfzip.remove_channels(model, 0.6, target=cost)
    assert small.count_params() <= 0.4 * model.count_params()
    assert calls[0] is model
    assert len(calls) < 20


def test_bytes_of_the_file_are_a_target(tmp_path):
    model = classifier(width=32)
    small = tfzip.remove_channels(model, 0.5, target="bytes")
    sizes = [tfzip.export(one, tmp_path / "m.tflite").size_bytes for one in (model, small)]
    assert 0.4 * sizes[0] < sizes[1] <= 0.5 * sizes[0]


def test_only_selected_layers_lose_channels():
    small = tfzip.remove_channels(classifier(), 0.5, layers="sec*")
    assert [small.get_layer(name).filters for name in ("first", "second")] == [12, 6]


def test_removing_at_random_depends_on_the_seed():
    model = classifier()
    kernels = [
        tfzip.remove_channels(model, criterion="random", seed=seed).get_layer("first").kernel.numpy()
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_data_come_in_batches():
    import tensorflow as tf

    x, y = data()
    model = classifier()
    one = tfzip.remove_channels(model, criterion="taylor", data=(x, y))
    other = tfzip.remove_channels(
        model, criterion="taylor", data=tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    )
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"fraction": 1.0}, OptionError, "below 1"),
        ({"fraction": -0.1}, OptionError, "at least 0"),
        ({"fraction": 0.98}, OptionError, "none of the 12 channels of 'first'"),
        ({"scope": "block"}, OptionError, "'isomorphic'"),
        ({"multiple_of": 0}, OptionError, "at least 1"),
        ({"target": "latency"}, OptionError, "'macs'"),
        ({"target": "macs", "fraction": 0.999}, OptionError, "cannot be met"),
        ({"criterion": "taylr"}, UnknownNameError, "taylor"),
        ({"criterion": "taylor"}, OptionError, "Pass data="),
        ({"criterion": "apoz"}, OptionError, "Pass data="),
        ({"criterion": "sensitivity"}, OptionError, "Pass data="),
        ({"criterion": "taylor", "data": data()[0]}, OptionError, "targets"),
        ({"criterion": "apoz", "data": iter(())}, DataError, "empty"),
        ({"criterion": "apoz", "data": 3}, DataError, "batches"),
        ({"layers": "head"}, OptionError, "the model returns them"),
        ({"layers": "heat"}, OptionError, "head"),
        ({"layers": layers.Dense(2)}, OptionError, "a glob pattern"),
        ({"layers": lambda path: True}, OptionError, r"called with \(path, layer\)"),
        ({"seed": "a"}, OptionError, "seed must be a whole number"),
        ({"seed": -1}, OptionError, "seed must be a whole number"),
        ({"fraction": float("nan")}, OptionError, "at least 0"),
        ({"fraction": "half"}, OptionError, "at least 0"),
        ({"multiple_of": 2.5}, OptionError, "multiple_of must be a whole number"),
        ({"criterion": "apoz", "data": np.full((8, 8, 8, 1), np.nan, "float32")}, DataError, "NaN"),
        ({"criterion": "apoz", "data": ([[1.0]], [0])}, DataError, "a row for each sample"),
        ({"criterion": "apoz", "data": np.zeros((8, 5, 5, 3), "float32")}, DataError, "fit the model"),
    ],
)
def test_bad_options_are_named(options, error, words):
    with pytest.raises(error, match=words):
        tfzip.remove_channels(classifier(), **options)


def test_numbers_of_numpy_are_numbers():
    small = tfzip.remove_channels(classifier(), np.float32(0.5), multiple_of=np.int64(2), seed=np.int32(1))
    assert small.get_layer("first").filters == 6


def test_inputs_of_a_model_with_several_come_as_a_list():
    inputs = [keras.Input((4,)), keras.Input((3,))]
    joined = layers.concatenate([layers.Dense(8, "relu", name="left")(inputs[0]), inputs[1]])
    model = keras.Model(inputs, layers.Dense(2)(joined))
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(16, width)).astype("float32") for width in (4, 3)]
    for given in (arrays, (arrays, None)):
        small = tfzip.remove_channels(model, criterion="mean_activation", data=given)
        assert small.get_layer("left").units == 4


def test_what_keras_cannot_make_again_is_named_with_the_remedy():
    def mine(x):
        return x * 2

    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(6)(layers.Dense(6, mine, name="own")(inputs))))
    with pytest.raises(ModelError, match=r"'own'.*mine.*register_keras_serializable") as caught:
        tfzip.remove_channels(model)
    assert "\x1b" not in str(caught.value)


def test_a_loss_is_asked_for():
    model = tfzip.rebuild(classifier())
    with pytest.raises(OptionError, match="Compile it"):
        tfzip.remove_channels(model, criterion="taylor", data=data())


def test_batch_normalization_is_asked_for():
    with pytest.raises(OptionError, match="layers="):
        tfzip.remove_channels(built("flattened"), criterion="batch_norm")


def test_a_lambda_that_reorders_channels_is_named():
    x = keras.Input((8, 8, 3))
    y = layers.Lambda(lambda t: t[..., ::-1], name="reversed")(layers.Conv2D(6, 3, name="conv")(x))
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))
    with pytest.raises(OptionError, match="reversed"):
        tfzip.remove_channels(model, layers="conv")


def test_an_unbuilt_model_is_an_error():
    with pytest.raises(ModelError, match="not built"):
        tfzip.remove_channels(keras.Sequential([layers.Dense(3)]))


def test_coupled_layers_are_named():
    with pytest.raises(OptionError, match="coupled"):
        tfzip.remove_channels(built("residual"), layers="conv2d")


@pytest.mark.parametrize("name", ["residual", "concatenated", "recurrent", "shared", "grouped"])
@pytest.mark.parametrize("criterion", ["taylor", "apoz", "hrank", "mean_activation", "fisher", "sensitivity"])
def test_criteria_with_data_work_on_all_kinds_of_groups(name, criterion):
    model = built(name)
    model.compile("adam", "mse")
    x = examples(model, batch=4)
    y = np.asarray(model(x)) + 1.0
    small = tfzip.remove_channels(model, 0.5, criterion=criterion, data=(x, y))
    assert small.count_params() < model.count_params()


def test_activations_of_heads_cannot_be_seen():
    model = built("attended")
    with pytest.raises(OptionError, match="multi_head_attention"):
        tfzip.remove_channels(model, criterion="apoz", data=examples(model))


def test_a_criterion_of_channels_masks_no_weights():
    with pytest.raises(OptionError, match="remove_channels"):
        tfzip.PruningCallback(0.5, criterion="taylor")


def test_movement_takes_what_training_shrinks_however_large():
    model = classifier()
    start = keras.models.clone_model(model)
    start.set_weights(model.get_weights())
    kernel = np.array(model.get_layer("first").kernel.numpy())
    kernel[..., :6] *= 4.0
    start.get_layer("first").kernel.assign(kernel * np.where(np.arange(12) < 6, 1.5, 0.5))
    model.get_layer("first").kernel.assign(kernel)
    small = tfzip.remove_channels(model, 0.5, criterion="movement", data=start, layers="first")
    np.testing.assert_array_equal(small.get_layer("first").kernel.numpy(), kernel[..., 6:])


def test_movement_asks_for_the_model_before_training():
    model = classifier()
    with pytest.raises(OptionError, match="before training"):
        tfzip.remove_channels(model, criterion="movement")
    with pytest.raises(OptionError, match="before training"):
        tfzip.remove_channels(model, criterion="movement", data=data())
    with pytest.raises(OptionError, match="has other weights"):
        tfzip.remove_channels(model, criterion="movement", data=classifier(width=8))


def test_statistics_of_inputs_stay():
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(3, 5, (100, 6)))
    model = keras.Sequential([keras.Input((6,)), normalization, layers.Dense(8, "relu"), layers.Dense(3)])
    x = np.random.default_rng(1).normal(size=(4, 6)).astype("float32")
    small = tfzip.remove_channels(model, 0.0)
    np.testing.assert_allclose(small(x), model(x), rtol=1e-5, atol=1e-6)


def test_a_layer_as_activation_keeps_its_channels():
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, activation=layers.Softmax()), layers.Dense(2)]
    )
    with pytest.raises(OptionError, match="cannot be followed"):
        tfzip.remove_channels(model, 0.5)


def two_outputs():
    """Returns a compiled and trained model with two losses, and its data."""
    keras.utils.set_random_seed(0)
    one, other = keras.Input((4,)), keras.Input((4,))
    hidden = layers.Dense(8, "relu")(layers.Concatenate()([one, other]))
    model = keras.Model([one, other], [layers.Dense(2)(hidden), layers.Dense(1)(hidden)])
    model.compile("sgd", ["mse", "mse"])
    rng = np.random.default_rng(0)
    x, y = [rng.normal(size=(16, 4)) for _ in "ab"], [rng.normal(size=(16, size)) for size in (2, 1)]
    model.fit(x, y, verbose=0)
    return model, (x, y)


@pytest.mark.parametrize("options", [{"criterion": "taylor"}, {"scope": "greedy"}, {}])
def test_metrics_are_left_as_they_are(options):
    model, rows = two_outputs()
    before, step = [one.result() for one in model.metrics], model.test_function
    if options:
        tfzip.remove_channels(model, 0.5, data=rows, **options)
    else:
        tfzip.channel_sensitivity(model, rows, ratios=(0.5,))
    assert model.test_function is step
    for one, metric in zip(before, model.metrics, strict=True):
        np.testing.assert_array_equal(keras.tree.flatten(one), keras.tree.flatten(metric.result()))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"fraction": "0.5"}, OptionError, "at least 0 and below 1"),
        ({"fraction": 0.99, "scope": "global"}, OptionError, "cannot be met"),
        ({"multiple_of": True}, OptionError, "whole number"),
        ({"criterion": "taylor", "data": "abc"}, DataError, "are arrays"),
        ({"criterion": "taylor", "data": (*data(), np.ones(64))}, DataError, "Sample weights"),
        ({"criterion": "apoz", "data": np.zeros((8, 3, 3, 1), "float32")}, DataError, "fit the model"),
        ({"criterion": "taylor", "data": (data()[0], np.eye(4)[data()[1]])}, DataError, "fit the model"),
        ({"criterion": "taylor", "data": (np.full((8, 8, 8, 1), np.nan), np.zeros(8))}, DataError, "NaN"),
        ({"target": lambda _: float("nan")}, OptionError, "a finite number"),
        ({"target": lambda _: "slow"}, OptionError, "a finite number"),
    ],
)
def test_unfit_options_and_data_are_one_line(options, error, words):
    with pytest.raises(error, match=words) as raised:
        tfzip.remove_channels(classifier(), **({"fraction": 0.5} | options))
    assert len(str(raised.value).splitlines()) == 1


def test_a_cost_that_takes_long_is_met_by_one_that_does_not():
    asked, sizes = [], {0: 100.0}

    def choose(fraction):
        asked.append(fraction)
        sizes[len(asked)] = 100.0 * (1 - 0.9 * fraction)  # saves less than the cost it chooses by
        return [0] * len(asked)

    assert len(until_met(choose, 0.5, lambda removed: sizes[len(removed)])) == len(asked)
    assert sizes[len(asked)] <= 50.0 < sizes[len(asked) - 1]
    with pytest.raises(OptionError, match="cannot be met"):
        until_met(choose, 0.95, lambda removed: sizes[len(removed)])
