import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.pruning.small import SIZES, ZeroObserver, compiled, images, network, zeros_of
from tfzip.errors import ModelError, OptionError, UnknownNameError
from tfzip.pruning.callback import PruningCallback
from tfzip.pruning.criteria import MovementCriterion
from tfzip.pruning.schedules import ConstantSchedule, LinearSchedule, PolynomialSchedule
from tfzip.pruning.sparsity_logger import SparsityLogger
from tfzip.pruning.window import PruningWindow

TARGETS = {name: round(0.6 * size) for name, size in SIZES.items()}
AT_ONCE = PruningWindow(end=0)


def fit(model, callbacks, epochs=2, x=None, **options):
    data, labels = images() if x is None else (x, None)
    return model.fit(data, labels, batch_size=16, epochs=epochs, callbacks=callbacks, verbose=0, **options)


def test_pruned_weights_stay_zero_through_training():
    observer = ZeroObserver()
    pruning = PruningCallback(ConstantSchedule(0.6))
    fit(compiled(network()), [pruning, observer])
    assert observer.seen == [TARGETS] * 12
    assert pruning.summary().sparsity == pytest.approx(sum(TARGETS.values()) / sum(SIZES.values()))


def test_sparsity_follows_the_schedule_step_by_step():
    observer = ZeroObserver()
    window = PruningWindow(begin=2, end=10, unit="steps", every=4)
    fit(compiled(network()), [PruningCallback(LinearSchedule(0.6), window=window), observer])
    expected = [0, 0] + 4 * [0] + 4 * [round(0.3 * 1280)] + 2 * [768]
    assert [zeros["head"] for zeros in observer.seen] == expected


def test_a_number_stands_for_a_polynomial_schedule_that_ends_before_the_fit_does():
    observer = ZeroObserver()
    pruning = PruningCallback(0.6)
    assert pruning.schedule == PolynomialSchedule(0.6)
    fit(compiled(network()), [pruning, observer])
    assert observer.seen[-3:] == [TARGETS] * 3
    assert observer.seen[0]["head"] == 0
    assert [zeros["head"] for zeros in observer.seen] == sorted(zeros["head"] for zeros in observer.seen)


def test_a_global_threshold_prunes_all_kernels_together():
    pruning = PruningCallback(ConstantSchedule(0.6), criterion="l1", scope="global")
    model = compiled(network())
    fit(model, [pruning])
    zeros = [zeros_of(model.get_layer(name).weights[0]) for name in SIZES]
    assert sum(zeros) == round(0.6 * sum(SIZES.values()))
    assert zeros != list(TARGETS.values())


def test_layers_that_are_not_selected_stay_dense():
    model = compiled(network())
    pruning = PruningCallback(ConstantSchedule(0.6), layers="head")
    fit(model, [pruning])
    assert zeros_of(model.get_layer("head").kernel) == 768
    assert zeros_of(model.get_layer("conv").kernel) == 0
    assert {one.path: one.skipped for one in pruning.summary().left_out}["conv/kernel"] == (
        "is not selected by layers="
    )


def test_two_callbacks_prune_disjoint_layers_and_refuse_the_same():
    model = compiled(network())
    fit(
        model,
        [
            PruningCallback(ConstantSchedule(0.8), layers="head"),
            PruningCallback(ConstantSchedule(0.5), layers="conv"),
        ],
    )
    assert zeros_of(model.get_layer("head").kernel) == 1024
    assert zeros_of(model.get_layer("conv").kernel) == 108
    with pytest.raises(OptionError, match="Two PruningCallbacks prune 'conv/kernel'"):
        fit(model, [PruningCallback(0.5), PruningCallback(0.5, layers="conv")])


def test_an_existing_constraint_is_applied_first_and_put_back():
    model = compiled(network(kernel_constraint=keras.constraints.NonNeg()))
    kernel = model.get_layer("conv").kernel
    constraint = kernel.constraint

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert (kernel.numpy() >= 0).all()
            assert zeros_of(kernel) == TARGETS["conv"]

    fit(model, [PruningCallback(ConstantSchedule(0.6)), Watch()])
    assert kernel.constraint is constraint
    assert model.get_layer("head").kernel.constraint is None
    assert model.train_function is None


def test_a_kernel_of_zeros_can_still_learn():
    model = compiled(network(kernel_initializer="zeros"))
    observer = ZeroObserver()
    fit(model, [PruningCallback(ConstantSchedule(0.25), layers=["conv", "head"]), observer])
    assert observer.seen[-1]["conv"] == 54
    assert np.abs(model.get_layer("conv").kernel.numpy()).max() > 1e-4


def test_stand_ins_for_zero_are_gone_after_training():
    model = compiled(network(kernel_initializer="zeros"), keras.optimizers.SGD(0.0))
    fit(model, [PruningCallback(ConstantSchedule(0.25))])
    assert zeros_of(model.get_layer("conv").kernel) == 216


def test_a_second_fit_goes_on_from_a_pruned_model():
    model = compiled(network())
    observer = ZeroObserver()
    fit(model, [PruningCallback(ConstantSchedule(0.6))])
    before = model.get_layer("head").kernel.numpy() == 0
    fit(model, [PruningCallback(PolynomialSchedule(0.8, initial=0.6)), observer])
    assert observer.seen[0] == TARGETS
    assert observer.seen[-1]["head"] == 1024
    assert (model.get_layer("head").kernel.numpy() == 0)[before].all()
    fit(model, [observer])
    assert observer.seen[-1]["head"] < 1024, "without the callback every weight is trained"


def test_the_step_of_an_earlier_fit_is_compiled_anew():
    model = compiled(network())
    observer = ZeroObserver()
    fit(model, [])
    fit(model, [PruningCallback(ConstantSchedule(0.6)), observer])
    assert observer.seen == [TARGETS] * 12


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_masks_come_off_when_the_step_is_interrupted(error):
    class Layer(keras.layers.Layer):
        armed = False

        def call(self, x):
            if self.armed:
                raise error
            return x

    layer = Layer()
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(3, name="head")])
    model.compile("sgd", "mse", run_eagerly=True)
    pruning = PruningCallback(ConstantSchedule(0.5))
    layer.armed = True
    with pytest.raises(error):
        model.fit(np.ones((8, 4)), np.ones((8, 3)), callbacks=[pruning], verbose=0)
    assert model.get_layer("head").kernel.constraint is None
    assert model.train_function is None


def test_masks_left_by_another_callbacks_error_are_replaced_in_the_next_fit():
    class Failing(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("stop")

    constraint = keras.constraints.NonNeg()
    model = compiled(network(kernel_constraint=constraint))
    with pytest.raises(RuntimeError, match="stop"):
        fit(model, [PruningCallback(ConstantSchedule(0.9)), Failing()])
    fit(model, [PruningCallback(ConstantSchedule(0.6))])
    assert model.get_layer("conv").kernel.constraint is constraint
    assert zeros_of(model.get_layer("head").kernel) == TARGETS["head"]


def test_a_generator_of_unknown_length_prunes_once_per_epoch():
    x, y = images()

    def batches():
        while True:
            for start in range(0, 96, 16):
                yield x[start : start + 16], y[start : start + 16]

    def dataset():
        import tensorflow as tf

        signature = (tf.TensorSpec((16, 8, 8, 3)), tf.TensorSpec((16,), tf.int64))
        endless = tf.data.Dataset.from_generator(batches, output_signature=signature)
        return endless.take(6).filter(lambda *_: True)

    observer = ZeroObserver()
    model = compiled(network())
    window = PruningWindow(end=2)
    with pytest.warns(UserWarning, match="ran out of data"):
        model.fit(
            dataset(),
            epochs=3,
            shuffle=False,
            callbacks=[PruningCallback(LinearSchedule(0.6), window=window), observer],
            verbose=0,
        )
    assert [zeros["head"] for zeros in observer.seen] == 6 * [384] + 12 * [768]


def test_logs_hold_the_sparsity_of_the_model_and_on_request_of_each_kernel():
    logs = fit(compiled(network()), [PruningCallback(ConstantSchedule(0.6)), SparsityLogger()]).history
    assert logs["sparsity"] == [sum(TARGETS.values()) / sum(SIZES.values())] * 2
    assert logs["sparsity/head/kernel"] == [0.6] * 2


def test_the_summary_is_a_report_and_a_table():
    pruning = PruningCallback(ConstantSchedule(0.6))
    with pytest.raises(OptionError, match="Pass it to model.fit first"):
        pruning.summary()
    fit(compiled(network()), [pruning], epochs=1)
    summary = pruning.summary()
    head = summary.kernels[-1]
    assert (head.path, head.shape, head.sparsity, head.target, head.size) == (
        "head/kernel", (128, 10), pytest.approx(0.6), pytest.approx(0.6), 1280,
    )  # fmt: skip
    assert summary.target == 0.6
    lines = str(summary).splitlines()
    assert lines[3].split() == ["head/kernel", "128x10", "60.00", "%", "60.00", "%"]
    assert "norm/gamma" in str(summary)
    assert "left out: is not a kernel" in str(summary)


def test_diverged_training_is_an_error_and_masks_come_off():
    model = compiled(network())
    model.get_layer("conv").kernel.assign(np.full((3, 3, 3, 8), np.nan))
    with pytest.raises(ModelError, match=r"diverged: 'conv/kernel'.*Lower the learning rate"):
        fit(model, [PruningCallback(ConstantSchedule(0.6))])
    assert model.get_layer("head").kernel.constraint is None


def test_a_model_without_optimizer_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ModelError, match="Call model.compile"):
        PruningCallback(0.5).set_model(model)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"schedule": "polynomal"}, UnknownNameError, "Did you mean 'polynomial'"),
        ({"schedule": {"name": "linear", "sparsit": 0.5}}, OptionError, "Did you mean 'sparsity'"),
        ({"schedule": 60}, OptionError, r"fraction in \[0, 1\)"),
        ({"schedule": None}, OptionError, "Known names: constant"),
        ({"criterion": "magnitud"}, UnknownNameError, "Did you mean 'magnitude'"),
        ({"pattern": "elements"}, UnknownNameError, "Did you mean 'element'"),
        ({"scope": "globl"}, OptionError, "Did you mean 'global'"),
    ],
)
def test_wrong_arguments_say_what_was_expected(arguments, error, message):
    with pytest.raises(error, match=message):
        PruningCallback(**arguments)


def test_a_pattern_that_matches_no_layer_is_an_error_with_the_near_name():
    with pytest.raises(OptionError, match="Did you mean 'head'"):
        fit(compiled(network()), [PruningCallback(0.5, layers="haed")])


def test_movement_is_what_gradients_add_up_to():
    model = compiled(network(), keras.optimizers.SGD(0.01))
    x, y = images()
    kernel = model.get_layer("head").kernel
    start, added = kernel.numpy(), 0.0
    for batch in np.split(np.arange(96), 6):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x[batch], y[batch], model(x[batch], training=True))
        gradient, *_ = tape.gradient(loss, [kernel.value])
        added = added - 0.01 * gradient.numpy() * kernel.numpy()
        model.train_on_batch(x[batch], y[batch])
    scores = MovementCriterion().score_moved(kernel.numpy(), start)
    assert np.corrcoef(scores.ravel(), added.ravel())[0, 1] > 0.99


def test_movement_prunes_what_the_fit_has_shrunk():
    x, y = images()
    model = compiled(network(), keras.optimizers.SGD(0.05))
    start = model.get_layer("head").kernel.numpy()
    model.fit(x[:80], y[:80], batch_size=16, shuffle=False, verbose=0)
    moved = np.square(model.get_layer("head").kernel.numpy()) - np.square(start)
    model = compiled(network(), keras.optimizers.SGD(0.05))
    window = PruningWindow(begin=5, end=5, unit="steps")
    pruning = PruningCallback(ConstantSchedule(0.5), criterion="movement", layers="head", window=window)
    fit(model, [pruning], epochs=1, shuffle=False)
    gone = model.get_layer("head").kernel.numpy() == 0
    assert gone.sum() == round(0.5 * start.size)
    assert (gone == (moved <= np.median(moved))).mean() > 0.99
