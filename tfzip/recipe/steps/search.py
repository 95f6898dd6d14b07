"""The step that looks for a better network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from tfzip.errors import OptionError
from tfzip.nas.stoppers import Stopper, stoppers
from tfzip.nas.strategies import EvolutionStrategy, GradientStrategy, Strategy, strategies
from tfzip.recipe.run_folder import RESTART
from tfzip.recipe.steps.step import MODEL_FILE, Outcome, Work, steps
from tfzip.recipe.steps.train import TrainStep


@steps.register
@dataclass(frozen=True)
class SearchStep(TrainStep):
    """Tries networks of a space within hard limits; the best, as it was trained, is the model from then on.

    The fields of `train`, by which each network is trained, and these. The model so far says what goes in and
    what comes out, and is the teacher where `distill` names a loss.

    Args:
        space: `"mobilenet"`, `"resnet"`, `"sequence"`, or `package.module:function`, which without
            arguments returns a `ModelSpace` or a KerasTuner hypermodel. Defaults to `"mobilenet"`.
        space_options: Arguments of a ready space, such as `most_blocks`. Defaults to none.
        trials: How many networks. Defaults to 30.
        strategy: How the search goes on. Defaults to evolution.
        stopper: Which trainings end early, `"asha"` or `"median"`. Defaults to none.
        maximize: Metrics: `accuracy`, `loss` or a cost, each with a minus in front if it is to be small.
            Defaults to `["accuracy"]`, measured on the validation rows.
        constraints: Largest value of costs: `macs`, `parameters`, `file_bytes`, `arena_bytes`, `latency_ms`,
            `instructions`. Defaults to none.
        scheme: Number formats of the files that costs are asked of. Defaults to `"float32"`.
        device: Where times and instructions are measured. Defaults to `"host"`.
        predict_from: How many networks are measured first, from which `latency_ms` and `instructions` of the
            others are predicted. Defaults to 0, which measures each.
        finalists: How many of the best are measured then. Defaults to 3.
        inherit: Whether a network begins with the weights of the nearest one so far. Defaults to False.
        storage: Of the trials: a database that others share, or a journal. Defaults to one in the folder.
    """

    space: str = "mobilenet"
    space_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    trials: int = 30
    strategy: Annotated[Strategy, strategies] = field(default_factory=EvolutionStrategy)
    stopper: Annotated[Stopper, stoppers] | None = None
    maximize: tuple[str, ...] = ("accuracy",)
    constraints: Mapping[str, float] = field(default_factory=dict, hash=False)
    scheme: str = "float32"
    device: str = "host"
    predict_from: int = 0
    finalists: int = 3
    inherit: bool = False
    storage: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in ("trials", 1), ("finalists", 1), ("predict_from", 0):
            if getattr(self, name) < least:
                raise OptionError(f"{name} is at least {least}. Received: {getattr(self, name)}.")
        if not self.maximize:
            raise OptionError("maximize names at least one metric. Received none.")
        if isinstance(self.strategy, GradientStrategy):
            raise OptionError(
                "Strategy 'gradient' needs a supernet; call tfzip.search. Here use 'evolution'."
            )
        from tfzip.costs import costs

        for name in self.priced:
            costs.type_of(name)

    @property
    def priced(self) -> tuple[str, ...]:
        """Costs that are asked of every network: those that are capped or wanted, and `macs`."""
        wanted = [name.removeprefix("-") for name in self.maximize]
        asked = dict.fromkeys(["macs", *self.constraints, *wanted])
        return tuple(name for name in asked if name not in ("accuracy", "loss"))

    def run(self, work: Work) -> Outcome:
        """Searches, and saves the best network with what was tried."""
        from tfzip.recipe.searching import searched

        storage = self.storage or str(work.folder / f"{RESTART}{work.key[:16]}.journal")
        facts, summary = searched(self, work, storage)
        return Outcome(facts, summary, model=MODEL_FILE)
