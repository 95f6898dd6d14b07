"""Shared weights are equal at every batch end however Keras runs a step, and go on after a crash."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.quantization.small import compiled, images, network
from tests.quantization.test_clustering import Watch, channels_of, ratios
from tfzip.quantization.clustering.callback import ClusteringCallback


def clustered_fit(model, *callbacks, epochs=1, **options):
    x, y = images()
    model.fit(x, y, batch_size=16, epochs=epochs, callbacks=list(callbacks), verbose=0, **options)
    return model


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"jit_compile": True}, id="xla", marks=pytest.mark.slow),
        pytest.param({"run_eagerly": True}, id="eager"),
        pytest.param({"steps_per_execution": 2, "jit_compile": False}, id="several_steps"),
    ],
)
def test_weights_are_shared_however_the_step_is_compiled(options):
    watch = Watch()
    clustered_fit(compiled(network(), **options), ClusteringCallback(8), watch)
    assert watch.codes == watch.values == [8] * (3 if "steps_per_execution" in options else 6)


def test_weights_are_shared_in_mixed_precision_with_steps_that_overflow():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=2.0**20)
    watch = Watch()
    clustered_fit(compiled(model, optimizer, jit_compile=False), ClusteringCallback(8), watch, epochs=2)
    assert watch.codes == [8] * 12
    assert 0 < int(optimizer.iterations) < 12, "the scale was meant to overflow and skip steps"


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(
            lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
            marks=pytest.mark.slow,
        ),
        pytest.param(lambda: keras.optimizers.Adam(gradient_accumulation_steps=3), marks=pytest.mark.slow),
        lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=2),
    ],
    ids=["nesterov", "accumulation", "averages"],
)
def test_weights_are_shared_with_every_kind_of_optimizer(optimizer):
    watch = Watch()
    clustered_fit(
        compiled(network(), optimizer(), jit_compile=False), ClusteringCallback(8, per_channel=True), watch
    )
    assert watch.values == [8] * 6


MIRRORED = """
import json
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tests.quantization.small import compiled, images, network
from tests.quantization.test_clustering import Watch
from tfzip.quantization.clustering.callback import ClusteringCallback
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = compiled(network(), jit_compile=False)
watch = Watch()
x, y = images()
model.fit(x, y, batch_size=16, epochs=1, callbacks=[ClusteringCallback(8), watch], verbose=0)
for name in ("stem", "head"):
    kernel = model.get_layer(name).kernel
    first, second = (part.numpy() for part in kernel.value.values)
    assert (first == second).all() and kernel.constraint is None
print(json.dumps(watch.codes))
"""


@pytest.mark.slow
def test_weights_are_shared_on_every_replica_of_a_mirrored_strategy():
    done = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [8] * 6


class Crash(keras.callbacks.Callback):
    """Ends a fit like a power cut, at the begin of an epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise RuntimeError("power cut")


@pytest.mark.parametrize("clustering_first", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_fit_that_resumes_goes_on_with_its_codes(tmp_path, clustering_first):
    def callbacks():
        pair = [ClusteringCallback(8, freeze_codes=0), keras.callbacks.BackupAndRestore(tmp_path / "backup")]
        return pair if clustering_first else pair[::-1]

    whole = clustered_fit(
        compiled(network(), jit_compile=False), ClusteringCallback(8, freeze_codes=0), epochs=3, shuffle=False
    )
    with pytest.raises(RuntimeError, match="power cut"):
        clustered_fit(compiled(network(), jit_compile=False), *callbacks(), Crash(), epochs=3, shuffle=False)
    watch = Watch()
    resumed = clustered_fit(
        compiled(network(), jit_compile=False), *callbacks(), watch, epochs=3, shuffle=False
    )
    assert watch.codes == [8] * 6
    for name in ("stem", "head"):
        one, other = channels_of(whole, name), channels_of(resumed, name)
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-6)
        assert len(ratios(other)) == 8
