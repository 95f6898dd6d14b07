"""Gradient search: shares of options, moved along the gradient, then the nearest network that is allowed."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import OptionError
from tfzip.nas.space import Choices, Space
from tfzip.nas.strategies.strategy import Strategy, strategies
from tfzip.nas.trial import Goal, History, identity, tried

_LOOKED_AT = 2048
_MOST_CANDIDATES = 256


class Relaxed(Protocol):
    """An objective that also knows what it is worth in between, such as a supernet."""

    def __call__(self, choices: Choices) -> Mapping[str, float]:
        """Returns the metrics of a sample."""

    def expected(self, shares: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns differentiable metrics, scalars, from a tensor of shares, which add up to 1, by choice."""


@strategies.register
@dataclass(frozen=True)
class GradientStrategy(Strategy):
    """Maximizes the expected metric over shares of options, with a price on what is above a constraint.

    Liu et al., "DARTS", ICLR 2019, for the relaxation; Wu et al., "FBNet", CVPR 2019, for the expected cost.
    The price rises while the expected cost is above its cap (a Lagrange multiplier), and entropy is charged
    more and more, so that the shares become a choice. What is proposed then are samples, likeliest first,
    whose cost, as the objective expects it of them alone, is within every cap: none is infeasible.

    For objectives with a method `expected` (`tfzip.nas.strategies.gradient.Relaxed`), and spaces without
    conditions.

    Args:
        steps: Of Adam. Defaults to 400.
        rate: Of Adam. Defaults to 0.1.
        price: How fast the price of a constraint rises. Defaults to 0.02.
        entropy: Price of entropy at the end, as a share of the metric's change. Defaults to 0.02.
        noise: Size of Gumbel noise on the logits, whose temperature falls from 1 to 0.3 (Jang et al. 2017).
            Defaults to 1.0.
        binary: Whether the likeliest option alone is passed, with the gradient of the shares (Cai et al.,
            "ProxylessNAS", ICLR 2019, section 3.2); what a supernet of single paths was trained for. Defaults
            to False.
    """

    steps: int = 400
    rate: float = 0.1
    price: float = 0.02
    entropy: float = 0.02
    noise: float = 1.0
    binary: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rate <= 0 or min(self.price, self.entropy, self.noise) < 0:
            raise OptionError(
                "steps is at least 1, rate above 0, price, entropy and noise at least 0. Received:"
                f" {self.steps}, {self.rate}, {self.price}, {self.entropy}, {self.noise}."
            )

    def prepared(self, space: Space, objective: Any, goal: Goal, seed: int) -> Strategy:
        """Moves the shares, and returns a strategy that proposes what they come to."""
        if not hasattr(objective, "expected"):
            raise OptionError(
                "Strategy 'gradient' needs an objective with a method expected(shares), such as a supernet."
                " Use 'evolution' for others."
            )
        if any(parameter.only_if for parameter in space.parameters.values()):
            raise OptionError("Strategy 'gradient' needs choices that always exist. Use 'evolution'.")
        shares = self._moved(space, objective, goal, seed)
        return _InOrder(tuple(self._allowed(space, objective, goal, shares)))

    def propose(self, space: Space, history: History, goal: Goal, rng: np.random.Generator) -> Choices:  # noqa: ARG002
        """Returns a sample drawn anew, for want of an objective; see `prepared`."""
        return space.sample(rng)

    def _moved(self, space: Space, objective: Any, goal: Goal, seed: int) -> dict[str, NDArray[Any]]:
        import keras
        import tensorflow as tf

        rng = np.random.default_rng(seed)
        logits = {
            name: tf.Variable(rng.normal(0.0, 0.01, len(one.options)), dtype=tf.float32)
            for name, one in space.parameters.items()
        }
        generator = tf.random.Generator.from_seed(seed)
        optimizer = keras.optimizers.Adam(self.rate)
        prices = tf.Variable(tf.zeros(len(goal.constraints)))
        caps = tf.constant(list(goal.constraints.values()), tf.float32)
        scale = tf.Variable(0.0)
        first = tf.Variable(np.nan, dtype=tf.float32)

        @tf.function  # type: ignore[untyped-decorator]
        def step(progress: Any) -> None:
            with tf.GradientTape() as tape:
                shares = {}
                for name, one in logits.items():
                    drawn = generator.uniform(one.shape, 1e-6, 1.0 - 1e-6)
                    noise = -tf.math.log(-tf.math.log(drawn))
                    share = tf.nn.softmax((one + self.noise * noise) / (1.0 - 0.7 * progress))
                    shares[name] = _hard(share) if self.binary else share
                found = objective.expected(shares)
                value = tf.add_n([_signed(found, name) for name in goal.maximize]) / len(goal.maximize)
                first.assign(tf.where(tf.math.is_nan(first), value, first))
                scale.assign(tf.maximum(scale, tf.abs(value - first)))
                unit = tf.maximum(scale, 1e-3 * tf.abs(first) + 1e-9)
                excess = (
                    tf.stack([found[name] for name in goal.constraints]) / caps - 1.0
                    if len(prices)
                    else prices
                )
                disorder = tf.add_n(
                    [-tf.reduce_sum(one * tf.math.log(one + 1e-9)) for one in shares.values()]
                )
                loss = -value / unit + tf.reduce_sum(prices * excess) + progress * self.entropy * disorder
            variables = list(logits.values())
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            prices.assign(tf.maximum(prices + self.price * excess, 0.0))

        for index in range(self.steps):
            step(tf.constant(index / self.steps, tf.float32))
        return {name: tf.nn.softmax(one).numpy() for name, one in logits.items()}

    def _allowed(
        self, space: Space, objective: Any, goal: Goal, shares: Mapping[str, NDArray[Any]]
    ) -> Iterator[Choices]:
        """Yields samples within the caps, likeliest first."""
        import tensorflow as tf

        price_of = tf.function(objective.expected)
        found = 0
        for number, places in enumerate(_likeliest(list(shares.values()))):
            if found == _MOST_CANDIDATES or (number == _LOOKED_AT and found):
                return
            alone = {
                name: tf.one_hot(place, len(shares[name])) for name, place in zip(shares, places, strict=True)
            }
            expected = price_of(alone) if goal.constraints else {}
            if all(float(expected[name]) <= cap for name, cap in goal.constraints.items()):
                found += 1
                yield {
                    name: space.parameters[name].options[place]
                    for name, place in zip(shares, places, strict=True)
                }


@dataclass(frozen=True)
class _InOrder(Strategy):
    """Proposes what it was given."""

    candidates: tuple[Choices, ...]

    def propose(self, space: Space, history: History, goal: Goal, rng: np.random.Generator) -> Choices:  # noqa: ARG002
        known = tried(history)
        for candidate in self.candidates:
            if identity(candidate) not in known:
                return dict(candidate)
        if not self.candidates:
            raise OptionError("No sample of the space is within the constraints, as far as their costs tell.")
        return dict(self.candidates[len(history) % len(self.candidates)])


def _hard(share: Any) -> Any:
    """Returns 1 for the likeliest option and 0 for others, with the gradient of the shares."""
    import tensorflow as tf

    alone = tf.one_hot(tf.argmax(share), share.shape[0])
    return alone + share - tf.stop_gradient(share)


def _signed(metrics: Mapping[str, Any], name: str) -> Any:
    return -metrics[name[1:]] if name.startswith("-") else metrics[name]


def _likeliest(shares: Sequence[NDArray[Any]]) -> Iterator[tuple[int, ...]]:
    """Yields places in every array, in the order of the product of their shares."""
    orders = [np.argsort(-one, kind="stable") for one in shares]
    logs = [np.log(np.maximum(one[order], 1e-30)) for one, order in zip(shares, orders, strict=True)]
    start = (0,) * len(shares)
    waiting = [(-sum(one[0] for one in logs), start)]
    seen = {start}
    while waiting:
        cost, ranks = heapq.heappop(waiting)
        yield tuple(int(order[rank]) for order, rank in zip(orders, ranks, strict=True))
        for axis, rank in enumerate(ranks):
            if rank + 1 < len(logs[axis]):
                following = (*ranks[:axis], rank + 1, *ranks[axis + 1 :])
                if following not in seen:
                    seen.add(following)
                    more = logs[axis][rank] - logs[axis][rank + 1]
                    heapq.heappush(waiting, (cost + more, following))
