"""A search in which every sample is a network that is trained, and priced as a file."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfzip.costs import costs_of
from tfzip.errors import DataError, OptionError
from tfzip.files import write_text
from tfzip.nas.inherit import inherit_weights
from tfzip.nas.keras_tuner import from_keras_tuner
from tfzip.nas.predictor import LEAST_SAMPLES, CostPredictor, Prediction, fit_predictor
from tfzip.nas.search import search
from tfzip.nas.space import Choices
from tfzip.nas.spaces import READY, ModelSpace
from tfzip.nas.trial import identity
from tfzip.recipe.run_folder import RESTART
from tfzip.recipe.steps.step import MODEL_FILE, Work
from tfzip.recipe.training import fit
from tfzip.schemes import get_scheme
from tfzip.sources.data import num_rows, take_rows
from tfzip.sources.models import from_user
from tfzip.sources.user_code import names_function

if TYPE_CHECKING:
    from tfzip.recipe.steps.search import SearchStep

_CALIBRATION = 128
_DRAWS = 3  # for each network that is measured, in spaces of which not all can be built
_MEASURED = ("latency_ms", "instructions")
_BENCH = {"latency_ms": {"runs": 50, "launches": 1, "min_duration_s": 0.2}}
UNTRAINED = "untrained.keras"
RECIPE = "from_scratch.toml"


def searched(step: "SearchStep", work: Work, storage: str) -> tuple[dict[str, Any], str]:
    """Searches and leaves the best network, all trials and a recipe in the folder of the work.

    Returns:
        What was found, and that in a line.

    Raises:
        TfzipError: The space does not fit the data, nothing can be built, or nothing keeps the constraints.
    """
    networks = _networks(step, work)
    objective = TrainedNetworks(step, work, networks)
    found = search(
        networks.space,
        objective,
        strategy=step.strategy,
        stopper=step.stopper,
        maximize=step.maximize,
        constraints=step.constraints,
        trials=step.trials,
        seed=work.seed,
        storage=storage,
        finalists=step.finalists,
        progress=work.say,
    )
    best = found.best
    objective.trained(dict(best.choices)).save(work.folder / MODEL_FILE)
    objective.built(dict(best.choices)).save(work.folder / UNTRAINED)
    write_text(work.folder / RECIPE, _recipe(step, work))
    for name in ("search.json", "trials.csv", "search.html"):
        found.save(work.folder / name)
    failed = sum(bool(trial.reason) for trial in found.trials)
    facts = {
        "choices": dict(best.choices),
        "metrics": dict(best.metrics),
        "predicted": dict(best.predicted),
        "trials": len(found.trials),
        "not_built": failed,
        "front": [{"choices": dict(t.choices), "metrics": dict(t.metrics)} for t in found.front],
    }
    said = ", ".join(f"{name} {value:.6g}" for name, value in best.metrics.items())
    return facts, f"the best of {len(found.trials)} networks: {said}"


class TrainedNetworks:
    """An objective: a network is built, priced, and trained if its price will do.

    Trained networks are kept in the folder of the work, so that the best need not be trained again.

    Args:
        step: How networks are trained and priced.
        work: Gives data, seed and folder.
        networks: Of the search.
    """

    def __init__(self, step: "SearchStep", work: Work, networks: ModelSpace) -> None:
        self._step, self._work, self._networks = step, work, networks
        self._kept: list[Choices] = []
        self._predictors: dict[str, CostPredictor] = {}
        if step.predict_from:
            for name in _MEASURED:
                if name in step.priced:
                    self._predictors[name] = self._fitted(name)

    def __call__(self, choices: Choices, report: Callable[[int, float], None]) -> dict[str, Any]:
        """Returns the metrics of a network. What breaks a constraint is not trained."""
        model = self.built(choices)
        found = self._prices(choices, model)
        if any(float(found[name]) > cap for name, cap in self._step.constraints.items()):
            return found
        return found | self._fit(choices, model, report)

    @property
    def _by_accuracy(self) -> bool:
        return "crossentropy" in self._step.loss

    def measured(self, choices: Choices) -> dict[str, float]:
        """Returns the costs of a finalist that depend on a device, measured."""
        names = [name for name in self._step.priced if name in _MEASURED]
        return self._measure(names, self.built(choices)) if names else {}

    def built(self, choices: Choices) -> keras.Model:
        """Returns a network with the weights that it begins with, the same each time."""
        keras.utils.set_random_seed(self._work.seed)
        return self._networks.build(choices)

    def trained(self, choices: Choices) -> keras.Model:
        """Returns a network as it was trained; where that was on another machine, it is trained here."""
        path = self._path(choices)
        if not path.exists():
            self._work.say("the best was trained elsewhere; it is trained here once more")
            self._fit(choices, self.built(choices), _unheard)
        model: keras.Model = keras.models.load_model(path, compile=False)
        return model

    def _fit(
        self, choices: Choices, model: keras.Model, report: Callable[[int, float], None]
    ) -> dict[str, float]:
        if self._step.inherit and self._kept:
            inherit_weights(model, keras.models.load_model(self._path(self._nearest(choices)), compile=False))
        name, sign = ("val_accuracy", 1.0) if self._by_accuracy else ("val_loss", -1.0)
        wanted = self._step.maximize[0]

        def on_epoch_end(epoch: int, logs: Mapping[str, float]) -> None:
            if wanted in ("accuracy", "-loss"):
                report(epoch + 1, logs[name] * (sign if wanted == "accuracy" else 1.0))

        told = keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)
        with tempfile.TemporaryDirectory(prefix="tfzip-") as folder:
            quiet = replace(self._work, folder=Path(folder), say=_unheard)
            history = fit(model, self._step, quiet, [told])
        model.save(self._path(choices))
        self._kept.append(choices)
        last = history[-1]
        found = {"loss": last["val_loss"]}
        return found | ({"accuracy": last["val_accuracy"]} if self._by_accuracy else {})

    def _prices(self, choices: Choices, model: keras.Model) -> dict[str, Any]:
        predicted: dict[str, Prediction] = {}
        for name, predictor in self._predictors.items():
            predicted[name] = predictor.predict(self._networks.space, choices)
        return {**self._measure([n for n in self._step.priced if n not in predicted], model), **predicted}

    def _measure(self, names: list[str], model: keras.Model) -> dict[str, float]:
        step = self._step
        bench = _BENCH["latency_ms"] if "latency_ms" in names else {}
        needs = get_scheme(step.scheme).needs_calibration
        samples = take_rows(self._work.data.x_train, slice(0, _CALIBRATION)) if needs else None
        return costs_of(model, names, scheme=step.scheme, device=step.device, calibration=samples, **bench)

    def _fitted(self, name: str) -> CostPredictor:
        """Returns a predictor from networks that are measured first, or that were before."""
        path = self._work.folder / f"{RESTART}{name}-{self._work.key[:16]}.json"
        if path.exists():
            return CostPredictor.from_json(path.read_text())
        rng = np.random.default_rng(self._work.seed)
        wanted = max(self._step.predict_from, LEAST_SAMPLES)
        measured: list[tuple[Choices, float]] = []
        for _ in range(_DRAWS * wanted):
            choices = self._networks.space.sample(rng)
            try:
                model = self.built(choices)
            except Exception:  # noqa: BLE001, S112 - the search will say why it cannot be built
                continue
            measured.append((choices, self._measure([name], model)[name]))
            self._work.say(f"{name} of network {len(measured)} of {wanted} measured on {self._step.device}")
            if len(measured) == wanted:
                break
        predictor = fit_predictor(self._networks.space, measured, metric=name, device=self._step.device)
        write_text(path, predictor.to_json())
        return predictor

    def _nearest(self, choices: Choices) -> Choices:
        return max(self._kept, key=lambda other: len(set(other.items()) & set(choices.items())))

    def _path(self, choices: Choices) -> Path:
        digest = hashlib.sha256(repr(identity(choices)).encode()).hexdigest()[:16]
        return self._work.folder / f"{RESTART}{digest}.keras"


def _unheard(*_: Any) -> None:
    """Takes a report or a line, and leaves it at that."""


def _networks(step: "SearchStep", work: Work) -> ModelSpace:
    """Returns the space that a step names, for the inputs and outputs of the model so far."""
    if num_rows(work.data.x_val) == 0:
        raise DataError("A search chooses by validation rows, and there are none. Set val_fraction above 0.")
    if names_function(step.space):
        found = from_user(step.space)
        return found if isinstance(found, ModelSpace) else from_keras_tuner(found)
    if step.space not in READY:
        raise OptionError(
            f"There is no ready space {step.space!r}: {', '.join(READY)}. Or name package.module:function."
        )
    model = work.load_model()
    shape, outputs = tuple(model.inputs[0].shape[1:]), int(model.outputs[0].shape[-1])
    make = READY[step.space]
    try:
        return make(shape, outputs, **step.space_options)
    except (TypeError, ValueError) as error:
        raise OptionError(f"Space {step.space!r} does not take these options or shapes: {error}.") from error


def _recipe(step: "SearchStep", work: Work) -> str:
    """Returns a recipe that trains the best network from scratch, in a folder with its file."""
    return f"""# Trains the network that a search found from random weights. Set the data and more epochs.
name = {json.dumps(f"{work.name}_from_scratch")}
seed = {work.seed}
model = {json.dumps(UNTRAINED)}

[data]
source = "..." # as in the recipe of the search

[[steps]]
step = "train"
epochs = {5 * step.epochs}
batch_size = {step.batch_size}
optimizer = {json.dumps(step.optimizer)}
learning_rate = {step.learning_rate}
loss = {json.dumps(step.loss)}

[[steps]]
step = "export"
scheme = {json.dumps(step.scheme)}

[[steps]]
step = "compare"
"""
