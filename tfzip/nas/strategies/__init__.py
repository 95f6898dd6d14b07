"""How a search goes on: one strategy per file."""

from tfzip.nas.strategies.evolution import EvolutionStrategy
from tfzip.nas.strategies.gradient import GradientStrategy
from tfzip.nas.strategies.nsga2 import Nsga2Strategy
from tfzip.nas.strategies.random import RandomStrategy
from tfzip.nas.strategies.reinforce import ReinforceStrategy
from tfzip.nas.strategies.strategy import Strategy, strategies
from tfzip.nas.strategies.tpe import TpeStrategy

__all__ = [
    "EvolutionStrategy",
    "GradientStrategy",
    "Nsga2Strategy",
    "RandomStrategy",
    "ReinforceStrategy",
    "Strategy",
    "TpeStrategy",
    "strategies",
]
