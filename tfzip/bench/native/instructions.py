"""What the counter of instructions noted: per inference, by class and by operation."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tfzip.errors import DeviceError

_OPERATION, _DELEGATED = 2, 8


@dataclass(frozen=True)
class Instructions:
    """AArch64 instructions, by class; a class is counted once, `macs` is what they compute.

    Attributes:
        total: All instructions.
        macs: Multiply-accumulates of the vector instructions below, with what kernels pad.
        fmla: Multiply-adds of floats: FMLA, FMADD.
        smlal: Widening multiplications of integers: SMLAL, SMULL and their unsigned kin.
        sdot: Dot products of four bytes: SDOT, UDOT, USDOT (Armv8.2).
        smmla: Products of 2x8 and 8x2 bytes: SMMLA, UMMLA, USMMLA (Armv8.6).
        simd: Other vector and floating-point instructions.
        load: Loads.
        store: Stores.
        branch: Branches and system calls.
        scalar: Everything else.
    """

    total: int
    macs: int
    fmla: int
    smlal: int
    sdot: int
    smmla: int
    simd: int
    load: int
    store: int
    branch: int
    scalar: int

    def __sub__(self, other: "Instructions") -> "Instructions":
        return Instructions(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class OperationInstructions:
    """What one operation of a file took in one inference.

    Attributes:
        name: Of the kernel, such as `"Convolution (NHWC, QC8) IGEMM"`, or of the operation where XNNPACK has
            none, such as `"SOFTMAX"`.
        delegated: Whether XNNPACK runs it.
        instructions: What it took, with about 150 for looking at the clock.
    """

    name: str
    delegated: bool
    instructions: Instructions


@dataclass(frozen=True)
class Counted:
    """All that was counted of a file.

    Attributes:
        runs: Each marked inference.
        operations: Of one more inference, in the order in which they ran.
    """

    runs: tuple[Instructions, ...]
    operations: tuple[OperationInstructions, ...]


def parse_counts(text: str, profile: Sequence[Mapping[str, Any]]) -> Counted:
    """Reads what the counter wrote.

    Args:
        text: Its lines.
        profile: What LiteRT's profiler noted in the last marked run, on the virtual clock.

    Raises:
        DeviceError: The lines are not whole.
    """
    try:
        head, *lines = (json.loads(line) for line in text.splitlines())
        order = [head["classes"].index(f.name) for f in fields(Instructions)]
        runs = [_of(line["counts"], order) for line in lines]
        readings = [_of(one, order) for one in lines[-1]["readings"]]
        first = lines[-1]["first_reading"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DeviceError("The counter of instructions left no whole report. Measure again.") from error
    # The last two runs have the profiler on, the first of them to make its buffers.
    return Counted(tuple(runs[:-2]), tuple(_operations(profile, readings, first)))


def _of(counts: Sequence[int], order: Sequence[int]) -> Instructions:
    return Instructions(*(int(counts[place]) for place in order))


def _operations(
    profile: Sequence[Mapping[str, Any]], readings: Sequence[Instructions], first: int
) -> list[OperationInstructions]:
    """Returns what lies between the readings of the clock that belong to each operation.

    An operation of LiteRT has the numbers of its readings in its event. XNNPACK reads the clock once when it
    begins its part of the graph and once after each of its operations. A loop is left out: it is the
    operations of its body, with what the profiler itself does between them.
    """
    spans = list(_spans(profile))
    begins = [*(begin for _, begin, _ in spans[1:]), sys.maxsize][: len(spans)]
    return [
        OperationInstructions(
            event["name"], event["type"] == _DELEGATED, readings[end - first] - readings[begin - first]
        )
        for (event, begin, end), following in zip(spans, begins, strict=True)
        if end <= following
    ]


def _spans(profile: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], int, int]]:
    """Yields the operations with the numbers of the readings before and after them, in order."""
    at, in_delegate = 0, False
    for event in profile:
        if event["type"] == _DELEGATED:
            begin = at if in_delegate else at + 1
            at = begin + event["elapsed"]
            yield event, begin, at
        elif event["type"] == _OPERATION:
            at = event["start"] + event["elapsed"]
            yield event, event["start"], at
        else:  # a phase of a run; operations may follow its beginning
            at = event["start"] if event["name"] == "Invoke" else event["start"] + event["elapsed"]
        in_delegate = event["type"] == _DELEGATED
