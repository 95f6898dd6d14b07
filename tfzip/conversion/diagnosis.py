"""Turns what a converter prints into one line that names the Keras layer and the remedy."""

import re
from collections.abc import Sequence
from pathlib import Path

from tfzip.errors import ConversionError, SandboxError
from tfzip.tflite import layer_of, read
from tfzip.tflite.naming import layer_of_operator

_PLACE = re.compile(r'fused\["(?P<op>\w+):", "(?P<scope>[^"@]+)@')
_NODE = re.compile(r"Node number (?P<number>\d+) \((?P<op>\w+)\) failed")
_INTEGER_INPUT = re.compile(r"should be recorded during calibration: Failed for tensor serving_default_")
_OP = re.compile(r"'tf\.(?P<op>\w+)' op is neither a custom op nor a flex op")


def explain(error: ConversionError | SandboxError, layers: Sequence[str], file: Path) -> ConversionError:
    """Returns an error that names the layers at fault.

    Args:
        error: What the converter raised, or how its process ended.
        layers: Paths of the model's layers.
        file: What the converter wrote, if it came that far.
    """
    if isinstance(error, SandboxError):
        return ConversionError(
            f"The converter crashed on this graph: {error} Export parts of the model to find the layer,"
            " starting with custom layers."
        )
    message = str(error)
    culprits = _unsupported(message, layers)
    if culprits:
        names = ", ".join(f"{op} in {layer}" for op, layer in culprits)
        return ConversionError(
            f"No LiteRT kernel for: {names}. Write the layer with operations that LiteRT has, or leave it out"
            " of the model and compute it outside."
        )
    node = _NODE.search(message)
    if node and file.exists():
        return _unrunnable(message, node, layers, file)
    if _INTEGER_INPUT.search(message):
        return ConversionError("Scheme 'int16x8' cannot take integer inputs. Use 'int8' or a float scheme.")
    place = _PLACE.search(message)
    where = f" at layer {layer_of(place['scope'], layers) or place['scope']!r}" if place else ""
    return ConversionError(f"The converter failed{where}: {_summary(message)}")


def _unrunnable(message: str, node: re.Match[str], layers: Sequence[str], file: Path) -> ConversionError:
    graph = read(file)
    place = int(node["number"])
    operators = graph.main.operators
    layer = None
    if place < len(operators):
        layer = layer_of_operator(graph, graph.main, operators[place], layer_paths=layers)
    where = f" in layer {layer!r}" if layer else ""
    reason = re.sub(r"^\S+\.cc:\d+ ", "", message[: node.start()].strip()).rstrip(".")
    return ConversionError(
        f"LiteRT cannot run what the converter made of {node['op']}{where}: {reason}. Use another scheme,"
        " or write the layer with other operations."
    )


def _unsupported(message: str, layers: Sequence[str]) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for line in message.splitlines():
        op, place = _OP.search(line), _PLACE.search(line)
        if op and place:
            layer = layer_of(place["scope"], layers)
            found[op["op"], f"layer {layer!r}" if layer else "an operation between layers"] = None
    return list(found)


def _summary(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    text = next((line for line in lines if "error:" in line), lines[0] if lines else "no message")
    return re.sub(r"^.*error:\s*(loc\(.*?\)+:\s*)?", "", text)[:300]
