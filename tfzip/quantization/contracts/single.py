"""Operations that LiteRT computes in one step, on a grid of their own."""

from collections.abc import Sequence

from tfzip.quantization.call import Call
from tfzip.quantization.contracts import contract, whole
from tfzip.quantization.emitters import Value

_LAYERS = ("LeakyReLU", "PReLU", "Embedding")
_OPERATIONS = (
    *("Mean", "Sum", "Divide", "TrueDivide", "Matmul", "Exp", "Log", "Sqrt", "Rsqrt", "Square", "Absolute"),
    *("Negative", "Power", "SquaredDifference", "LeakyRelu", "Abs", "Any", "All", "Equal", "NotEqual"),
    *("Greater", "Less", "GreaterEqual", "LessEqual", "LogicalAnd", "LogicalOr", "LogicalNot", "Argmax"),
)


@contract(*_LAYERS, *_OPERATIONS)
def single(call: Call) -> Sequence[Value]:
    """The results as they are."""
    return whole(call)
