"""The step that trains towards zeros."""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

from tfzip.pruning.criteria import Criterion, MagnitudeCriterion, criteria
from tfzip.pruning.patterns import ElementPattern, Pattern, patterns
from tfzip.pruning.schedules import PolynomialSchedule, Schedule, schedules
from tfzip.pruning.window import PruningWindow
from tfzip.recipe.steps.step import MODEL_FILE, Outcome, Work, steps
from tfzip.recipe.steps.train import TrainStep, last_line
from tfzip.units import format_fraction


@steps.register
@dataclass(frozen=True)
class PruneStep(TrainStep):
    """Trains on while a growing part of the weights is set to zero; the fields of `train`, and these.

    Args:
        schedule: How fast sparsity grows, and how far. Defaults to polynomial, to 0.5.
        criterion: Which weights matter. Defaults to magnitude.
        pattern: Which weights may go together. Defaults to element.
        scope: `"layer"` for the same sparsity everywhere, `"global"` for one threshold. Defaults to
            `"layer"`.
        layers: Glob patterns on layer paths. Defaults to all layers with kernels.
        window: `begin`, `end`, `unit`, `every` of the growth. Defaults to the first three quarters.
    """

    schedule: Annotated[Schedule, schedules] = field(default_factory=PolynomialSchedule)
    criterion: Annotated[Criterion, criteria] = field(default_factory=MagnitudeCriterion)
    pattern: Annotated[Pattern, patterns] = field(default_factory=ElementPattern)
    scope: Literal["layer", "global"] = "layer"
    layers: tuple[str, ...] = ()
    window: PruningWindow = field(default_factory=PruningWindow)

    def run(self, work: Work) -> Outcome:
        """Trains with the pruning callback and saves the model."""
        from tfzip.pruning.callback import PruningCallback
        from tfzip.recipe.training import fit

        model = work.load_model()
        callback = PruningCallback(
            self.schedule,
            criterion=self.criterion,
            pattern=self.pattern,
            scope=self.scope,
            layers=self.layers or None,
            window=self.window,
        )
        history = fit(model, self, work, [callback])
        model.save(work.folder / MODEL_FILE)
        summary = callback.summary()
        facts = {"history": history, "sparsity": summary.sparsity, "pruning": asdict(summary)}
        line = f"{format_fraction(summary.sparsity)} of the pruned kernels are zero, {last_line(history)}"
        if summary.reached != summary.target:
            line += (
                f"; the window ends after the training, before the target {format_fraction(summary.target)}"
            )
        return Outcome(facts, line, model=MODEL_FILE)
