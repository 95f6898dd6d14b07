"""The step that makes a model narrower and trains it on."""

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tfzip.errors import OptionError
from tfzip.files import write_text
from tfzip.pruning.criteria import Criterion, MagnitudeCriterion, criteria
from tfzip.recipe.run_folder import RESTART
from tfzip.recipe.steps.step import MODEL_FILE, Outcome, Work, steps
from tfzip.recipe.steps.train import TrainStep, last_line
from tfzip.units import format_fraction

if TYPE_CHECKING:
    import keras

    from tfzip.sources.data import DataSplits

_SAMPLES = 512


@steps.register
@dataclass(frozen=True)
class RemoveChannelsStep(TrainStep):
    """Removes channels and trains on, in one round or several; the fields of `train`, and these.

    Args:
        fraction: How much of the target goes, over all rounds. Defaults to 0.5.
        criterion: Which channels matter; those that need data look at 512 training rows. Defaults to
            magnitude.
        target: What the fraction is of: `"channels"`, `"macs"`, `"parameters"` or `"bytes"`. Defaults to
            `"channels"`.
        scope: `"layer"` for the same share everywhere, `"global"` or `"isomorphic"` for one ranking,
            `"greedy"` for small steps, each where the measured loss rises least. Defaults to `"layer"`.
        multiple_of: What widths have to be multiples of. Defaults to 1.
        layers: Glob patterns on the paths of layers that may lose channels. Defaults to all.
        rounds: In how many rounds, each of which trains for `epochs` (Han et al. 2015). Defaults to 1.
        scan: A file that `tfzip sensitivity --prune --output` wrote, which stands for the data of criterion
            `"sensitivity"`. Defaults to none.
    """

    fraction: float = 0.5
    criterion: Annotated[Criterion, criteria] = field(default_factory=MagnitudeCriterion)
    target: Literal["channels", "macs", "parameters", "bytes"] = "channels"
    scope: Literal["layer", "global", "isomorphic", "greedy"] = "layer"
    multiple_of: int = 1
    layers: tuple[str, ...] = ()
    rounds: int = 1
    scan: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.fraction < 1.0:
            raise OptionError(f"fraction is between 0 and 1. Received: {self.fraction}.")
        if self.criterion.needs == "start":
            raise OptionError(
                f"Criterion {criteria.name_of(self.criterion)!r} compares a model with the one before its"
                " training, which is not at hand here. Use it in a prune step, or call tfzip.remove_channels."
            )
        if self.scan and (self.criterion.needs != "loss" or self.rounds > 1 or self.scope == "greedy"):
            raise OptionError(
                "A scan stands for the data of criterion 'sensitivity', in one round and in any scope but"
                f" 'greedy'. Received: {criteria.name_of(self.criterion)!r}, {self.rounds}, {self.scope!r}."
            )
        if self.rounds < 1 or self.multiple_of < 1:
            raise OptionError(
                f"rounds and multiple_of are at least 1. Received: {self.rounds}, {self.multiple_of}."
            )

    def run(self, work: Work) -> Outcome:
        """Runs the rounds that are not done yet and saves the model."""
        import keras

        from tfzip.graph import profile
        from tfzip.recipe.training import fit
        from tfzip.sources.models import load_model

        before = profile(work.load_model())
        history: list[dict[str, float]] = []
        latest = work.model_path
        for number in range(1, self.rounds + 1):
            done = work.folder / f"{RESTART}{number}.{work.key[:12]}.keras"
            logs = done.with_suffix(".json")
            if not done.exists():
                if self.rounds > 1:
                    work.say(f"round {number} of {self.rounds}")
                part = replace(work, key=f"{work.key} {number}", seed=work.seed + number)
                keras.utils.set_random_seed(part.seed)  # so that a round is the same after an interruption
                model = self.narrowed(load_model(latest, unsafe=work.unsafe), part)
                write_text(logs, json.dumps(fit(model, self, part)))
                unfinished = work.folder / f"{RESTART}unfinished.keras"  # Keras asks for this ending
                model.save(unfinished)
                unfinished.replace(done)
            history += json.loads(logs.read_text())
            latest = done
        model = load_model(latest, unsafe=work.unsafe)
        model.save(work.folder / MODEL_FILE)
        after = profile(model)
        facts = {
            "history": history,
            "macs": {"before": before.macs, "after": after.macs},
            "parameters": {"before": before.parameters, "after": after.parameters},
        }
        line = f"{format_fraction(1 - after.macs / before.macs)} of the MACs are gone, {last_line(history)}"
        return Outcome(facts, line, model=MODEL_FILE)

    def narrowed(self, model: "keras.Model", work: Work) -> "keras.Model":
        """Returns the model of a round before it is trained."""
        from tfzip.pruning.channels.remove import remove_channels

        share = 1.0 - (1.0 - self.fraction) ** (1.0 / self.rounds)
        return remove_channels(
            model,
            share,
            criterion=self.criterion,
            target=self.target,
            scope=self.scope,
            multiple_of=self.multiple_of,
            layers=self.layers or None,
            data=self._evidence(model, work),
            seed=work.seed,
        )

    @property
    def needs_data(self) -> bool:
        """Whether channels are chosen by looking at training rows."""
        return not self.scan and (bool(self.criterion.needs) or self.scope == "greedy")

    def _evidence(self, model: "keras.Model", work: Work) -> Any:
        from tfzip.pruning.channels.scan_report import ChannelScan

        if self.scan:
            return ChannelScan.load(self.scan)
        return drawn_rows(model, self, work.data, work.seed, _SAMPLES) if self.needs_data else None


def drawn_rows(model: "keras.Model", plan: TrainStep, data: "DataSplits", seed: int, samples: int) -> Any:
    """Returns training rows, and gives the model the loss and the metrics that they are judged by."""
    import numpy as np

    from tfzip.explained import explained
    from tfzip.recipe.training import make_loss, metrics_of
    from tfzip.sources.data import num_rows, take_rows

    chosen = np.random.default_rng(seed).permutation(num_rows(data.x_train))[:samples]
    x = take_rows(data.x_train, chosen)
    if data.y_train is None:
        return x
    with explained("Choosing channels", "Check that the data fit the model."):
        loss = make_loss(model, plan, x, data.y_train[chosen])
    model.compile(loss=loss, metrics=metrics_of(plan))
    return x, data.y_train[chosen]
