"""A float .tflite whose tensors carry the smallest and largest value seen, to be read and written."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from tfzip.schemes import Range

Batch = dict[str, NDArray[Any]]
Values = Callable[[int], NDArray[np.float32]]

_BYTES = {
    schema.TensorType.UINT8: (0.0, 255.0),
    schema.TensorType.INT8: (-128.0, 127.0),
    schema.TensorType.BOOL: (0.0, 1.0),
}


class CalibratedFile:
    """Ranges of the activations of the main graph.

    Args:
        content: What TensorFlow's converter calibrated. Ranges are written into it.

    Attributes:
        names: Names of the tensors that have a range, by number, in the file's order.
        ends: Numbers of inputs and outputs.
    """

    def __init__(self, content: bytes) -> None:
        self._content = bytearray(content)
        self._model = schema.Model.GetRootAsModel(self._content, 0)
        graph = self._model.Subgraphs(0)
        self._bounds = {
            index: bounds
            for index in range(graph.TensorsLength())
            if (bounds := graph.Tensors(index).Quantization()) is not None and bounds.MinLength() == 1
        }
        self.names = {index: graph.Tensors(index).Name().decode() for index in self._bounds}
        self.ends = {*graph.InputsAsNumpy().tolist(), *graph.OutputsAsNumpy().tolist()}

    def __getitem__(self, index: int) -> Range:
        return float(self._bounds[index].Min(0)), float(self._bounds[index].Max(0))

    def __setitem__(self, index: int, limits: Range) -> None:
        self._bounds[index].MinAsNumpy()[0], self._bounds[index].MaxAsNumpy()[0] = limits

    def to_bytes(self) -> bytes:
        """Returns the file with its present ranges."""
        return bytes(self._content)

    def run(self, batches: Iterable[Batch]) -> Iterator[Values]:
        """Runs the file and yields, for each batch, what returns the values of a tensor."""
        interpreter = tf.lite.Interpreter(
            model_content=self.to_bytes(),
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        runner = interpreter.get_signature_runner()
        for batch in batches:
            runner(**batch)
            yield interpreter.get_tensor

    def float_constants(self) -> Iterator[NDArray[np.float32]]:
        """Yields the values of the main graph's float constants, to be changed in place."""
        graph = self._model.Subgraphs(0)
        for tensor in (graph.Tensors(index) for index in range(graph.TensorsLength())):
            buffer = self._model.Buffers(tensor.Buffer())
            if tensor.Type() == schema.TensorType.FLOAT32 and buffer.DataLength():
                yield buffer.DataAsNumpy().view("<f4")

    def casts(self) -> Iterator[tuple[int, Range]]:
        """Yields the results of casts from bytes, and all that a byte can be."""
        graph = self._model.Subgraphs(0)
        for code, operator in self._operators():
            if code == schema.BuiltinOperator.CAST:
                limits = _BYTES.get(graph.Tensors(operator.Inputs(0)).Type())
                if limits is not None and operator.Outputs(0) in self._bounds:
                    yield operator.Outputs(0), limits

    def operators(self) -> Iterator[tuple[int, list[int], list[int]]]:
        """Yields the operations of the main graph: builtin code, inputs and outputs that have a range."""
        for code, operator in self._operators():
            yield (
                code,
                [index for index in operator.InputsAsNumpy().tolist() if index in self._bounds],
                [index for index in operator.OutputsAsNumpy().tolist() if index in self._bounds],
            )

    def _operators(self) -> Iterator[tuple[int, Any]]:
        graph = self._model.Subgraphs(0)
        for operator in (graph.Operators(index) for index in range(graph.OperatorsLength())):
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            yield max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), operator
