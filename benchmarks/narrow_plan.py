"""The trainings of `bench_channel_accuracy`: which networks, which rows, and the same budget for each row."""

from dataclasses import dataclass, replace
from typing import Any

from aware_plan import TRAIN_ROWS, AwarePlan

BLOCKS = {"resnet8": 1, "resnet20": 3}  # of each of the three widths (He et al. 2016, section 4.2)
WIDTHS = (16, 32, 64)
BASE_EPOCHS = {"resnet8": 24, "resnet20": 24}
WEIGHT_DECAY = {"resnet8": 1e-4, "resnet20": 5e-4}  # the smaller one underfits with more
LOSSES, WEIGHTS = ("kd",), (1.0,)  # of the rows that are taught; chosen on held-out rows, one seed
SAMPLES = 512  # training rows that a criterion looks at


@dataclass(frozen=True)
class Kind:
    """How a row comes by its narrow network.

    Attributes:
        name: Of the row.
        criterion: Of `tfzip.remove_channels`, or `""` where nothing is removed.
        scope: In which it ranks.
        ahead: What the first epoch of the budget goes to, on the whole network: `"slimming"`, `"movement"`.
        fresh: Whether training starts from random weights.
        long: Whether it may train for as long as the whole network and its fine-tuning together.
        taught: Whether the whole network as it was trained teaches it, by knowledge distillation.
    """

    name: str
    criterion: str = ""
    scope: str = "layer"
    ahead: str = ""
    fresh: bool = False
    long: bool = False
    taught: bool = False


def taught(kind: Kind) -> Kind:
    """Returns the same row with the whole network as a teacher."""
    return replace(kind, name=f"{kind.name}, taught", taught=True)


WHOLE = Kind("whole network")
SCRATCH = Kind("narrow from scratch", "random", fresh=True)
SCRATCH_LONG = Kind("narrow from scratch, long", "random", fresh=True, long=True)
RANDOM = Kind("random", "random")
CRITERIA = (
    *(Kind(name, name) for name in ("magnitude", "geometric_median", "apoz", "mean_activation", "hrank")),
    *(Kind(name, name, "global") for name in ("l1", "l2", "lamp", "taylor", "fisher", "sensitivity")),
    Kind("batch_norm", "batch_norm", "global", ahead="slimming"),
    Kind("movement", "movement", ahead="movement"),
    Kind("l2 layer", "l2"),
    Kind("taylor layer", "taylor"),
)
WHOLE_TAUGHT = taught(WHOLE)


@dataclass(frozen=True)
class NarrowPlan(AwarePlan):
    """A fit on augmented CIFAR-10 by SGD with momentum, the rate falling along half a cosine after a rise.

    Attributes:
        rise: Share of the fit in which the rate rises from 0.
    """

    epochs: int = 5
    learning_rate: float = 0.05
    batch_size: int = 128
    rise: float = 0.0

    def compile(self, keras: Any, model: Any) -> None:
        """Compiles a model."""
        steps = self.steps * self.epochs
        rising = round(self.rise * steps)
        start = 0.0 if rising else self.learning_rate
        rate = keras.optimizers.schedules.CosineDecay(
            start, steps - rising, warmup_target=self.learning_rate if rising else None, warmup_steps=rising
        )
        decay = WEIGHT_DECAY[self.network]
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])

    def _scaled(self, images: Any) -> Any:
        return images.astype("float32")


def base_plan(network: str, data: str, images: int = TRAIN_ROWS, epochs: int | None = None) -> NarrowPlan:
    """Returns the training of a whole network from random weights."""
    return NarrowPlan(network, data, 0, epochs or BASE_EPOCHS[network], images, 0.1, rise=0.1)


def residual_network(keras: Any, network: str) -> Any:
    """Returns a residual network for pixels of 0 to 255, with random weights."""
    layers = keras.layers
    x = inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 64, -2)(x)
    x = layers.ReLU()(_normalized(layers, x, WIDTHS[0], 3, 1))
    for width in WIDTHS:
        for block in range(BLOCKS[network]):
            stride = 2 if width != WIDTHS[0] and block == 0 else 1
            y = layers.ReLU()(_normalized(layers, x, width, 3, stride))
            y = _normalized(layers, y, width, 3, 1)
            x = layers.ReLU()(layers.Add()([x if stride == 1 else _normalized(layers, x, width, 1, 2), y]))
    x = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x, name=network)


def _normalized(layers: Any, x: Any, width: int, size: int, stride: int) -> Any:
    x = layers.Conv2D(width, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    return layers.BatchNormalization(momentum=0.9)(x)
