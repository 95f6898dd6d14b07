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


@dataclass(frozen=True)
class Reference:
    """What the host fed and computed.

    Attributes:
        feeds: Inputs by name, in the file's number formats, one for each batch.
        outputs: Outputs by name, one for each batch.
        portable: Whether the plain C++ kernels computed them, of which optimized ones are a step more apart.
    """

    feeds: Sequence[Feed]
    outputs: Sequence[Mapping[str, NDArray[Any]]]
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
            than a thousandth of the largest value of a float output (a twentieth in half precision).
    """
    size = sum(tensor["bytes"] for tensor in described)
    if len(content) != size * len(reference.outputs):
        raise DeviceError(
            f"The device wrote {len(content)} bytes of outputs, expected {size} for each batch."
        )
    steps = _PORTABLE_STEPS if reference.portable else _INTEGER_STEPS
    identical, largest, different, count, at = True, 0.0, 0, 0, 0
    for outputs in reference.outputs:
        for tensor, wanted in zip(described, in_order(outputs, described), strict=True):
            found = np.frombuffer(content[at : at + tensor["bytes"]], wanted.dtype).reshape(wanted.shape)
            at += tensor["bytes"]
            difference, allowed = _difference(wanted, found, half, steps)
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


def _difference(wanted: NDArray[Any], found: NDArray[Any], half: bool, steps: int) -> tuple[float, float]:
    if wanted.size == 0:
        return 0.0, 0.0
    if wanted.dtype.kind != "f":
        apart = np.abs(wanted.astype(np.float64) - found.astype(np.float64))
        return float(apart.max()), steps
    if not np.array_equal(np.isfinite(wanted), np.isfinite(found)):
        return np.inf, _FLOAT
    finite = np.isfinite(wanted)
    apart = np.abs(wanted[finite].astype(np.float64) - found[finite].astype(np.float64))
    scale = max(float(np.abs(wanted[finite]).max(initial=0.0)), 1e-30)
    return float(apart.max(initial=0.0)) / scale, _HALF if half else _FLOAT
