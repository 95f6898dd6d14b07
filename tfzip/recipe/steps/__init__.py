"""The verbs of a recipe: one step per file."""

from tfzip.recipe.steps import benchmark, cluster, compare, evaluate, export, prune, quantize, train
from tfzip.recipe.steps.step import Step, steps

__all__ = [
    "Step",
    "benchmark",
    "cluster",
    "compare",
    "evaluate",
    "export",
    "prune",
    "quantize",
    "steps",
    "train",
]
