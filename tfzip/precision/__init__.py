"""Mixed precision: how much each layer's width costs, and the widths that fit a budget."""

from tfzip.precision.budget import LatencyBudget, SizeBudget

__all__ = ["LatencyBudget", "SizeBudget"]
