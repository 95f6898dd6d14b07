"""Network slimming: a penalty on the scales of batch normalization, so that they tell channels apart."""

from typing import Any

import keras

from tfzip.errors import OptionError
from tfzip.fit_step import forget_steps, recompile, settle, subject_of
from tfzip.graph import walk
from tfzip.graph.walk import LayerSelection, select_layers


class SlimmingCallback(keras.callbacks.Callback):
    """Adds `strength * sum(|gamma|)` over batch normalizations to the loss while a model trains.

    Scales of channels that the network can do without go to zero; `tfzip.remove_channels(model, ...,
    criterion="batch_norm", scope="global")` then takes these away (Liu et al. 2017, "Learning Efficient
    Convolutional Networks through Network Slimming", equation 1). The penalty is in the loss that `fit`
    shows. A regularizer that a layer has of its own counts beside it and comes back afterwards.

    Args:
        strength: Factor of the penalty. The paper takes 1e-5 to 1e-4. Defaults to 1e-4.
        layers: Which normalizations, as in `tfzip.graph.select_layers`. Defaults to all.

    Raises:
        OptionError: `strength` is not above 0.

    Example:
        >>> model.fit(train, epochs=10, callbacks=[tfzip.SlimmingCallback(1e-4)])
        >>> small = tfzip.remove_channels(model, 0.5, criterion="batch_norm", scope="global")
    """

    def __init__(self, strength: float = 1e-4, *, layers: LayerSelection = None) -> None:
        super().__init__()
        if not isinstance(strength, int | float) or not strength > 0.0:
            raise OptionError(f"strength is above 0. Received: {strength!r}.")
        self.strength = strength
        self.layers = layers
        self._scales: list[tuple[Any, Any]] = []

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 (Keras' signature)
        """Puts the penalty on the scales.

        Raises:
            OptionError: The model has no batch normalization with a scale that is trained.
        """
        settle(self.model)
        model = subject_of(self.model)
        chosen = walk(model) if self.layers is None else select_layers(model, self.layers)
        found = [
            item.layer.gamma
            for item in chosen
            if isinstance(item.layer, keras.layers.BatchNormalization) and item.layer.gamma is not None
        ]
        scales = [gamma for gamma in found if gamma.trainable]
        if not scales:
            raise OptionError(
                f"Model {model.name!r} has no batch normalization with a scale that is trained, among"
                " the layers chosen. Slimming has nothing to work on."
            )
        self._scales = [(gamma, gamma.regularizer) for gamma in scales]
        for gamma, own in self._scales:
            gamma.regularizer = _Penalty(self.strength, own)
        recompile(self.model, on_error=self._release)

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Takes the penalty off."""
        self._release()
        forget_steps(self.model)

    def _release(self) -> None:
        for gamma, own in self._scales:
            if isinstance(gamma.regularizer, _Penalty):
                gamma.regularizer = own


class _Penalty(keras.regularizers.Regularizer):
    """An L1 penalty beside what was there."""

    def __init__(self, strength: float, own: Any) -> None:
        self.strength = strength
        self.own = own

    def __call__(self, x: Any) -> Any:
        penalty = self.strength * keras.ops.sum(keras.ops.abs(x))
        return penalty if self.own is None else penalty + self.own(x)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.strength}
