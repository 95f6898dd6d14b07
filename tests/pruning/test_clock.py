from types import SimpleNamespace

import numpy as np
import pytest

from tfzip.pruning.clock import FitClock


class Count:
    """The optimizer's counter, as a variable answers."""

    def __init__(self, value):
        self.value = value

    def numpy(self):
        return np.int64(self.value)


def optimizer(iterations, accumulation=None):
    return SimpleNamespace(iterations=Count(iterations), gradient_accumulation_steps=accumulation)


@pytest.mark.parametrize(
    ("before", "restored", "epoch", "steps_per_epoch", "position"),
    [
        (0, 0, 0, 10, 0),  # a first fit
        (123, 123, 0, 10, 0),  # a fit after earlier training
        (50, 50, 5, 10, 50),  # initial_epoch=5 on a model loaded with its optimizer
        (0, 0, 5, 10, 50),  # initial_epoch=5 on weights without an optimizer
        (0, 50, 5, 10, 50),  # restored at the end of an epoch
        (0, 57, 5, 10, 57),  # restored in the middle of an epoch
        (0, 48, 5, 10, 48),  # restored, and loss scaling had skipped two steps
        (1000, 1050, 5, 10, 50),  # restored onto a model with earlier training
        (57, 50, 5, 10, 50),  # restored in the process that was interrupted
        (0, 7, 0, 10, 7),  # restored in the middle of the first epoch
        (0, 57, 5, None, 57),  # restored, epochs of unknown length
        (57, 57, 5, None, 57),  # initial_epoch, epochs of unknown length
        (57, 57, 0, None, 0),  # a fit after earlier training, epochs of unknown length
    ],
)
def test_the_position_in_the_schedule_is_found(before, restored, epoch, steps_per_epoch, position):
    state = optimizer(before)
    clock = FitClock(state)
    state.iterations.value = restored
    clock.start(epoch, steps_per_epoch)
    assert clock.batches() == position
    state.iterations.value += 3
    assert clock.batches() == position + 3


def test_batches_are_counted_where_gradients_are_accumulated():
    counter = Count(0)
    inner = SimpleNamespace(iterations=counter, gradient_accumulation_steps=4)
    clock = FitClock(SimpleNamespace(iterations=counter, inner_optimizer=inner))
    clock.start(0, 10)
    counter.value = 5
    assert clock.batches() == 20
