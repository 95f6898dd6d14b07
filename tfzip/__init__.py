"""tfzip: takes a Keras model from `model.fit` to a phone, smaller and faster, with proof.

Names are loaded on first use, so `import tfzip` costs nothing and commands that need no framework load none.
"""

from importlib import import_module
from typing import Any

from tfzip.version import __version__

_HOME = {
    "inspect": "tfzip.runtime.inspect",
    "sparse_advice": "tfzip.runtime.sparse_advice",
    "prepare_for_sparse": "tfzip.graph.sparse_ready",
    "PruningCallback": "tfzip.pruning.callback",
    "QuantizationCallback": "tfzip.quantization.callback",
    "quantize": "tfzip.quantization.quantize",
    "ClusteringCallback": "tfzip.quantization.clustering.callback",
    "cluster": "tfzip.quantization.clustering.cluster",
    "sensitivity": "tfzip.precision.sensitivity",
    "assign_precision": "tfzip.precision.assign",
    "export_within": "tfzip.precision.mixed",
    "measure_costs": "tfzip.precision.costs",
    "SizeBudget": "tfzip.precision",
    "LatencyBudget": "tfzip.precision",
    "round_weights": "tfzip.quantization.post_training",
    "remove_channels": "tfzip.pruning.channels.remove",
    "shrink": "tfzip.pruning.channels.shrink_model",
    "channel_sensitivity": "tfzip.pruning.channels.scan",
    "PruningWindow": "tfzip.pruning.window",
    "SlimmingCallback": "tfzip.pruning.slimming",
    "cache_teacher": "tfzip.distillation.cached_teacher",
    "DistillationWarmUp": "tfzip.distillation.warm_up",
    "EmaTeacherCallback": "tfzip.distillation.ema_teacher",
    "ensemble": "tfzip.distillation.ensemble",
    "Distiller": "tfzip.distillation.distiller",
    "SparsityLogger": "tfzip.pruning.sparsity_logger",
    "ConstantSchedule": "tfzip.pruning.schedules",
    "LinearSchedule": "tfzip.pruning.schedules",
    "PolynomialSchedule": "tfzip.pruning.schedules",
    "CosineSchedule": "tfzip.pruning.schedules",
    "search": "tfzip.nas.search",
    "Space": "tfzip.nas.space",
    "Choice": "tfzip.nas.space",
    "IntRange": "tfzip.nas.space",
    "SearchResult": "tfzip.nas.result",
    "CostPredictor": "tfzip.nas.predictor",
    "fit_predictor": "tfzip.nas.predictor",
    "costs_of": "tfzip.costs.cost",
    "from_keras_tuner": "tfzip.nas.keras_tuner",
    "inherit_weights": "tfzip.nas.inherit",
    "ChoiceLayer": "tfzip.nas.supernet.choice_layer",
    "Supernet": "tfzip.nas.supernet.supernet",
    "OneShot": "tfzip.nas.supernet.one_shot",
    "benchmark": "tfzip.bench",
    "compare": "tfzip.runtime.compare",
    "pack": "tfzip.packing",
    "unpack": "tfzip.packing",
    "open_session": "tfzip.runtime",
    "parity": "tfzip.runtime.simulation_parity",
    "export": "tfzip.conversion.export",
    "Artifact": "tfzip.artifact",
    "TfzipError": "tfzip.errors",
    "flatten": "tfzip.graph.flatten",
    "profile": "tfzip.graph.profile",
    "rebuild": "tfzip.graph.rebuild",
    "from_tf_keras": "tfzip.legacy",
    "load_data": "tfzip.sources.data",
    "load_model": "tfzip.sources.models",
    "load_recipe": "tfzip.recipe.loading",
    "run_recipe": "tfzip.recipe.running",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tfzip' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
