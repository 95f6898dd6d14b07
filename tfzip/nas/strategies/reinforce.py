"""Reinforcement learning: a policy whose good samples become likelier."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfzip.errors import OptionError
from tfzip.nas.space import Choices, Space
from tfzip.nas.strategies.strategy import Strategy, strategies
from tfzip.nas.trial import Goal, History, Trial, identity, tried

_TRIES = 20
_LEAST_SPREAD = 1e-6
_FORGETTING = 0.9
_BELOW = 0.5  # spreads below the mean that a broken constraint earns


class _Policy:
    """Logits of every choice, and the running mean and spread of rewards."""

    def __init__(self, space: Space) -> None:
        self.logits = {name: np.zeros(len(one.options)) for name, one in space.parameters.items()}
        self.mean = self.square = 0.0
        self.count = 0
        self.values: list[tuple[float, ...]] = []

    @property
    def spread(self) -> float:
        """Running standard deviation of rewards."""
        return float(max(self.square - self.mean**2, _LEAST_SPREAD) ** 0.5)


@strategies.register
@dataclass(frozen=True)
class ReinforceStrategy(Strategy):
    """Draws from independent policies for each choice, moved along the gradient of the expected reward.

    Williams 1992, equation 11, with a running baseline, rewards in units of their running spread, and an
    entropy bonus (Zoph and Le, ICLR 2017; Bender et al., CVPR 2020, "TuNAS"). A sample that breaks a
    constraint earns less than the mean, whatever else it is worth, so that the constraint is hard. Of several
    metrics, the reward falls with the number of samples that are better in
    all of them.

    Args:
        rate: Step of the logits. Defaults to 0.3.
        entropy: Weight of the entropy. Defaults to 0.02.
    """

    rate: float = 0.3
    entropy: float = 0.02

    def __post_init__(self) -> None:
        if self.rate <= 0 or self.entropy < 0:
            raise OptionError(
                f"rate is above 0 and entropy at least 0. Received: {self.rate}, {self.entropy}."
            )

    def propose(self, space: Space, history: History, goal: Goal, rng: np.random.Generator) -> Choices:
        """Returns the next sample."""

        def learn(policy: _Policy, trial: Trial) -> _Policy:
            self._learn(space, goal, policy, trial)
            return policy

        policy = history.fold((self, space.digest), lambda: _Policy(space), learn)
        known, proposed = tried(history), {}
        for _ in range(_TRIES):
            proposed = {
                name: space.parameters[name].options[rng.choice(len(logits), p=_softmax(logits))]
                for name, logits in policy.logits.items()
            }
            proposed = space.completed(proposed, rng)
            if identity(proposed) not in known:
                break
        return proposed

    def _learn(self, space: Space, goal: Goal, policy: _Policy, trial: Trial) -> None:
        reward = self._reward(goal, policy, trial)
        policy.count += 1
        keep = min(_FORGETTING, 1.0 - 1.0 / policy.count)
        policy.mean = keep * policy.mean + (1 - keep) * reward
        policy.square = keep * policy.square + (1 - keep) * reward**2
        advantage = float(np.clip((reward - policy.mean) / policy.spread, -3.0, 3.0))
        for name, option in trial.choices.items():
            logits = policy.logits[name]
            shares = _softmax(logits)
            taken = space.parameters[name].options.index(option)
            gradient = -advantage * shares
            gradient[taken] += advantage
            surprise = -np.log(np.maximum(shares, 1e-12))
            gradient += self.entropy * len(shares) * shares * (surprise - shares @ surprise)
            policy.logits[name] = logits + self.rate * gradient

    def _reward(self, goal: Goal, policy: _Policy, trial: Trial) -> float:
        if goal.violation(trial) == 0:
            return self._value(goal, policy, trial)
        return policy.mean - _BELOW * policy.spread

    @staticmethod
    def _value(goal: Goal, policy: _Policy, trial: Trial) -> float:
        """Returns the metric; of several, how few of the samples so far are better in everything."""
        values = goal.values(trial)
        if len(values) == 1:
            return values[0]
        before = np.array(policy.values).reshape(-1, len(values))
        policy.values.append(values)
        at_least, more = before >= values, before > values
        return -float(np.log1p(np.count_nonzero(at_least.all(1) & more.any(1))))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.exp(logits - logits.max())
    return np.asarray(shifted / shifted.sum())
