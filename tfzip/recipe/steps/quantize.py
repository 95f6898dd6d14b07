"""The step that trains for the integers of the file."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from tfzip.errors import OptionError
from tfzip.quantization.observers import Observer, PercentileObserver, observers
from tfzip.recipe.run_folder import RESTART_FILE
from tfzip.recipe.steps.step import MODEL_FILE, Outcome, Work, steps
from tfzip.recipe.steps.train import TrainStep, last_line


@steps.register
@dataclass(frozen=True)
class QuantizeStep(TrainStep):
    """Trains on while the model computes as its file will; the fields of `train`, and these.

    The model learns its ranges: an `export` of the same scheme uses them. A training that was interrupted
    starts over, since ranges are chosen on the first batches of the fit.

    Args:
        scheme: What to train for. Defaults to `"int8"`.
        observer: How ranges of activations are chosen. Defaults to percentile.
        start: Epoch from whose begin the model is simulated. Defaults to 0.
        freeze_ranges: Epoch at whose begin ranges are chosen for the last time. Defaults to the last third.
        freeze_statistics: Epoch from whose begin batch statistics stay as they are. Defaults to the last
            third.
        learned_steps: Whether steps of grids are learned (LSQ) instead of chosen again. Defaults to False.
    """

    scheme: Literal["int8", "int8_per_tensor", "uint8", "w4a8", "int16x8", "int8_weights", "int4_weights"] = (
        "int8"
    )
    observer: Annotated[Observer, observers] = field(default_factory=PercentileObserver)
    start: int = 0
    freeze_ranges: int | None = None
    freeze_statistics: int | None = None
    learned_steps: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.start < self.epochs:
            raise OptionError(f"start is an epoch from 0 to {self.epochs - 1}. Received: {self.start}.")

    def run(self, work: Work) -> Outcome:
        """Trains with the quantization callback and saves the model with its grids."""
        from tfzip.quantization.callback import QuantizationCallback
        from tfzip.quantization_record import record_of
        from tfzip.recipe.training import fit

        (work.folder / RESTART_FILE).unlink(missing_ok=True)
        model = work.load_model()
        callback = QuantizationCallback(
            self.scheme,
            self.observer,
            start=self.start,
            freeze_ranges=self.freeze_ranges,
            freeze_statistics=self.freeze_statistics,
            learned_steps=self.learned_steps,
        )
        history = fit(model, self, work, [callback])
        model.save(work.folder / MODEL_FILE)
        record = record_of(model)
        ranges = {} if record is None else {name: list(ends) for name, ends in record.ranges.items()}
        facts = {"history": history, "scheme": self.scheme, "ranges": ranges}
        return Outcome(
            facts, f"trained for {self.scheme}, {len(ranges)} ranges, {last_line(history)}", model=MODEL_FILE
        )
