"""Students that learn from teachers: the distiller and its losses."""

from tfzip.distillation.distiller import Distiller
from tfzip.distillation.losses import DistillationLoss, FeatureLoss, OutputLoss, distillation_losses

__all__ = ["DistillationLoss", "Distiller", "FeatureLoss", "OutputLoss", "distillation_losses"]
