"""A cost that was measured on some samples, predicted for others of the same space."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import OptionError
from tfzip.nas.space import IntRange, Space

LEAST_SAMPLES = 20
_RIDGES = tuple(10.0**power for power in range(-6, 3))
_DEGREE = 2

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """A cost that was not measured.

    Attributes:
        value: The predicted cost.
        low: Lower end of the interval.
        high: Upper end.
        confidence: Share of other samples whose cost lies in such intervals.
        metric: What it is, such as `"latency_ms"`.
        device: Where the samples were measured.
        samples: How many there were.
    """

    value: float
    low: float
    high: float
    confidence: float
    metric: str
    device: str
    samples: int

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return (
            f"{self.metric} {self.value:.4g} ({self.low:.4g} to {self.high:.4g}), predicted from"
            f" {self.samples} samples measured on {self.device}"
        )


@dataclass(frozen=True)
class CostPredictor:
    """Predicts a cost from choices, with an interval, and refuses to extrapolate.

    Kernel ridge regression on choices, each option a coordinate and each range one more, with a polynomial
    kernel of second degree, so that two choices may act together. Its penalty is the one with the smallest
    leave-one-out error, and the interval is a quantile of leave-one-out errors (the jackknife; Barber et al.,
    "Predictive inference with the jackknife+", Annals of Statistics 2021).

    Attributes:
        metric: What is predicted, such as `"latency_ms"`.
        device: Where the samples were measured.
        space: The digest of their space.
        samples: Choices of each.
        costs: The measured cost of each.
        ridge: The penalty.
        confidence: Of the interval.
        half: Half the width of the interval.

    Example:
        >>> predictor = fit_predictor(space, measured, metric="latency_ms", device="pixel3")
        >>> print(predictor.predict(choices))
        latency_ms 8.1 (7.7 to 8.5), predicted from 200 samples measured on pixel3
    """

    metric: str
    device: str
    space: str
    samples: tuple[Mapping[str, Any], ...]
    costs: tuple[float, ...]
    ridge: float
    confidence: float
    half: float

    def predict(self, space: Space, choices: Mapping[str, Any]) -> Prediction:
        """Returns the cost of a sample.

        Raises:
            OptionError: The sample is of another space, or has an option, or a number beyond those, that no
                measured sample has.
        """
        if space.digest != self.space:
            raise OptionError("This predictor was fitted on another space. Fit one on samples of this space.")
        space.check(choices)
        for name, option in choices.items():
            seen = [one[name] for one in self.samples if name in one]
            inside = (
                seen and min(seen) <= option <= max(seen)
                if isinstance(space.parameters[name], IntRange)
                else option in seen
            )
            if not inside:
                raise OptionError(
                    f"{self.metric} of {name}={option!r} would be extrapolated: no sample measured on"
                    f" {self.device} has it. Measure some that do."
                )
        value = float(self.values(space, [choices])[0])
        return Prediction(
            value,
            value - self.half,
            value + self.half,
            self.confidence,
            self.metric,
            self.device,
            len(self.costs),
        )

    def values(self, space: Space, many: Sequence[Mapping[str, Any]]) -> Array:
        """Returns the predicted costs of many samples, without a look at whether they are extrapolated."""
        own = _coordinates(space, self.samples)
        costs = np.array(self.costs)
        weights = np.linalg.solve(_kernel(own, own) + self.ridge * np.eye(len(own)), costs - costs.mean())
        return np.asarray(_kernel(_coordinates(space, many), own) @ weights + costs.mean())

    def to_json(self) -> str:
        """Returns everything as JSON."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "CostPredictor":
        """Returns what `to_json` wrote.

        Raises:
            OptionError: It is no such text.
        """
        try:
            fields = json.loads(text)
            lists = {name: tuple(fields[name]) for name in ("samples", "costs")}
            return cls(**(fields | lists))
        except (ValueError, KeyError, TypeError) as error:
            raise OptionError(f"This is no predictor of a cost: {error}.") from error


def fit_predictor(
    space: Space,
    measured: Sequence[tuple[Mapping[str, Any], float]],
    *,
    metric: str,
    device: str,
    confidence: float = 0.9,
) -> CostPredictor:
    """Fits a predictor.

    Args:
        space: Of which the samples are.
        measured: Choices with their measured cost.
        metric: What was measured, such as `"latency_ms"`.
        device: Where.
        confidence: Share of other samples whose cost is to lie in the interval. Defaults to 0.9.

    Raises:
        OptionError: There are fewer than 20 samples, or a cost is not finite.
    """
    if not 0.0 < confidence < 1.0:
        raise OptionError(f"confidence is between 0 and 1. Received: {confidence!r}.")
    if len(measured) < LEAST_SAMPLES:
        raise OptionError(
            f"A predictor needs at least {LEAST_SAMPLES} measured samples. Received: {len(measured)}."
        )
    samples = tuple(dict(choices) for choices, _ in measured)
    costs = np.array([float(cost) for _, cost in measured])
    for choices in samples:
        space.check(choices)
    if not np.isfinite(costs).all():
        raise OptionError("Measured costs are finite numbers. Leave samples out that could not be measured.")
    kernel = _kernel(*[_coordinates(space, samples)] * 2)
    errors = {ridge: _left_out(kernel, costs, ridge) for ridge in _RIDGES}
    ridge = min(errors, key=lambda one: float(np.mean(errors[one] ** 2)))
    rank = min(len(costs), ceil(confidence * (len(costs) + 1)))
    half = float(np.sort(np.abs(errors[ridge]))[rank - 1])
    return CostPredictor(
        metric, device, space.digest, samples, tuple(costs.tolist()), ridge, confidence, half
    )


def _left_out(kernel: Array, costs: Array, ridge: float) -> Array:
    """Returns the error at each sample of the fit to all others."""
    inverse = np.linalg.inv(kernel + ridge * np.eye(len(costs)))
    return np.asarray((inverse @ (costs - costs.mean())) / np.diag(inverse))


def _kernel(one: Array, other: Array) -> Array:
    return np.asarray((1.0 + one @ other.T) ** _DEGREE)


def _coordinates(space: Space, samples: Sequence[Mapping[str, Any]]) -> Array:
    """Returns a row for each sample; the coordinates of a choice have length 1 together."""
    columns = []
    for name, parameter in space.parameters.items():
        options = list(parameter.options)
        places = np.array([options.index(one[name]) if name in one else -1 for one in samples])
        columns.append((places[:, None] == np.arange(len(options))).astype(np.float64))
        if isinstance(parameter, IntRange) and len(options) > 1:
            columns.append(np.where(places < 0, 0.0, places / (len(options) - 1))[:, None])
    return np.asarray(np.concatenate(columns, axis=1) / np.sqrt(len(space.parameters)))
