"""How fast sparsity grows: one schedule per file."""

from tfzip.pruning.schedules.constant import ConstantSchedule
from tfzip.pruning.schedules.cosine import CosineSchedule
from tfzip.pruning.schedules.linear import LinearSchedule
from tfzip.pruning.schedules.polynomial import PolynomialSchedule
from tfzip.pruning.schedules.schedule import Schedule, schedules

__all__ = [
    "ConstantSchedule",
    "CosineSchedule",
    "LinearSchedule",
    "PolynomialSchedule",
    "Schedule",
    "schedules",
]
