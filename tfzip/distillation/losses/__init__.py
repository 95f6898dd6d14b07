"""What a student imitates: one loss per file."""

from tfzip.distillation.losses.attention_transfer import AttentionTransferLoss
from tfzip.distillation.losses.contrastive import ContrastiveLoss
from tfzip.distillation.losses.cosine import CosineLoss
from tfzip.distillation.losses.distillation_loss import (
    DistillationLoss,
    FeatureLoss,
    OutputLoss,
    distillation_losses,
)
from tfzip.distillation.losses.dkd import DkdLoss
from tfzip.distillation.losses.hint import HintLoss
from tfzip.distillation.losses.kd import KdLoss
from tfzip.distillation.losses.mse import MseLoss
from tfzip.distillation.losses.relational import RelationalLoss
from tfzip.distillation.losses.similarity_preserving import SimilarityPreservingLoss

__all__ = [
    "AttentionTransferLoss",
    "ContrastiveLoss",
    "CosineLoss",
    "DistillationLoss",
    "DkdLoss",
    "FeatureLoss",
    "HintLoss",
    "KdLoss",
    "MseLoss",
    "OutputLoss",
    "RelationalLoss",
    "SimilarityPreservingLoss",
    "distillation_losses",
]
