"""Which weights may go together: one pattern per file."""

from tfzip.pruning.patterns.block import BlockPattern
from tfzip.pruning.patterns.channel import ChannelPattern
from tfzip.pruning.patterns.element import ElementPattern
from tfzip.pruning.patterns.pattern import Pattern, patterns
from tfzip.pruning.patterns.semi_structured import SemiStructuredPattern

__all__ = [
    "BlockPattern",
    "ChannelPattern",
    "ElementPattern",
    "Pattern",
    "SemiStructuredPattern",
    "patterns",
]
