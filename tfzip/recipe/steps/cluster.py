"""The step that trains with shared weights."""

from dataclasses import asdict, dataclass
from typing import Literal

from tfzip.quantization.clustering.options import Sharing
from tfzip.recipe.steps.step import MODEL_FILE, Outcome, Work, steps
from tfzip.recipe.steps.train import TrainStep, last_line


@steps.register
@dataclass(frozen=True)
class ClusterStep(TrainStep):
    """Trains on while the weights of each kernel share a few values; the fields of `train`, and these.

    Args:
        clusters: The most different values of a codebook. Defaults to 16.
        per_channel: Whether each output channel has a codebook of its own. Defaults to False.
        initialization: Where k-means begins. Defaults to `"density"`.
        freeze_codes: Epoch from whose begin every weight stays with its code. Defaults to none.
        layers: Glob patterns on layer paths. Defaults to all layers with kernels.
    """

    clusters: int = 16
    per_channel: bool = False
    initialization: Literal["density", "linear", "kmeans++"] = "density"
    freeze_codes: int | None = None
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        Sharing(self.clusters, self.per_channel, self.initialization, 0, self.freeze_codes)

    def run(self, work: Work) -> Outcome:
        """Trains with the clustering callback and saves the model."""
        from tfzip.quantization.clustering.callback import ClusteringCallback
        from tfzip.recipe.training import fit

        model = work.load_model()
        callback = ClusteringCallback(
            self.clusters,
            per_channel=self.per_channel,
            initialization=self.initialization,
            freeze_codes=self.freeze_codes,
            layers=self.layers or None,
            seed=work.seed,
        )
        history = fit(model, self, work, [callback])
        model.save(work.folder / MODEL_FILE)
        summary = callback.summary()
        line = f"{len(summary.kernels)} kernels share {self.clusters} values, {last_line(history)}"
        return Outcome({"history": history, "clustering": asdict(summary)}, line, model=MODEL_FILE)
