"""A model with choice layers, trained so that every option is trained as much as the others."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfzip.errors import OptionError
from tfzip.graph.walk import layer_paths
from tfzip.nas.space import Choice, Choices, Space
from tfzip.nas.supernet.choice_layer import ChoiceLayer, places


class Supernet(keras.Model):  # type: ignore[misc]
    """Trains all networks of a space at once, by `compile` and `fit`; each is then taken out.

    With fair sampling, a step passes as many single paths as there are options, such that each option of
    each layer is on exactly one of them, and updates with the mean of their gradients (Chu et al., "FairNAS",
    ICCV 2021, algorithm 1); with uniform sampling it passes one (Guo et al., "Single Path One-Shot", ECCV
    2020).

    Args:
        model: A Functional model with one `ChoiceLayer` or several.
        sampling: `"fair"` or `"uniform"`. Defaults to `"fair"`.
        **kwargs: What a Keras model takes.

    Raises:
        OptionError: The model has no choice layers, or two of one name.

    Example:
        >>> supernet = tfzip.Supernet(model)
        >>> supernet.compile("adam", "sparse_categorical_crossentropy")
        >>> supernet.fit(x_train, y_train, epochs=10)
        >>> network = supernet.taken_out({"block0": 3, "block1": 5}, x_train[:512])
    """

    def __init__(
        self, model: keras.Model, *, sampling: Literal["fair", "uniform"] = "fair", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if sampling not in ("fair", "uniform"):
            raise OptionError(f"sampling is 'fair' or 'uniform'. Received: {sampling!r}.")
        self.model = model
        self.sampling = sampling
        found = [layer for _, layer in layer_paths(model) if isinstance(layer, ChoiceLayer)]
        if not found:
            raise OptionError("A supernet has at least one ChoiceLayer. Received a model without.")
        self.space = Space({layer.name: Choice(layer.options) for layer in found})
        if len(self.space.parameters) < len(found):
            raise OptionError("Two choice layers have one name. Name them apart.")
        self.choice_layers = found
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Computes the network that is chosen at the moment."""
        return self.model(inputs, training=training)

    def choose(self, choices: Mapping[str, Any]) -> None:
        """Makes a sample of the space what is computed."""
        for layer, place in zip(self.choice_layers, places(self.choice_layers, choices), strict=True):
            layer.place.assign(place)

    @contextmanager
    def mixing(self, shares: Mapping[str, Any]) -> Iterator[None]:
        """Mixes options by tensors of shares, by choice, inside the block; statistics of batches stay."""
        for layer in self.choice_layers:
            layer.mixed = shares[layer.name]
        try:
            with _momentum(self.model, 1.0):
                yield
        finally:
            for layer in self.choice_layers:
                layer.mixed = None

    def train_step(self, data: Any) -> dict[str, Any]:
        """Passes the paths of a step, and updates with the mean of their gradients."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        most = max(len(layer.options) for layer in self.choice_layers)
        passes = most if self.sampling == "fair" else 1
        orders = [self._order(len(layer.options), passes) for layer in self.choice_layers]
        variables = self.trainable_variables
        total = [tf.zeros_like(variable) for variable in variables]
        for number in range(passes):
            for layer, order in zip(self.choice_layers, orders, strict=True):
                layer.place.assign(order[number])
            with tf.GradientTape() as tape:
                outputs = self(x, training=True)
                loss = self.compute_loss(x, y, outputs, weight)
                scaled = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, variables, unconnected_gradients="zero")
            total = [
                one + tf.convert_to_tensor(more) / passes for one, more in zip(total, gradients, strict=True)
            ]
            self._loss_tracker.update_state(loss)
        self.optimizer.apply(total, variables)
        return self.compute_metrics(x, y, outputs, weight)  # type: ignore[no-any-return]

    @staticmethod
    def _order(options: int, passes: int) -> Any:
        """Returns random places, each as often as the others as far as the number of passes allows."""
        rounds = -(-passes // options)
        return tf.concat([tf.random.shuffle(tf.range(options)) for _ in range(rounds)], 0)[:passes]

    def taken_out(self, choices: Choices, calibration: Any = None) -> keras.Model:
        """Returns one of the networks, a plain model without choices, with its share of the weights.

        Args:
            choices: A sample of the space.
            calibration: A batch of inputs whose statistics batch normalizations get, since those of the
                supernet are of all paths. Defaults to none, which keeps those.
        """
        chosen = dict(
            zip(
                [layer.name for layer in self.choice_layers], places(self.choice_layers, choices), strict=True
            )
        )

        def plain(layer: keras.layers.Layer) -> keras.layers.Layer:
            if isinstance(layer, ChoiceLayer):
                return _copied(layer.branches[chosen[layer.name]], layer.name)
            return _copied(layer, layer.name)

        model = keras.models.clone_model(self.model, clone_function=plain)
        for layer in self.model.layers:
            source = layer.branches[chosen[layer.name]] if isinstance(layer, ChoiceLayer) else layer
            if source.weights:
                model.get_layer(layer.name).set_weights(source.get_weights())
        if calibration is not None:
            _set_statistics(model, calibration)
        return model


def _copied(layer: keras.layers.Layer, name: str) -> keras.layers.Layer:
    if isinstance(layer, keras.Model):
        copy = keras.models.clone_model(layer)
        copy.name = name
        return copy
    return type(layer).from_config({**layer.get_config(), "name": name})


def _set_statistics(model: keras.Model, inputs: Any) -> None:
    """Gives batch normalizations the mean and variance of a batch."""
    with _momentum(model, 0.0):
        model(np.asarray(inputs), training=True)


@contextmanager
def _momentum(model: keras.Model, value: float) -> Iterator[None]:
    """Sets how much of their statistics batch normalizations keep, inside the block."""
    layers = [layer for _, layer in layer_paths(model) if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = value
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
