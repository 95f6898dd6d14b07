"""Configurations of Keras 2 layers in the words of Keras 3."""

import inspect
from typing import Any

import keras

from tfzip.errors import ModelError

_RENAMED = {("LeakyReLU", "alpha"): "negative_slope"}
_ANY = object()
_DROPPED: dict[str, Any] = {
    # how a layer is fed, computed or initialised, never what it computes
    "batch_input_shape": _ANY, "input_length": _ANY, "implementation": _ANY, "unroll": _ANY, "rng_type": _ANY,
    "query_shape": _ANY, "key_shape": _ANY, "value_shape": _ANY, "kernel_initializer": _ANY,
    "softmax_robust_masking": _ANY, "trainable": _ANY,
    # what Keras 3 does not have, at the value that changes nothing
    "groups": 1, "time_major": False, "renorm": False,
}  # fmt: skip
_BASE_ARGUMENTS = {"name", "trainable", "dtype"}


def keras3_config(class_name: str, config: dict[str, Any], layer_name: str) -> dict[str, Any]:
    """Returns the arguments that build a Keras 3 layer of the same class.

    Args:
        class_name: Name of the class, the same in both.
        config: What the Keras 2 layer's `get_config` returns, with activations and inner layers converted.
        layer_name: For messages.

    Raises:
        ModelError: An argument has no counterpart and a value other than its default.
    """
    accepted = _accepted(getattr(keras.layers, class_name))
    result: dict[str, Any] = {}
    for key, value in config.items():
        name = _RENAMED.get((class_name, key), key)
        if name in accepted:
            result[name] = _translated(name, value, layer_name)
        elif not _is_dropped(name, value):
            raise ModelError(
                f"Layer {layer_name!r} ({class_name}) has {key}={value!r}, which Keras 3 does not have. "
                "Rebuild that layer without it."
            )
    if class_name in {"BatchNormalization", "LayerNormalization"}:
        result["axis"] = _single(result["axis"])
    result["name"] = keras3_name(config["name"])
    return result


def keras3_name(name: str) -> str:
    """Returns a layer's name without the slashes that Keras 3 refuses."""
    return name.replace("/", "_")


def _policy_name(dtype: Any) -> str:
    """Returns the name of a dtype policy from its name or its Keras 2 configuration."""
    if isinstance(dtype, dict):
        return str(dtype["config"]["name"])
    return str(dtype)


def _accepted(cls: type) -> set[str]:
    parameters = inspect.signature(cls).parameters
    is_open = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return set(parameters) | (_BASE_ARGUMENTS if is_open else set())


def _is_dropped(name: str, value: Any) -> bool:
    return value is None or (name in _DROPPED and (_DROPPED[name] is _ANY or _DROPPED[name] == value))


def _translated(name: str, value: Any, layer_name: str) -> Any:
    if name == "dtype":
        return _policy_name(value)
    if name.endswith("_initializer"):
        return _initializer(value)
    if name.endswith("_regularizer"):
        return _object(keras.regularizers.get, name, value, layer_name)
    if name.endswith("_constraint"):
        return _object(keras.constraints.get, name, value, layer_name)
    return value


def _initializer(value: Any) -> Any:
    """Returns the counterpart, or Keras' default for a custom one, since values are loaded over it anyway."""
    try:
        return keras.initializers.get(_public(value))
    except (TypeError, ValueError):
        return "zeros"


def _object(get: Any, name: str, value: Any, layer_name: str) -> Any:
    try:
        return get(_public(value))
    except (TypeError, ValueError):
        label = value.get("class_name", value) if isinstance(value, dict) else value
        raise ModelError(
            f"Layer {layer_name!r} has {name}={label!r}, which Keras 3 does not have. Set that layer's "
            f"{name} to None before the conversion; it matters to training only."
        ) from None


def _public(value: Any) -> Any:
    """Returns a serialised object without its Keras 2 module, so that Keras 3 looks it up by class name."""
    if isinstance(value, dict):
        return {"class_name": value["class_name"], "config": value["config"]}
    return value


def _single(axis: Any) -> Any:
    return axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
