"""Turns what a converter prints into one line that names the Keras layer and the remedy."""

import re
from collections.abc import Sequence

from tfzip.errors import ConversionError, SandboxError
from tfzip.tflite import layer_of

_PLACE = re.compile(r'fused\["(?P<op>\w+):", "(?P<scope>[^"@]+)@')
_OP = re.compile(r"'tf\.(?P<op>\w+)' op is neither a custom op nor a flex op")


def explain(error: ConversionError | SandboxError, layers: Sequence[str]) -> ConversionError:
    """Returns an error that names the layers at fault, from the message of a failed conversion."""
    if isinstance(error, SandboxError):
        return ConversionError(
            f"The converter crashed on this graph: {error} Export parts of the model to find the layer,"
            " starting with custom layers."
        )
    message = str(error)
    culprits = _unsupported(message, layers)
    if culprits:
        names = ", ".join(f"{op} in layer {layer!r}" for op, layer in culprits)
        return ConversionError(
            f"No LiteRT kernel for: {names}. Write the layer with operations that LiteRT has, or leave it out"
            " of the model and compute it outside."
        )
    place = _PLACE.search(message)
    where = f" at layer {layer_of(place['scope'], layers) or place['scope']!r}" if place else ""
    return ConversionError(f"The converter failed{where}: {_summary(message)}")


def _unsupported(message: str, layers: Sequence[str]) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for line in message.splitlines():
        op, place = _OP.search(line), _PLACE.search(line)
        if op and place:
            found[op["op"], layer_of(place["scope"], layers) or place["scope"]] = None
    return list(found)


def _summary(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    text = next((line for line in lines if "error:" in line), lines[0] if lines else "no message")
    return re.sub(r"^.*error:\s*(loc\(.*?\)+:\s*)?", "", text)[:300]
