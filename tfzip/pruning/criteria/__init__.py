"""Which weights matter: one criterion per file."""

from tfzip.pruning.criteria.criterion import Criterion, criteria
from tfzip.pruning.criteria.l1 import L1Criterion
from tfzip.pruning.criteria.l2 import L2Criterion
from tfzip.pruning.criteria.magnitude import MagnitudeCriterion

__all__ = ["Criterion", "L1Criterion", "L2Criterion", "MagnitudeCriterion", "criteria"]
