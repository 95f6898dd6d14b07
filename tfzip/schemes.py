"""Number formats of weights and activations, as data: the only place that says what a scheme is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from tfzip.errors import OptionError, UnknownNameError

Range = tuple[float, float]
"""Smallest and largest value of a tensor's grid."""


@dataclass(frozen=True)
class TensorFormat:
    """How the numbers of a tensor are stored.

    Attributes:
        kind: `"float"` or `"int"`.
        bits: Bits per number.
        symmetric: Zero point fixed at 0. Meaningful for `"int"`.
        per_channel: One scale for each output channel instead of one for the tensor. Meaningful for `"int"`.
    """

    kind: Literal["float", "int"]
    bits: int
    symmetric: bool = True
    per_channel: bool = False

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest integer; symmetric formats leave out the lowest one."""
        top = 2 ** (self.bits - 1) - 1
        return (-top if self.symmetric else -top - 1), top


_FLOAT32 = TensorFormat("float", 32)
_INT8_PER_CHANNEL = TensorFormat("int", 8, per_channel=True)
_INT4_PER_CHANNEL = TensorFormat("int", 4, per_channel=True)
_INT8_ACTIVATIONS = TensorFormat("int", 8, symmetric=False)


@dataclass(frozen=True)
class Scheme:
    """A pair of formats with a name that files, recipes and the command line use.

    Attributes:
        name: As typed by the user.
        weights: Format of kernels in the file.
        activations: Format of the tensors between operations.
        summary: One line for listings.
        layers: Layers whose weights differ: path and format. What LiteRT cannot take in 4 bits stays in 8.
    """

    name: str
    weights: TensorFormat
    activations: TensorFormat
    summary: str
    layers: tuple[tuple[str, TensorFormat], ...] = ()

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations have to be observed on data."""
        return self.activations.kind == "int"

    def weights_of(self, path: str) -> TensorFormat:
        """Returns the format of the weights of the layer at `path`."""
        return dict(self.layers).get(path, self.weights)


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("float32", _FLOAT32, _FLOAT32, "as trained"),
        Scheme(
            "float16",
            TensorFormat("float", 16),
            _FLOAT32,
            "half-size weights, computed in float32 or float16",
        ),
        Scheme("int8_weights", _INT8_PER_CHANNEL, _FLOAT32, "dynamic range: int8 weights, float activations"),
        Scheme("int4_weights", _INT4_PER_CHANNEL, _FLOAT32, "int4 weights, float activations"),
        Scheme("int8", _INT8_PER_CHANNEL, _INT8_ACTIVATIONS, "full integer"),
        Scheme("int8_per_tensor", TensorFormat("int", 8), _INT8_ACTIVATIONS, "one scale for each kernel"),
        Scheme("uint8", TensorFormat("int", 8, symmetric=False), _INT8_ACTIVATIONS, "asymmetric weights"),
        Scheme("w4a8", _INT4_PER_CHANNEL, _INT8_ACTIVATIONS, "int4 weights, int8 activations"),
        Scheme("int16x8", _INT8_PER_CHANNEL, TensorFormat("int", 16), "int16 activations, int8 weights"),
    )
}


def get_scheme(name: str | Scheme) -> Scheme:
    """Returns the scheme of that name, or raises `UnknownNameError` with the nearest one."""
    if isinstance(name, Scheme):
        return name
    if name not in SCHEMES:
        raise UnknownNameError("scheme", name, SCHEMES)
    return SCHEMES[name]


def mixed_scheme(base: str | Scheme, bits: Mapping[str, int]) -> Scheme:
    """Returns a scheme with its own weight width for each layer.

    Args:
        base: What all other layers and the activations use: `"int8"` (full integer) or `"int8_weights"`.
        bits: Bits of the weights by layer path: 4 or 8.

    Raises:
        OptionError: The base has no integer weights, or a width is neither 4 nor 8.
    """
    base = get_scheme(base)
    if base.weights.kind != "int":
        raise OptionError(
            f"A mixed scheme starts from integer weights, such as 'int8'. Received: {base.name!r}."
        )
    for path, width in bits.items():
        if width not in (4, 8):
            raise OptionError(f"Weights take 4 or 8 bits. Received: {width} for layer {path!r}.")
    formats = tuple((path, replace(base.weights, bits=width)) for path, width in bits.items())
    return replace(base, name="mixed", summary=f"{base.name} with a width for each layer", layers=formats)
