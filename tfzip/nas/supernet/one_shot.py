"""What the networks of a supernet are worth with the weights that they share: an objective of a search."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzip.errors import OptionError
from tfzip.graph.profile import profile
from tfzip.nas.space import Choices
from tfzip.nas.supernet.supernet import Supernet

Table = Mapping[str, Mapping[Any, float]]

_BATCH = 256


class OneShot:
    """An objective: networks are taken out of a trained supernet and not trained on.

    It also knows what mixtures are worth (`expected`), for strategy `"gradient"`: the mean probability of the
    right class stands for accuracy, and costs are sums over choices of their shares of each option's cost
    (Wu et al., "FBNet", CVPR 2019, equation 3).

    Args:
        supernet: A trained supernet of a classifier.
        x: Validation inputs, which are not the test set.
        y: Their labels, integers.
        calibration: Training inputs for the statistics of batch normalization, some hundreds.
        costs: Cost of each option by choice, for each cost beside `macs` and `parameters`, such as
            milliseconds that were measured; `base` in a table is what the rest costs. Defaults to none.
        from_logits: Whether the supernet ends without softmax. Defaults to False.

    Raises:
        OptionError: A table lacks an option.

    Example:
        >>> one_shot = tfzip.OneShot(supernet, x_val, y_val, calibration=x_train[:512])
        >>> found = tfzip.search(supernet.space, one_shot, constraints={"macs": 5e6}, strategy="gradient")
    """

    def __init__(
        self,
        supernet: Supernet,
        x: Any,
        y: Any,
        *,
        calibration: Any,
        costs: Mapping[str, Table] | None = None,
        from_logits: bool = False,
    ) -> None:
        self.supernet, self._calibration, self._from_logits = supernet, calibration, from_logits
        self._x, self._y = np.asarray(x), np.asarray(y)
        self.costs: dict[str, Table] = {**_graph_costs(supernet), **(costs or {})}
        for name, table in self.costs.items():
            for choice, parameter in supernet.space.parameters.items():
                missing = [one for one in parameter.options if one not in table.get(choice, {})]
                if missing:
                    raise OptionError(f"The table of {name!r} has no {missing} of {choice!r}.")

    def __call__(self, choices: Choices) -> dict[str, float]:
        """Returns the accuracy of a network with shared weights, and its costs."""
        model = self.supernet.taken_out(choices, self._calibration)
        outputs = model.predict(self._x, batch_size=_BATCH, verbose=0)
        right = float(np.mean(outputs.argmax(-1) == self._y.reshape(-1)))
        return {"accuracy": right, **{name: self._cost(table, choices) for name, table in self.costs.items()}}

    @staticmethod
    def _cost(table: Table, choices: Mapping[str, Any]) -> float:
        base = float(table.get("base", {}).get("base", 0.0))
        return base + sum(float(table[choice][option]) for choice, option in choices.items())

    def expected(self, shares: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what a mixture is worth on a batch of the validation rows, and its expected costs."""
        rows = tf.random.uniform([min(_BATCH, len(self._x))], 0, len(self._x), tf.int32)
        x, y = tf.gather(tf.constant(self._x), rows), tf.gather(tf.constant(self._y.reshape(-1)), rows)
        with self.supernet.mixing(shares):
            outputs = self.supernet.model(x, training=True)
        likely = tf.nn.softmax(outputs) if self._from_logits else outputs
        found = {"accuracy": tf.reduce_mean(tf.gather(likely, y, batch_dims=1))}
        for name, table in self.costs.items():
            base = float(table.get("base", {}).get("base", 0.0))
            parts = [
                tf.tensordot(share, tf.constant(self._column(table, choice), tf.float32), 1)
                for choice, share in shares.items()
            ]
            found[name] = base + tf.add_n(parts)
        return found

    def _column(self, table: Table, choice: str) -> list[float]:
        return [float(table[choice][option]) for option in self.supernet.space.parameters[choice].options]


def _graph_costs(supernet: Supernet) -> dict[str, Table]:
    """Returns multiply-accumulates and parameters of each option beyond those of the first of its choice.

    Both are sums over layers, so that the sums over choices are exact.
    """
    first = {name: one.options[0] for name, one in supernet.space.parameters.items()}
    read: dict[str, Callable[[keras.Model], float]] = {
        "macs": lambda model: profile(model).macs,
        "parameters": lambda model: profile(model).parameters,
    }
    start = supernet.taken_out(first)
    base = {name: of(start) for name, of in read.items()}
    found: dict[str, dict[str, dict[Any, float]]] = {
        name: {"base": {"base": value}} for name, value in base.items()
    }
    for choice, parameter in supernet.space.parameters.items():
        for option in parameter.options:
            model = supernet.taken_out({**first, choice: option})
            for name, of in read.items():
                found[name].setdefault(choice, {})[option] = of(model) - base[name]
    return dict(found)
