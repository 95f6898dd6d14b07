"""Whether a device computes what the host computes from the same inputs: a fast wrong model fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.bench.inputs import Feed
from tfzip.errors import DataError, DeviceError

_INTEGER_STEPS = 1
_PORTABLE_STEPS = 2
_FLOAT, _HALF = 1e-3, 5e-2
_FARTHER = (
    3.0  # than this machine's own kernels are from each other, where rounding is not the same everywhere
)


@dataclass(frozen=True)
class Reference:
    """What the host fed and computed.

    Attributes:
        feeds: Inputs by name, in the file's number formats, one for each batch.
        outputs: Outputs by name, one for each batch.
        others: The same by the plain C++ kernels, where the file has operations whose rounding is not the
            same on every processor; a device may be as far from the host as these, and more.
        portable: Whether the plain C++ kernels computed them, of which optimized ones are a step more apart.
    """

    feeds: Sequence[Feed]
    outputs: Sequence[Mapping[str, NDArray[Any]]]
    others: Sequence[Mapping[str, NDArray[Any]]] = ()
    portable: bool = False

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
        DeviceError: They differ by more than a step of an integer output (two from plain kernels), or by more
            than a thousandth of the largest value of a float output (a twentieth in half precision), and by
            more than three times what the host's own kernels differ by, where `reference.others` tells.
    """
    size = sum(tensor["bytes"] for tensor in described)
    if len(content) != size * len(reference.outputs):
        raise DeviceError(
            f"The device wrote {len(content)} bytes of outputs, expected {size} for each batch."
        )
    apart = _apart(reference, described)
    identical, largest, different, count, at = True, 0.0, 0, 0, 0
    for outputs in reference.outputs:
        for tensor, wanted, kernels in zip(described, in_order(outputs, described), apart, strict=True):
            found = np.frombuffer(content[at : at + tensor["bytes"]], wanted.dtype).reshape(wanted.shape)
            at += tensor["bytes"]
            difference = _difference(wanted, found)
            allowed = max(_allowed(wanted, reference, half), _FARTHER * kernels)
            if not difference <= allowed:
                raise DeviceError(
                    f"Output {tensor['name']!r} differs from the host's by {difference:.3g}, allowed"
                    f" {allowed:g}: the device computes something else, so its time says nothing."
                )
            identical = identical and wanted.tobytes() == found.tobytes()
            largest = max(largest, difference)
            different += int((wanted != found).sum())
            count += wanted.size
    return Agreement(identical, largest, different / max(count, 1))


def in_order(
    arrays: Mapping[str, NDArray[Any]], described: Sequence[Mapping[str, Any]]
) -> list[NDArray[Any]]:
    """Returns arrays in the order of the runner's tensors, by name; of files without names by place."""
    names = [tensor["name"] for tensor in described]
    if set(names) == set(arrays):
        return [arrays[name] for name in names]
    return list(arrays.values())


def _apart(reference: Reference, described: Sequence[Mapping[str, Any]]) -> list[float]:
    """Returns how far the host's own kernels are from each other, for each output."""
    found = [0.0] * len(described)
    for ours, others in zip(reference.outputs, reference.others, strict=False):
        pairs = zip(in_order(ours, described), in_order(others, described), strict=True)
        found = [max(largest, _difference(*pair)) for largest, pair in zip(found, pairs, strict=True)]
    return found


def _allowed(wanted: NDArray[Any], reference: Reference, half: bool) -> float:
    if wanted.dtype.kind != "f":
        return _PORTABLE_STEPS if reference.portable else _INTEGER_STEPS
    return _HALF if half else _FLOAT


def _difference(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """Returns the largest difference, in steps of integers, relative to the largest value of floats."""
    if wanted.size == 0:
        return 0.0
    if wanted.dtype.kind != "f":
        return float(np.abs(wanted.astype(np.float64) - found.astype(np.float64)).max())
    if not np.array_equal(np.isfinite(wanted), np.isfinite(found)):
        return np.inf
    finite = np.isfinite(wanted)
    apart = np.abs(wanted[finite].astype(np.float64) - found[finite].astype(np.float64))
    scale = max(float(np.abs(wanted[finite]).max(initial=0.0)), 1e-30)
    return float(apart.max(initial=0.0)) / scale
