"""Weight sharing without training."""

import keras

from tfzip.graph.walk import LayerSelection
from tfzip.quantization.clustering.kernels import shared_kernels
from tfzip.quantization.clustering.options import Sharing
from tfzip.quantization.copies import copy_of


def cluster(
    model: keras.Model,
    clusters: int = 16,
    *,
    per_channel: bool = False,
    initialization: str = "density",
    layers: LayerSelection = None,
    seed: int = 0,
) -> keras.Model:
    """Returns a model whose kernels share a few values each.

    `ClusteringCallback` says what the arguments mean, and regains in `fit` the accuracy that this loses.

    Args:
        model: A built model; it is left as it was.
        clusters: The most different values of a codebook, zero included, from 3 to 256. Defaults to 16.
        per_channel: Whether each output channel has a codebook of its own. Defaults to False.
        initialization: Where k-means begins: "density", "linear" or "kmeans++". Defaults to "density".
        layers: Which layers, as everywhere; frozen ones are left out. Defaults to all.
        seed: Of the draws of k-means++. Defaults to 0.

    Returns:
        A model of the same kind.

    Raises:
        OptionError: An argument is out of range, or no kernel can be clustered.
        UnknownNameError: `initialization` is no known name.
        ModelError: The model cannot be flattened, or holds weights that are not finite.

    Example:
        >>> tfzip.export(tfzip.cluster(model), "model.tflite", scheme="int8", calibration=x_train[:256])
    """
    sharing = Sharing(clusters, per_channel, initialization, seed)
    copy = copy_of(model)
    kernels, _ = shared_kernels(copy, layers, sharing)
    for kernel in kernels:
        kernel.begin()
        kernel.end()
    return copy
