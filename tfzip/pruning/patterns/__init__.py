"""Which weights may go together: one pattern per file."""

from tfzip.pruning.patterns.element import ElementPattern
from tfzip.pruning.patterns.pattern import Pattern, patterns

__all__ = ["ElementPattern", "Pattern", "patterns"]
