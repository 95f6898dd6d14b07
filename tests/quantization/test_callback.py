"""What a fit with QuantizationCallback computes, leaves behind, and survives."""

import keras
import numpy as np
import pytest

import tfzip
from tests.quantization.small import compiled, images, network
from tfzip.errors import OptionError, UnknownNameError
from tfzip.quantization.callback import QuantizationCallback
from tfzip.quantization_record import record_of


class Watch(keras.callbacks.Callback):
    """Writes down what the model predicts at every batch end, and its statistics."""

    def __init__(self, x):
        super().__init__()
        self.x, self.outputs, self.means = x, [], []

    def on_train_batch_end(self, batch, logs=None):
        self.outputs.append(np.asarray(self.model(self.x, training=False)))
        self.means.append(np.asarray(self.model.get_layer("stem_norm").moving_mean))


def fitted(*callbacks, epochs=3, model=None, **options):
    x, y = images()
    model = model or compiled(network())
    model.fit(x, y, batch_size=32, epochs=epochs, callbacks=list(callbacks), verbose=0, **options)
    return model


def distinct(values):
    return len(np.unique(values))


def test_outputs_lie_on_256_levels_from_the_second_batch_of_the_start_epoch():
    watch = Watch(images()[0])
    fitted(QuantizationCallback("int8", start=1), watch, epochs=2)
    levels = [distinct(outputs) for outputs in watch.outputs]
    assert all(count > 900 for count in levels[:3])
    assert all(count <= 256 for count in levels[3:])


def test_given_calibration_data_every_batch_is_simulated():
    watch = Watch(images()[0])
    fitted(QuantizationCallback("int8", calibration=images()[0][:32]), watch, epochs=1)
    assert all(distinct(outputs) <= 256 for outputs in watch.outputs)


def test_after_fit_the_model_computes_in_float_and_carries_the_grids():
    model = fitted(QuantizationCallback("int8"))
    x, _ = images()
    again = keras.models.clone_model(model)
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))
    record = record_of(model)
    assert record.scheme.name == "int8"
    low, high = record.ranges["stem_relu"]
    assert low == 0.0 < high


def test_the_validation_of_the_last_epoch_is_that_of_the_quantized_model():
    x, y = images()
    model = compiled(network())
    callback = QuantizationCallback("int8")
    history = model.fit(
        x, y, epochs=3, batch_size=32, validation_data=(x, y), callbacks=[callback], verbose=0
    )
    simulated = compiled(tfzip.quantize(model))
    loss, _ = simulated.evaluate(x, y, batch_size=32, verbose=0)
    assert loss == pytest.approx(history.history["val_loss"][-1], rel=1e-5)


def test_statistics_move_until_their_epoch_and_ranges_until_theirs():
    watch = Watch(images()[0])
    ranges = []

    class Ranges(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            ranges.append(dict(record_of(self.model).ranges))

    fitted(QuantizationCallback("int8", freeze_statistics=2, freeze_ranges=1), watch, Ranges(), epochs=4)
    moved = [not np.array_equal(a, b) for a, b in zip(watch.means, watch.means[1:], strict=False)]
    assert moved == [True] * 5 + [False] * 6
    assert ranges[0] != ranges[1] == ranges[2] == ranges[3]


def test_ranges_are_those_of_batches_while_statistics_move_and_of_what_was_learned_at_the_end():
    model, highs = compiled(network()), []
    norm = model.get_layer("stem_norm")
    norm.momentum = 1.0
    norm.moving_variance.assign(1e6 * np.ones(8))
    during = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: highs.append(record_of(model).ranges["stem_relu"][1])
    )
    fitted(QuantizationCallback("int8", freeze_statistics=9, freeze_ranges=9), during, model=model)
    assert min(highs) > 1.0
    assert record_of(model).ranges["stem_relu"][1] < 0.1
    np.testing.assert_array_equal(norm.moving_variance, 1e6)


def test_weights_learn_through_the_rounding():
    x, y = images()
    model = compiled(network())
    callback = QuantizationCallback("w4a8", freeze_statistics=0)
    history = model.fit(x, y, batch_size=16, epochs=25, callbacks=[callback], verbose=0)
    assert history.history["loss"][-1] < 0.6 * history.history["loss"][1]


def test_four_bit_kernels_have_fifteen_levels_per_channel():
    model = fitted(QuantizationCallback("w4a8"))
    record = record_of(model)
    steps = record.weight_scales["project/kernel"]
    assert steps.shape == (8,)
    kernel = np.asarray(model.get_layer("project").kernel).reshape(-1, 8)
    assert (np.abs(kernel) <= 7 / 0.35 * steps * 1.01).all()


@pytest.mark.parametrize(
    "options",
    [{"jit_compile": True}, {"steps_per_execution": 2}, {"run_eagerly": True}],
    ids=["xla", "several_steps", "eager"],
)
def test_every_way_to_compile_a_step_trains(options):
    model = fitted(QuantizationCallback("int8"), model=compiled(network(), **options), epochs=2)
    assert len(record_of(model).ranges) == 7


def test_mixed_precision_trains_with_kernels_rounded_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    watch = Watch(images()[0])
    fitted(QuantizationCallback("int8"), watch, model=compiled(model), epochs=2)
    assert distinct(watch.outputs[-1]) <= 256


def test_a_fit_may_follow_another_with_the_same_optimizer():
    model = fitted(epochs=1)
    steps = int(model.optimizer.iterations)
    fitted(QuantizationCallback("int8"), model=model, epochs=1)
    assert int(model.optimizer.iterations) == steps + 3


@pytest.mark.parametrize("kind", ["sequential", "nested", "subclassed"])
def test_models_of_every_kind_are_simulated(kind):
    model = compiled({"sequential": _sequential, "nested": _nested, "subclassed": _subclassed}[kind]())
    x, y = images()
    watch = _Levels(x)
    model.fit(x, y, batch_size=32, epochs=2, callbacks=[QuantizationCallback("int8"), watch], verbose=0)
    assert watch.levels[-1] <= 256


class _Levels(keras.callbacks.Callback):
    def __init__(self, x):
        super().__init__()
        self.x, self.levels = x, []

    def on_train_batch_end(self, batch, logs=None):
        self.levels.append(distinct(np.asarray(self.model(self.x, training=False))))


def _sequential():
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
    return keras.Sequential([*layers, keras.layers.ReLU(), keras.layers.Flatten(), keras.layers.Dense(10)])


def _nested():
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.ReLU()])
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inner(inputs))))


def _subclassed():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(4, 3)
            self.head = keras.layers.Dense(10)

        def call(self, x):
            return self.head(keras.ops.reshape(keras.ops.relu(self.conv(x)), (-1, 144)))

    model = Own()
    model(images(2)[0])
    return model


def test_files_keep_the_grids_and_load_without_them(tmp_path):
    path = tmp_path / "best.keras"
    weights = tmp_path / "best.weights.h5"
    saving = [
        keras.callbacks.ModelCheckpoint(path),
        keras.callbacks.ModelCheckpoint(weights, save_weights_only=True),
    ]
    model = fitted(QuantizationCallback("w4a8"), *saving)
    plain = keras.models.load_model(path)
    assert record_of(plain) is None
    x, _ = images()
    np.testing.assert_allclose(plain.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)
    loaded = tfzip.load_model(path)
    assert record_of(loaded).ranges == record_of(model).ranges
    fresh = network()
    fresh.load_weights(weights)
    np.testing.assert_array_equal(fresh.get_weights()[0], model.get_weights()[0])


def test_a_quantized_model_saves_and_loads(tmp_path):
    model = fitted(QuantizationCallback("w4a8"))
    simulated = tfzip.quantize(model)
    simulated.save(tmp_path / "simulated.keras")
    loaded = keras.models.load_model(tmp_path / "simulated.keras")
    x, _ = images()
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), simulated.predict(x, verbose=0))


def test_an_interrupted_fit_leaves_a_float_model_that_can_go_on():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise KeyboardInterrupt

    x, y = images()
    model = compiled(network())

    def data():
        for start in range(0, 96, 16):
            if start == 64:
                raise ValueError("broken file")
            yield x[start : start + 16], y[start : start + 16]

    with pytest.raises(Exception, match="broken file"):
        model.fit(data(), shuffle=False, callbacks=[QuantizationCallback("int8")], verbose=0)
    assert "call" not in vars(model)
    assert distinct(model.predict(x, verbose=0)) > 900
    fitted(QuantizationCallback("int8"), model=model, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        fitted(QuantizationCallback("int8"), Stop(), model=model)
    fitted(QuantizationCallback("int8"), model=model, epochs=1)
    assert "call" not in vars(model)


def test_a_fit_that_resumes_goes_on_with_its_grids(tmp_path):
    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise RuntimeError("power cut")

    def callbacks():
        return QuantizationCallback("w4a8", freeze_ranges=1), keras.callbacks.BackupAndRestore(tmp_path / "b")

    with pytest.raises(RuntimeError, match="power cut"):
        fitted(*callbacks(), Crash())
    watch = Watch(images()[0])
    fitted(*callbacks(), watch, epochs=3)
    assert len(watch.outputs) == 3
    assert distinct(watch.outputs[0]) <= 256


def test_arguments_out_of_range_are_refused():
    with pytest.raises(OptionError, match="start counts epochs from 0"):
        QuantizationCallback(start=-1)
    with pytest.raises(OptionError, match="rounds nothing"):
        QuantizationCallback("float16")
    with pytest.raises(UnknownNameError, match="Did you mean 'percentile'"):
        QuantizationCallback(observer="percentil")
    with pytest.raises(OptionError, match="not known"):
        tfzip.quantize(network())


def test_activations_that_are_not_finite_are_named():
    model = compiled(network())
    model.get_layer("project").kernel.assign(np.full((1, 1, 8, 8), np.nan))
    with pytest.raises(tfzip.TfzipError, match="'stem_relu' holds values that are not finite"):
        fitted(QuantizationCallback("int8"), model=model)


def test_masks_of_pruning_survive(tmp_path):
    pruning = tfzip.PruningCallback(tfzip.ConstantSchedule(0.5), layers="project")
    model = fitted(pruning, QuantizationCallback("w4a8"))
    assert np.mean(np.asarray(model.get_layer("project").kernel) == 0) == 0.5


def test_probabilities_keep_telling_the_loss_what_the_file_rounds_away():
    """A true class at 1e-4 has a gradient in training, where the file holds 0."""
    x = np.eye(4, dtype=np.float32)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), keras.layers.Softmax()])
    model.layers[0].set_weights([9 * np.eye(4, dtype=np.float32), np.zeros(4, np.float32)])
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    wrong = np.array([1, 2, 3, 0])
    callback = QuantizationCallback("int8", calibration=x)
    losses = model.fit(x, wrong, batch_size=4, epochs=3, callbacks=[callback], verbose=0).history["loss"]
    assert losses[0] < 10
    assert losses[-1] < losses[0] - 0.5
    assert (tfzip.quantize(model).predict(x, verbose=0) * 256 % 1 == 0).all()
