"""The step that trains."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tfzip.distillation.losses import DistillationLoss, distillation_losses
from tfzip.errors import OptionError
from tfzip.recipe.augmentations import Augmentation, augmentations
from tfzip.recipe.steps.step import MODEL_FILE, Outcome, Step, Work, steps

LOSSES = Literal[
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    "binary_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
]


@steps.register
@dataclass(frozen=True)
class TrainStep(Step):
    """Trains the model on the training split.

    Args:
        epochs: How often every row is seen.
        batch_size: Rows per update. Defaults to 64.
        optimizer: `"adam"`, `"adamw"`, `"rmsprop"` or `"sgd"` (momentum 0.9). Defaults to `"adam"`.
        learning_rate: Rate at the start. Defaults to 0.001.
        decay: `"cosine"` to let the rate fall to 0 along half a cosine, or `"none"`. Defaults to `"cosine"`.
        warm_up: Share of the steps in which the rate rises from 0 to `learning_rate` first. Defaults to 0.0.
        weight_decay: By how much weights shrink in each step, times the rate (Loshchilov and Hutter 2019).
            Defaults to 0.0, which is Keras's 0.004 for `"adamw"`.
        augment: What training samples go through, in this order. Defaults to nothing.
        loss: Name of a Keras loss. Defaults to `"sparse_categorical_crossentropy"`, for integer labels.
        from_logits: Whether the model ends without softmax or sigmoid. Defaults to False.
        distill: Distillation losses by which the model as it comes into this step teaches the one that is
            trained, by name or as tables with their fields, such as `["kd"]` or
            `[{ name = "kd", temperature = 2.0 }]`. Defaults to none.
        distill_weights: A weight for each of them. Defaults to those of the papers.
        label_weight: Weight of `loss` beside them. Defaults to 1.0.
    """

    epochs: int
    batch_size: int = 64
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    learning_rate: float = 0.001
    decay: Literal["cosine", "none"] = "cosine"
    warm_up: float = 0.0
    weight_decay: float = 0.0
    augment: tuple[Annotated[Augmentation, augmentations], ...] = ()
    loss: LOSSES = "sparse_categorical_crossentropy"
    from_logits: bool = False
    distill: tuple[Annotated[DistillationLoss, distillation_losses], ...] = ()
    distill_weights: tuple[float, ...] = ()
    label_weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if getattr(self, name) <= 0:
                raise OptionError(f"{name} is above 0. Received: {getattr(self, name)}.")
        if not 0.0 <= self.warm_up < 1.0 or (self.warm_up and self.decay != "cosine"):
            raise OptionError(
                "warm_up is a share below 1 and comes before decay = 'cosine'. Received:"
                f" {self.warm_up}, decay {self.decay!r}."
            )
        if self.weight_decay < 0:
            raise OptionError(f"weight_decay is at least 0. Received: {self.weight_decay}.")
        losses = tuple(distillation_losses.get(one) for one in self.distill)
        object.__setattr__(self, "distill", losses)  # names become what they name
        if len(self.distill_weights) not in (0, len(losses)):
            names = [distillation_losses.name_of(one) for one in losses]
            raise OptionError(
                f"distill_weights has a number for each of {names}. Received: {list(self.distill_weights)}."
            )

    def run(self, work: Work) -> Outcome:
        """Trains and saves the model."""
        from tfzip.recipe.training import fit

        model = work.load_model()
        history = fit(model, self, work)
        model.save(work.folder / MODEL_FILE)
        return Outcome({"history": history}, last_line(history), model=MODEL_FILE)


def last_line(history: list[dict[str, float]]) -> str:
    """Returns the logs of the last epoch in one line."""
    return ", ".join(f"{name} {value:.4g}" for name, value in history[-1].items())
