"""What a file may cost: bytes on disk or milliseconds a run."""

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfzip.errors import OptionError
from tfzip.units import format_bytes, format_ms

if TYPE_CHECKING:
    from tfzip.precision.costs import CostTable

_FACTORS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMG]?I?B?)\s*", re.IGNORECASE)


def parse_bytes(size: int | str) -> int:
    """Returns a size in bytes, rounded down.

    Args:
        size: A number of bytes, or text: `"65KB"` and `"65 kB"` are 65,000 bytes, `"65KiB"` is 66,560.

    Raises:
        OptionError: The text is no size, or the size is not above 0.
    """
    text = str(size) if isinstance(size, int) and not isinstance(size, bool) else size
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    factor = _FACTORS.get(match[2].upper()) if match else None
    bytes_ = math.floor(float(match[1]) * factor) if match and factor else 0
    if bytes_ <= 0:
        raise OptionError(
            f"A size is a number of bytes or text such as '65KB' (65,000 bytes), '64KiB' or '1.5MB'."
            f" Received: {size!r}."
        )
    return bytes_


@dataclass(frozen=True)
class SizeBudget:
    """The largest size of the exported file.

    Attributes:
        limit: Bytes, or text such as `"65KB"` (65,000 bytes) or `"64KiB"`.
        costs: What widths cost in time, so that the report can say what the size costs. Defaults to None.

    Raises:
        OptionError: The limit is no size.
    """

    limit: int | str
    costs: "CostTable | None" = None

    def __post_init__(self) -> None:
        parse_bytes(self.limit)

    @property
    def limit_bytes(self) -> int:
        """The limit in bytes."""
        return parse_bytes(self.limit)

    def __str__(self) -> str:
        return f"{format_bytes(self.limit_bytes)} ({self.limit_bytes:,} bytes)"


@dataclass(frozen=True)
class LatencyBudget:
    """The longest median time of a run on the device where `costs` were measured.

    Attributes:
        limit_ms: Milliseconds.
        costs: From `tfzip.measure_costs`.

    Raises:
        OptionError: The limit is not above 0, or `costs` is no table of costs.
    """

    limit_ms: float
    costs: "CostTable"

    def __post_init__(self) -> None:
        if not 0 < self.limit_ms < math.inf:
            raise OptionError(f"limit_ms is a number of milliseconds above 0. Received: {self.limit_ms!r}.")
        if not hasattr(self.costs, "changes_ms"):
            raise OptionError(
                f"costs of a LatencyBudget come from tfzip.measure_costs. Received: {self.costs!r}."
            )

    def __str__(self) -> str:
        return f"{format_ms(self.limit_ms)} a run"
