"""Time of an inference."""

from dataclasses import dataclass

from tfzip.costs.cost import Candidate, Cost, costs
from tfzip.errors import OptionError


@costs.register
@dataclass(frozen=True)
class LatencyMsCost(Cost):
    """Median time of an inference on the device, measured."""

    def of(self, candidate: Candidate) -> float:
        """Returns milliseconds; raises `OptionError` for a device that measures no time."""
        if not candidate.measured.latencies:
            raise OptionError(
                f"{candidate.measured.device['name']} counts and measures no time. Cap instructions instead"
                " of latency_ms, or name another device."
            )
        return candidate.measured.latencies[0].p50_ms
