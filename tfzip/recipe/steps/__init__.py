"""The verbs of a recipe: one step per file."""

from tfzip.recipe.steps import (
    benchmark,
    cluster,
    compare,
    distill,
    evaluate,
    export,
    prune,
    quantize,
    remove_channels,
    search,
    train,
)
from tfzip.recipe.steps.step import Step, steps

__all__ = [
    "Step",
    "benchmark",
    "cluster",
    "compare",
    "distill",
    "evaluate",
    "export",
    "prune",
    "quantize",
    "remove_channels",
    "search",
    "steps",
    "train",
]
