"""TFMOT's wrappers: what is inside, and the weights that the wrapped layer computes with."""

from typing import Any

import numpy as np

from tfzip.errors import ModelError

_PACKAGE = "tensorflow_model_optimization"


def is_wrapper(layer: Any) -> bool:
    """Whether TFMOT wrote the layer's class."""
    return any(base.__module__.split(".")[0] == _PACKAGE for base in type(layer).__mro__)


def inside(layer: Any) -> Any:
    """Returns what a wrapper wraps, or the layer itself when TFMOT did not write it."""
    return getattr(layer, "layer", layer) if is_wrapper(layer) else layer


def unwrap(layer: Any) -> tuple[Any, list[Any]]:
    """Returns the layer inside a pruning or clustering wrapper and its effective weights.

    Pruning gives weight times mask and clustering gives the nearest centroid, which is what the wrapper
    computes with at inference. Both are read without changing the model.

    Raises:
        ModelError: The wrapper belongs to quantization-aware training or to none of the two.
    """
    kinds = {base.__name__ for base in type(layer).__mro__}
    if "PruneLowMagnitude" in kinds:
        return layer.layer, _pruned(layer)
    if "ClusterWeights" in kinds:
        return layer.layer, _clustered(layer)
    raise ModelError(
        f"Layer {layer.name!r} ({type(layer).__name__}) belongs to TFMOT's quantization-aware training: "
        "without its fake quantization the outputs would differ. Convert the float model that was given to "
        "quantize_model, and quantize on export."
    )


def _pruned(wrapper: Any) -> list[Any]:
    masks = {id(weight): mask for weight, mask, _ in wrapper.pruning_vars}
    return [w.numpy() * masks[id(w)].numpy() if id(w) in masks else w.numpy() for w in wrapper.layer.weights]


def _clustered(wrapper: Any) -> list[Any]:
    weights = [w.numpy() for w in wrapper.layer.weights]
    clustered = {id(w): name for name, w in wrapper.original_clusterable_weights.items()}
    if any(id(w) in clustered for w in wrapper.layer.weights):
        return [
            _nearest(wrapper, clustered[id(w)]) if id(w) in clustered else w.numpy()
            for w in wrapper.layer.weights
        ]
    for position, name in sorted(wrapper.position_original_weights.items()):
        weights.insert(position, _nearest(wrapper, name))
    return weights


def _nearest(wrapper: Any, name: str) -> Any:
    """Returns a weight with each value replaced by its centroid, and by 0 where sparsity is preserved."""
    original = wrapper.original_clusterable_weights[name]
    if wrapper.preserve_sparsity:
        original = original * wrapper.sparsity_masks[name]
    algorithm = wrapper.clustering_algorithms[name]
    indices = algorithm.get_pulling_indices(original)
    return np.asarray(algorithm.get_clustered_weight(indices, original))
