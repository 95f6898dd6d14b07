"""Which weights and channels matter: one criterion per file."""

from tfzip.pruning.criteria.apoz import ApozCriterion
from tfzip.pruning.criteria.batch_norm import BatchNormCriterion
from tfzip.pruning.criteria.criterion import Criterion, WeightCriterion, criteria
from tfzip.pruning.criteria.fisher import FisherCriterion
from tfzip.pruning.criteria.geometric_median import GeometricMedianCriterion
from tfzip.pruning.criteria.hrank import HrankCriterion
from tfzip.pruning.criteria.l1 import L1Criterion
from tfzip.pruning.criteria.l2 import L2Criterion
from tfzip.pruning.criteria.lamp import LampCriterion
from tfzip.pruning.criteria.magnitude import MagnitudeCriterion
from tfzip.pruning.criteria.mean_activation import MeanActivationCriterion
from tfzip.pruning.criteria.movement import MovementCriterion
from tfzip.pruning.criteria.random import RandomCriterion
from tfzip.pruning.criteria.sensitivity import SensitivityCriterion
from tfzip.pruning.criteria.taylor import TaylorCriterion

__all__ = [
    "ApozCriterion",
    "BatchNormCriterion",
    "Criterion",
    "FisherCriterion",
    "GeometricMedianCriterion",
    "HrankCriterion",
    "L1Criterion",
    "L2Criterion",
    "LampCriterion",
    "MagnitudeCriterion",
    "MeanActivationCriterion",
    "MovementCriterion",
    "RandomCriterion",
    "SensitivityCriterion",
    "TaylorCriterion",
    "WeightCriterion",
    "criteria",
]
