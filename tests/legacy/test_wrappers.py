"""Models wrapped by TFMOT: the wrapper goes, its effect on the weights stays."""

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.clustering.keras.experimental.cluster import (
    cluster_weights as cluster_experimental,
)

from tests.legacy.peer import assert_same, samples_for, shake
from tfzip import from_tf_keras, load_model
from tfzip.errors import ModelError

L = tf_keras.layers
prune = tfmot.sparsity.keras.prune_low_magnitude
cluster = tfmot.clustering.keras.cluster_weights
pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
HALF = tfmot.sparsity.keras.ConstantSparsity(0.5, 0, frequency=1)
LINEAR = tfmot.clustering.keras.CentroidInitialization.LINEAR


def base(join=None):
    entry = L.Input((8, 8, 3))
    x = L.Conv2D(4, 3, activation="relu", name="conv")(entry)
    x = L.DepthwiseConv2D(3, name="depthwise")(L.BatchNormalization(name="norm")(x))
    x = join(x) if join else L.Add()([x, x])
    return shake(tf_keras.Model(entry, L.Dense(3, name="head")(L.GlobalAveragePooling2D()(x))))


def recurrent():
    return shake(tf_keras.Sequential([L.Input((5, 4)), L.LSTM(6), L.Dense(3, name="head")]))


def masked(model, seed=5):
    """Gives every pruning mask random zeros by hand, without applying them."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        for _, mask, _ in getattr(layer, "pruning_vars", ()):
            mask.assign(rng.integers(0, 2, mask.shape))
    return model


@pytest.mark.parametrize("make", [base, recurrent])
def test_a_pruned_model_keeps_its_zeros_and_outputs(make):
    old = masked(prune(make(), HALF))
    weight, mask, _ = old.get_layer("prune_low_magnitude_head").pruning_vars[0]
    expected = weight.numpy() * mask.numpy()
    new = from_tf_keras(old)
    np.testing.assert_array_equal(new.get_layer("head").get_weights()[0], expected)
    assert_same(old, new)


def test_a_model_pruned_in_training_keeps_its_sparsity():
    old = prune(base(), HALF)
    old.compile("sgd", "mse")
    callbacks = [tfmot.sparsity.keras.UpdatePruningStep()]
    old.fit(samples_for(old).numpy(), np.ones((3, 3)), epochs=2, verbose=0, callbacks=callbacks)
    new = from_tf_keras(old)
    assert_same(old, new)
    assert np.mean(new.get_layer("conv").get_weights()[0] == 0) == pytest.approx(0.5, abs=0.02)


def test_the_wrapped_model_is_left_as_it_was():
    old = masked(prune(base(), HALF))
    before = [variable.numpy() for variable in old.variables]
    from_tf_keras(old)
    for value, variable in zip(before, old.variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())


@pytest.mark.parametrize("make", [base, recurrent])
def test_a_clustered_model_keeps_its_shared_values_and_outputs(make):
    old = cluster(make(), number_of_clusters=4, cluster_centroids_init=LINEAR)
    new = from_tf_keras(old)
    assert_same(old, new)
    assert len(np.unique(new.get_layer("head").get_weights()[0])) <= 4
    assert_same(tfmot.clustering.keras.strip_clustering(old), new)


def test_operations_that_clustering_wraps_are_replayed():
    old = cluster(base(join=lambda x: x + x * 0.5), number_of_clusters=4, cluster_centroids_init=LINEAR)
    assert_same(old, from_tf_keras(old))


def test_clustering_that_preserves_sparsity_keeps_the_zeros():
    plain = tf_keras.Sequential([L.Input((8,)), L.Dense(6, name="head"), L.Dense(3)])
    kernel = np.random.default_rng(0).normal(size=(8, 6))
    kernel[kernel < 0.3] = 0.0
    plain.layers[0].kernel.assign(kernel)
    old = cluster_experimental(plain, 5, LINEAR, preserve_sparsity=True)
    new = from_tf_keras(old)
    assert_same(old, new)
    assert np.all(new.get_layer("head").get_weights()[0][kernel == 0] == 0)


def test_a_pruned_model_inside_a_model_is_unwrapped():
    inner = prune(tf_keras.Sequential([L.Input((6,)), L.Dense(4)], "inner"), HALF)
    old = tf_keras.Sequential([L.Input((6,)), inner, L.Dense(2)])
    assert_same(old, from_tf_keras(old))


def test_a_model_wrapped_for_quantization_is_refused_by_name():
    plain = tf_keras.Sequential([L.Input((6,)), L.Dense(4, name="head")])
    with pytest.raises(ModelError, match=r"'quantize_layer.*quantization-aware.*quantize on export"):
        from_tf_keras(tfmot.quantization.keras.quantize_model(plain))


@pytest.mark.parametrize("suffix", [".h5", ".keras", ""])
def test_a_pruned_model_loads_from_a_file(tmp_path, suffix):
    old = masked(prune(base(), HALF))
    path = tmp_path / f"pruned{suffix}"
    old.save(path)
    assert_same(old, from_tf_keras(path) if not suffix else load_model(path))


def test_a_clustered_model_loads_from_a_file(tmp_path):
    old = cluster(base(), number_of_clusters=4, cluster_centroids_init=LINEAR)
    old.save(tmp_path / "clustered.h5")
    assert_same(old, load_model(tmp_path / "clustered.h5"))
