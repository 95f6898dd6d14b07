"""A model whose metrics are as they were when a block ends."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def undisturbed(model: keras.Model) -> Iterator[None]:
    """Puts back what measuring a model's loss leaves behind in it: sums of metrics, a compiled step."""
    kept = [(variable, variable.numpy()) for metric in model.metrics for variable in metric.variables]
    step = getattr(model, "test_function", None)
    try:
        yield
    finally:
        if hasattr(model, "test_function"):
            model.test_function = step
        known = {id(variable) for variable, _ in kept}
        for metric in model.metrics:
            if any(id(variable) not in known for variable in metric.variables):
                metric.reset_state()  # made by the measurement
        for variable, values in kept:
            variable.assign(values)
