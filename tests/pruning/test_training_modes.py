"""Zeros are exact at every batch end in every way that Keras compiles and runs a train step."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.pruning.small import SIZES, ZeroObserver, compiled, images, network, zeros_of
from tfzip.pruning.callback import PruningCallback
from tfzip.pruning.schedules import ConstantSchedule, LinearSchedule
from tfzip.pruning.window import PruningWindow

TARGETS = {name: round(0.6 * size) for name, size in SIZES.items()}


def pruned_fit(model, *callbacks, epochs=2):
    x, y = images()
    pruning = PruningCallback(ConstantSchedule(0.6))
    model.fit(x, y, batch_size=16, epochs=epochs, callbacks=[pruning, *callbacks], verbose=0)
    return model


@pytest.mark.parametrize(
    "options",
    [{"jit_compile": True}, {"jit_compile": False}, {"run_eagerly": True}],
    ids=["xla", "graph", "eager"],
)
def test_zeros_are_exact_however_the_step_is_compiled(options):
    observer = ZeroObserver()
    pruned_fit(compiled(network(), **options), observer, epochs=1)
    assert observer.seen == [TARGETS] * 6


def test_masks_change_between_executions_of_several_steps():
    observer = ZeroObserver()
    x, y = images()
    window = PruningWindow(end=4, unit="steps", every=1)
    compiled_model = compiled(network(), steps_per_execution=2)
    pruning = PruningCallback(LinearSchedule(0.8), window=window)
    compiled_model.fit(x, y, batch_size=16, epochs=1, callbacks=[pruning, observer], verbose=0)
    assert [zeros["head"] for zeros in observer.seen] == [0, 512, 1024]


def network_in(policy):
    keras.config.set_dtype_policy(policy)
    try:
        return network()
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16"])
def test_zeros_are_exact_in_reduced_precision(policy):
    model = network_in(policy)
    observer = ZeroObserver()
    optimizer = keras.optimizers.Adam()
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**20)
    pruned_fit(compiled(model, optimizer), observer)
    assert observer.seen == [TARGETS] * 12
    if policy == "mixed_float16":
        assert 0 < int(optimizer.iterations) < 12, "the scale was meant to overflow and skip steps"


def test_steps_that_loss_scaling_skips_do_not_move_the_schedule():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), initial_scale=2.0**60)
    observer = ZeroObserver()
    x, y = images()
    window = PruningWindow(begin=1, end=1, unit="steps")
    model = compiled(network_in("mixed_float16"), optimizer)
    pruning = PruningCallback(ConstantSchedule(0.6), window=window)
    model.fit(x, y, batch_size=16, epochs=1, callbacks=[pruning, observer], verbose=0)
    assert int(optimizer.iterations) == 0
    assert [zeros["head"] for zeros in observer.seen] == [0] * 6


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: keras.optimizers.AdamW(weight_decay=0.1, clipnorm=1.0),
        lambda: keras.optimizers.Adam(gradient_accumulation_steps=3),
        lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=2),
        lambda: keras.optimizers.Lion(),
    ],
    ids=["nesterov", "adamw", "accumulation", "averages", "lion"],
)
def test_zeros_are_exact_with_every_kind_of_optimizer(optimizer):
    observer = ZeroObserver()
    model = pruned_fit(compiled(network(), optimizer()), observer)
    assert observer.seen == [TARGETS] * 12
    assert {name: zeros_of(model.get_layer(name).weights[0]) for name in SIZES} == TARGETS


def test_averages_written_at_the_end_of_training_are_masked_too():
    averaging = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)
    model = pruned_fit(compiled(network(), averaging))
    assert {name: zeros_of(model.get_layer(name).weights[0]) for name in SIZES} == TARGETS


def test_frozen_and_shared_and_subclassed_layers_are_handled():
    class Twin(keras.Model):
        def __init__(self):
            super().__init__()
            self.shared = keras.layers.Dense(6, name="shared")
            self.frozen = keras.layers.Dense(5, name="frozen", trainable=False)

        def call(self, x):
            return self.frozen(self.shared(x) + self.shared(-x))

    model = Twin()
    x = np.random.default_rng(0).random((32, 8), np.float32)
    model(x)
    model.compile("adam", "mse")
    pruning = PruningCallback(ConstantSchedule(0.5))
    model.fit(x, np.ones((32, 5)), callbacks=[pruning], verbose=0)
    assert zeros_of(model.shared.kernel) == 24
    assert zeros_of(model.frozen.kernel) == 0
    assert "frozen" in {one.path: one.skipped for one in pruning.summary().left_out}["frozen/kernel"]


def test_a_kernel_tied_to_two_layers_has_one_mask():
    class Tied(keras.layers.Layer):
        def __init__(self, source):
            super().__init__(name="tied")
            self.source = source

        def call(self, x):
            return keras.ops.matmul(x, keras.ops.transpose(self.source.kernel))

    inputs = keras.Input((8,))
    encode = keras.layers.Dense(4, name="encode")
    hidden = encode(inputs)
    model = keras.Model(inputs, Tied(encode)(hidden))
    model.compile("adam", "mse")
    x = np.random.default_rng(0).random((32, 8), np.float32)
    pruning = PruningCallback(ConstantSchedule(0.5))
    model.fit(x, x, callbacks=[pruning], verbose=0)
    assert len(pruning.summary().kernels) == 1
    assert zeros_of(encode.kernel) == 16


MIRRORED = """
import json
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from tests.pruning.small import ZeroObserver, compiled, images, network
from tfzip.pruning.callback import PruningCallback
from tfzip.pruning.schedules import ConstantSchedule
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = compiled(network(), {optimizer})
observer = ZeroObserver()
x, y = images()
callbacks = [PruningCallback(ConstantSchedule(0.6)), observer]
model.fit(x, y, batch_size=16, epochs=1, callbacks=callbacks, verbose=0)
for kernel in (layer.weights[0] for layer in model.layers if layer.name in ("conv", "head")):
    first, second = (part.numpy() for part in kernel.value.values)
    assert (first == second).all() and kernel.constraint is None
print(json.dumps(observer.seen))
"""


@pytest.mark.parametrize(
    "optimizer",
    [
        "'adam'",
        pytest.param("keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())", marks=pytest.mark.slow),
    ],
)
def test_zeros_are_exact_on_every_replica_of_a_mirrored_strategy(optimizer):
    script = MIRRORED.replace("{optimizer}", optimizer)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [TARGETS] * 6
