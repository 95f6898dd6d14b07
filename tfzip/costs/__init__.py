"""What a network costs: one figure per file."""

from tfzip.costs import arena_bytes, file_bytes, instructions, latency_ms, macs, parameters
from tfzip.costs.cost import Candidate, Cost, costs, costs_of

__all__ = [
    "Candidate",
    "Cost",
    "arena_bytes",
    "costs",
    "costs_of",
    "file_bytes",
    "instructions",
    "latency_ms",
    "macs",
    "parameters",
]
