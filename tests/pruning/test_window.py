import math

import pytest

from tfzip.errors import OptionError
from tfzip.pruning.window import PruningWindow


def test_epochs_become_steps():
    grid = PruningWindow(begin=0.5, end=2, every=10).grid(4, 100)
    assert (grid.begin, grid.end, grid.every, grid.per_epoch) == (50, 200, 10, False)


def test_by_default_the_last_quarter_of_a_fit_trains_with_the_final_mask():
    grid = PruningWindow().grid(4, 1000)
    assert (grid.begin, grid.end) == (0, 3000)


@pytest.mark.parametrize(("steps_per_epoch", "every"), [(1000, 100), (40, 12), (3, 1)])
def test_updates_are_a_hundred_steps_apart_or_a_tenth_of_the_window(steps_per_epoch, every):
    assert PruningWindow().grid(4, steps_per_epoch).every == every


def test_progress_moves_at_updates_only_and_ends_at_one():
    grid = PruningWindow(begin=10, end=35, unit="steps", every=10).grid(1, 100)
    assert [grid.progress(tick) for tick in (9, 10, 19, 20, 34, 35, 99)] == [None, 0, 0, 0.4, 0.8, 1, 1]
    assert [grid.next_update(tick) for tick in (0, 10, 19, 20, 30, 34)] == [10, 20, 20, 30, 35, 35]
    assert grid.next_update(35) == math.inf


def test_an_empty_window_prunes_at_once():
    assert PruningWindow(begin=3, end=3, unit="steps").grid(1, 10).progress(3) == 1.0


def test_without_a_known_length_masks_change_once_per_epoch_and_one_epoch_ahead():
    grid = PruningWindow(end=4).grid(6, None)
    assert [grid.progress(epoch) for epoch in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert PruningWindow().grid(1, None).progress(0) == 1.0


def test_steps_can_be_counted_without_a_known_length_if_the_end_is_given():
    assert PruningWindow(end=50, unit="steps").grid(3, None).end == 50
    with pytest.raises(OptionError, match="pass steps_per_epoch to fit"):
        PruningWindow(unit="steps").grid(3, None)
    with pytest.raises(OptionError, match="Leave every out"):
        PruningWindow(every=5).grid(3, None)


@pytest.mark.parametrize("steps_per_epoch", [100, None])
def test_a_window_may_not_begin_after_its_default_end(steps_per_epoch):
    with pytest.raises(OptionError, match="Give it an end"):
        PruningWindow(begin=5).grid(4, steps_per_epoch)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unit": "epoch"}, "Did you mean 'epochs'"),
        ({"begin": -1}, "0 <= begin <= end"),
        ({"begin": 2, "end": 1}, "0 <= begin <= end"),
        ({"every": 0}, "at least 1"),
        ({"every": 2.5}, "at least 1"),
    ],
)
def test_a_wrong_field_says_what_was_expected(fields, message):
    with pytest.raises(OptionError, match=message):
        PruningWindow(**fields)
