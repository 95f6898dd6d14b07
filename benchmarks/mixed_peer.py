"""AI Edge Quantizer with widths chosen by hand, as its user would: narrow layer after layer, best first.

Weights by its OCTAV algorithm, which is its best for convolutions, activations quantized as the file runs.
Layers are ordered by the change of the logits that 4 bits alone cause on the calibration images, per weight.
"""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_OPERATIONS = ("CONV_2D", "FULLY_CONNECTED")


class Peer:
    """The peer on one model.

    Args:
        model: A Keras model.
        folder: Where files go.
    """

    def __init__(self, model: object, folder: Path) -> None:
        from tfzip.tflite import read

        self._folder, self._float = folder, folder / "peer_float.tflite"
        with _quiet():
            model.export(self._float, format="litert", verbose=False)
        graph = read(self._float).subgraphs[0]
        operators = [operator for operator in graph.operators if operator.name in _OPERATIONS]
        self._weights = {
            (op.name, graph.tensors[op.outputs[0]].name): graph.tensors[op.inputs[1]].num_elements
            for op in operators
        }

    def walk(self, images: np.ndarray) -> Iterator[tuple[int, Path]]:
        """Yields the number of narrow layers and the file, from none to all."""
        reference, changes = logits(self._float, images), {}
        for layer, weights in self._weights.items():
            moved = logits(self._file([layer], "alone"), images)
            changes[layer] = ((moved - reference) ** 2).mean() / weights
        order = sorted(changes, key=changes.get)
        for count in range(len(order) + 1):
            yield count, self._file(order[:count], f"peer_{count}")

    def _file(self, narrow: list[tuple[str, str]], name: str) -> Path:
        from ai_edge_quantizer.quantizer import AlgorithmName, Quantizer

        quantizer, octav = Quantizer(str(self._float)), AlgorithmName.OCTAV
        for operation in _OPERATIONS:
            quantizer.add_dynamic_config(".*", operation, 8, algorithm_key=octav)
        for operation, output in narrow:
            quantizer.add_dynamic_config(f"^{re.escape(output)}", operation, 4, algorithm_key=octav)
        with _quiet():
            content = quantizer.quantize().quantized_model
        path = self._folder / f"{name}.tflite"
        path.write_bytes(content)
        return path


def logits(path: Path, images: np.ndarray) -> np.ndarray:
    """Returns the logits of a file that ends in a softmax, less their mean."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=2)
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(given["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], images)
    interpreter.invoke()
    values = np.log(np.maximum(interpreter.get_tensor(made["index"]).astype(np.float64), 1e-30))
    return values - values.mean(axis=1, keepdims=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield
