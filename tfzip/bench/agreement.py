"""Whether a device computes what the host computes from the same inputs: a fast wrong model fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.bench.inputs import Feed
from tfzip.errors import DataError, DeviceError

_INTEGER_STEPS = 1
_WIDEST_STEPS = 2  # bytes of integers that can be quantized outputs
_PORTABLE_STEPS = 2
_ELSE = "the device computes something else, so its time says nothing."
_RANDOM = "the file draws random numbers, which no two machines share. Give them a seed, or leave them out."
_FLOAT, _HALF = 1e-3, 5e-2
_UNLIKE = 0.5  # root mean square of differences, in standard deviations of the host's output
_FARTHER = (
    3.0  # than this machine's own kernels are from each other, where rounding is not the same everywhere
)


@dataclass(frozen=True)
class Reference:
    """What the host fed and computed.

    Attributes:
        feeds: Inputs by name, in the file's number formats, one for each batch.
        outputs: Outputs by name, one for each batch.
        uneven: Whether processors round differently in this file, so that outputs are alike, not equal.
        portable: Whether the plain C++ kernels computed them, of which optimized ones are a step more apart.
        plain: Names of outputs without a scale, whose integers are no steps.
        random: Whether the file draws random numbers.
    """

    feeds: Sequence[Feed]
    outputs: Sequence[Mapping[str, NDArray[Any]]]
    uneven: bool = False
    portable: bool = False
    plain: frozenset[str] = frozenset()
    random: bool = False

    def packed(self, described: Sequence[Mapping[str, Any]]) -> bytes:
        """Returns the inputs as the runner takes them.

        Args:
            described: What the runner says of its inputs, in its order.

        Raises:
            DataError: The runner sees other inputs than the host.
        """
        found = []
        for feed in self.feeds:
            for tensor, array in zip(described, in_order(feed, described), strict=True):
                content = np.ascontiguousarray(array).tobytes()
                if len(content) != tensor["bytes"]:
                    raise DataError(
                        f"Input {tensor['name']!r} takes {tensor['bytes']} bytes on the device and"
                        f" {len(content)} here. Fix the file's open sizes when it is exported."
                    )
                found.append(content)
        return b"".join(found)


@dataclass(frozen=True)
class Agreement:
    """How the outputs of a device differ from those of the host, over all outputs and batches.

    Attributes:
        identical: Whether every bit is the same.
        largest: Largest difference: in steps where outputs are integers, else relative to the largest value
            of the output.
        share: Share of values that differ.
    """

    identical: bool
    largest: float
    share: float


def agreement(
    reference: Reference, content: bytes, described: Sequence[Mapping[str, Any]], *, half: bool = False
) -> Agreement:
    """Compares the outputs that a runner wrote with those of the host.

    Args:
        reference: Of the host.
        content: All outputs of a batch one after the other, batches back to back.
        described: What the runner says of its outputs, in its order.
        half: Whether the device may compute in half precision.

    Raises:
        DeviceError: They differ by more than a step of a quantized output of 8 or 16 bits (two from plain
            kernels), at all in other integers or booleans, in where a float output is no number or infinite,
            or by more than a thousandth of the largest value of a float output (a twentieth in half
            precision). Where processors round differently: the root mean square of all differences of an
            output is also more than half the standard deviation of its values.
    """
    size = sum(tensor["bytes"] for tensor in described)
    if len(content) != size * len(reference.outputs):
        raise DeviceError(
            f"The device wrote {len(content)} bytes of outputs, expected {size} for each batch. Repeat; if it"
            " happens again, free space on the device."
        )
    identical, largest, different, count = True, 0.0, 0, 0
    for tensor, own in zip(described, _paired(reference, content, described), strict=True):
        difference = max(_difference(wanted, found) for wanted, found in own)
        plain = tensor["name"] in reference.plain or not _is_graded(own[0][0])
        allowed = _allowed(own[0][0], reference, half, plain)
        if not difference <= allowed and not (reference.uneven and _alike(own, plain)):
            reason = _RANDOM if reference.random else _ELSE
            raise DeviceError(
                f"Output {tensor['name']!r} differs from the host's by {difference:.3g}, allowed {allowed:g}:"
                f" {reason}"
            )
        identical = identical and all(wanted.tobytes() == found.tobytes() for wanted, found in own)
        largest = max(largest, difference)
        different += sum(_different(wanted, found) for wanted, found in own)
        count += sum(wanted.size for wanted, _ in own)
    return Agreement(identical, largest, different / max(count, 1))


def _paired(
    reference: Reference, content: bytes, described: Sequence[Mapping[str, Any]]
) -> list[list[tuple[NDArray[Any], NDArray[Any]]]]:
    """Returns for each output the host's values and the device's, batch by batch."""
    pairs: list[list[tuple[NDArray[Any], NDArray[Any]]]] = [[] for _ in described]
    at = 0
    for outputs in reference.outputs:
        for own, tensor, wanted in zip(pairs, described, in_order(outputs, described), strict=True):
            found = np.frombuffer(content[at : at + tensor["bytes"]], wanted.dtype).reshape(wanted.shape)
            at += tensor["bytes"]
            own.append((wanted, found))
    return pairs


def _alike(own: Sequence[tuple[NDArray[Any], NDArray[Any]]], plain: bool) -> bool:
    """Returns whether differences are small beside how much the host's values vary.

    Indices and decisions that are all the same here may be others there.
    """
    if not all(_same_places(wanted, found) for wanted, found in own):
        return False
    wanted, found = (
        np.concatenate([one.ravel().astype(np.float64) for one in side]) for side in zip(*own, strict=True)
    )
    finite = np.isfinite(wanted)
    spread = float(wanted[finite].std()) if finite.any() else 0.0
    if plain and spread == 0 and wanted.size and own[0][0].dtype.kind != "f":
        return True
    apart = float(np.sqrt(np.mean((wanted[finite] - found[finite]) ** 2))) if finite.any() else 0.0
    return apart <= _UNLIKE * max(spread, 1e-30)


def in_order(
    arrays: Mapping[str, NDArray[Any]], described: Sequence[Mapping[str, Any]]
) -> list[NDArray[Any]]:
    """Returns arrays in the order of the runner's tensors, by name; of files without names by place."""
    names = [tensor["name"] for tensor in described]
    if set(names) == set(arrays):
        return [arrays[name] for name in names]
    return list(arrays.values())


def _is_graded(values: NDArray[Any]) -> bool:
    """Returns whether the integers of an output can be steps of a scale."""
    return values.dtype.kind in "iu" and values.dtype.itemsize <= _WIDEST_STEPS


def _allowed(wanted: NDArray[Any], reference: Reference, half: bool, plain: bool) -> float:
    if wanted.dtype.kind == "f":
        return _HALF if half else _FLOAT
    if plain:
        return 0
    return _PORTABLE_STEPS if reference.portable else _INTEGER_STEPS


def _different(wanted: NDArray[Any], found: NDArray[Any]) -> int:
    """Returns how many values have other bytes."""
    sides = (np.frombuffer(one.tobytes(), np.uint8).reshape(one.size, -1) for one in (wanted, found))
    return int(np.not_equal(*sides).any(axis=1).sum()) if wanted.size else 0


def _same_places(wanted: NDArray[Any], found: NDArray[Any]) -> bool:
    """Returns whether the same values are no numbers, and the same are infinite, with the same sign."""
    if wanted.dtype.kind != "f":
        return True
    here, there = (np.where(np.isinf(one), np.sign(one), 0) for one in (wanted, found))
    return np.array_equal(np.isnan(wanted), np.isnan(found)) and np.array_equal(here, there)


def _difference(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """Returns the largest difference, in steps of integers, relative to the largest value of floats."""
    if wanted.size == 0:
        return 0.0
    if wanted.dtype.kind != "f":
        apart = float(np.abs(wanted.astype(np.float64) - found.astype(np.float64)).max())
        return apart or float(not np.array_equal(wanted, found))  # beyond 2^53 neighbours look equal
    if not _same_places(wanted, found):
        return np.inf
    finite = np.isfinite(wanted)
    differences = np.abs(wanted[finite].astype(np.float64) - found[finite].astype(np.float64))
    scale = max(float(np.abs(wanted[finite]).max(initial=0.0)), 1e-30)
    return float(differences.max(initial=0.0)) / scale
