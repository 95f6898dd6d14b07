"""Number formats of weights and activations, as data: the only place that says what a scheme is."""

from dataclasses import dataclass
from typing import Literal

from tfzip.errors import UnknownNameError


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


_FLOAT32 = TensorFormat("float", 32)
_INT8_PER_CHANNEL = TensorFormat("int", 8, per_channel=True)


@dataclass(frozen=True)
class Scheme:
    """A pair of formats with a name that files, recipes and the command line use.

    Attributes:
        name: As typed by the user.
        weights: Format of kernels in the file.
        activations: Format of the tensors between operations.
        summary: One line for listings.
    """

    name: str
    weights: TensorFormat
    activations: TensorFormat
    summary: str

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations have to be observed on data."""
        return self.activations.kind == "int"


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
        Scheme("int8", _INT8_PER_CHANNEL, TensorFormat("int", 8, symmetric=False), "full integer"),
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
