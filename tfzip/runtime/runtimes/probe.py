"""Facts about a file that only a runtime knows: what a delegate takes, and how memory is planned.

To be called in a child process, since a damaged file can crash an interpreter.
"""

from collections.abc import Iterable, Sequence

from tfzip.errors import FileFormatError, one_line
from tfzip.runtime.session import SessionOp, first_installed, open_session
from tfzip.tflite import read
from tfzip.tflite.file_graph import Operator, Subgraph

DELEGATE = "DELEGATE"


def delegated_ops(path: str) -> tuple[int, ...]:
    """Returns the operations of the main graph that XNNPACK takes, by their number in the file.

    Raises:
        FileFormatError: The runtime refuses the file.
        MissingDependencyError: No runtime is installed.
    """
    listed = open_session(path).ops()
    return in_partitions(listed)


def rounds_unevenly(path: str) -> bool:
    """Returns whether processors differ by more than the last bits in what they make of a file.

    That is so where a quantized operation that changes the scale is not taken by XNNPACK, since the other
    kernels of the runtime round by a step more or less; and where floats meet integer weights, since they
    are then made integers on the way, so that a last bit of one becomes a step.

    Raises:
        FileFormatError: The file is damaged, or the runtime refuses it.
        MissingDependencyError: No runtime is installed.
    """
    taken = set(delegated_ops(path))
    graph = read(path).subgraphs[0]
    return any(
        _meets_integers(graph, op) or (op.index not in taken and _rescales(graph, op))
        for op in graph.operators
    )


def _meets_integers(graph: Subgraph, op: Operator) -> bool:
    tensors = [graph.tensors[index] for index in op.inputs if index >= 0]
    stored = {tensor.dtype for tensor in tensors if tensor.is_constant and tensor.scales}
    computed = {tensor.dtype for tensor in tensors if not tensor.is_constant}
    return op.name != "DEQUANTIZE" and "float32" in computed and bool(stored & {"int8", "int4", "int2"})


def _rescales(graph: Subgraph, op: Operator) -> bool:
    made = _scales(graph, op.outputs)
    return any(made) and made != _scales(graph, op.inputs)


def _scales(graph: Subgraph, indices: Iterable[int]) -> set[tuple[float, ...]]:
    tensors = [graph.tensors[index] for index in indices if index >= 0]
    return {tensor.scales for tensor in tensors if not tensor.is_constant}


def in_partitions(ops: Sequence[SessionOp]) -> tuple[int, ...]:
    """Returns the operations that the delegates in a list replace.

    An interpreter lists the file's operations and then one `DELEGATE` for each partition, of which it knows
    only what goes in and what comes out. The partition is what is met between them, backwards from the
    outputs.
    """
    own = [op for op in ops if op.name != DELEGATE]
    writer = {index: op for op in own for index in op.outputs if index >= 0}
    taken: set[int] = set()
    for delegate in (op for op in ops if op.name == DELEGATE):
        given, reached = set(delegate.inputs), list(delegate.outputs)
        while reached:
            op = writer.get(reached.pop())
            if op is not None and op.index not in taken:
                taken.add(op.index)
                reached += [index for index in op.inputs if index not in given]
    return tuple(sorted(taken))


def arena_bytes(path: str, tensors: Iterable[int]) -> int:
    """Returns the bytes that the runtime plans for values between the main graph's operations.

    The reference kernels are asked, which need no scratch memory, so it is the plan for the tensors alone:
    inputs, outputs and what lies between, sharing memory where lifetimes allow. Tensors whose size is known
    only at run time do not count, nor do the bodies of loops.

    Args:
        path: The file.
        tensors: Numbers of the main graph's tensors that are computed and hold numbers.

    Raises:
        FileFormatError: The runtime refuses the file.
        MissingDependencyError: No runtime is installed.
    """
    api = first_installed().load()
    try:
        interpreter = api.Interpreter(
            model_path=path, experimental_op_resolver_type=api.OpResolverType.BUILTIN_REF
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise FileFormatError(f"{path} cannot be planned: {one_line(error)}.") from error
    spans = []
    for index in tensors:
        try:
            view = interpreter.tensor(index)()
        except ValueError:  # its size is not known yet, so it has no memory
            continue
        spans.append((view.__array_interface__["data"][0], view.nbytes))
    return _covered(spans)


def _covered(spans: Sequence[tuple[int, int]]) -> int:
    """Returns the length of the memory that (address, size) pairs lie in, without the room between arenas.

    Within an arena no hole is bigger than everything in it; what is farther apart was allocated apart.
    """
    widest_hole = sum(size for _, size in spans)
    total, end = 0, None
    for begin, size in sorted(spans):
        if end is None or begin - end > widest_hole:
            total, end = total + size, begin + size
        elif begin + size > end:
            total, end = total + begin + size - end, begin + size
    return total
