"""How ranges of activations are chosen: one observer per file."""

from tfzip.quantization.observers.entropy import EntropyObserver
from tfzip.quantization.observers.min_max import MinMaxObserver
from tfzip.quantization.observers.moving_average import MovingAverageObserver
from tfzip.quantization.observers.mse import MseObserver
from tfzip.quantization.observers.observer import Observer, observers
from tfzip.quantization.observers.percentile import PercentileObserver
from tfzip.quantization.observers.statistics import TensorStatistics

__all__ = [
    "EntropyObserver",
    "MinMaxObserver",
    "MovingAverageObserver",
    "MseObserver",
    "Observer",
    "PercentileObserver",
    "TensorStatistics",
    "observers",
]
