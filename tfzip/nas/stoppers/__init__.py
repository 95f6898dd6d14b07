"""When a trial is not worth its remaining steps: one rule per file."""

from tfzip.nas.stoppers.asha import AshaStopper
from tfzip.nas.stoppers.median import MedianStopper
from tfzip.nas.stoppers.stopper import Curve, Stopper, stoppers

__all__ = ["AshaStopper", "Curve", "MedianStopper", "Stopper", "stoppers"]
