"""A plan checks its fields and decides how many runs a block has."""

import pytest

from tfzip.bench import BenchPlan
from tfzip.errors import OptionError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": 0}, "runs must be a whole number from 1"),
        ({"runs": 1.5}, "runs must be"),
        ({"runs": True}, "runs must be"),
        ({"threads": 0}, "threads must be a whole number from 1 to 256"),
        ({"threads": (1, 257)}, "threads must be"),
        ({"threads": ()}, "threads must be"),
        ({"threads": (2, 2)}, "must not repeat"),
        ({"threads": "1,2"}, "threads must be"),
        ({"launches": -1}, "launches must be"),
        ({"seed": -1}, "seed must be"),
        ({"min_duration_s": float("nan")}, "min_duration_s must be"),
        ({"warmup_s": -1.0}, "warmup_s must be"),
        ({"timeout_s": 0}, "timeout_s must leave time"),
        ({"run": 5}, "Did you mean 'runs'"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        BenchPlan.from_options(options)


def test_threads_may_be_one_number_or_a_list():
    assert BenchPlan(threads=2).threads == (2,)
    assert BenchPlan(threads=[1, 2]).threads == (1, 2)


@pytest.mark.parametrize(
    ("run_ms", "expected"),
    [
        (100.0, 5),  # 100 runs over 5 launches of 4 blocks; the duration asks for one run of 50 ms
        (0.5, 100),  # 1 s / 20 blocks = 50 ms per block
        (0.001, 5000),  # 200,000 by launch, in 40 blocks
    ],
)
def test_a_block_honours_runs_and_duration(run_ms, expected):
    assert BenchPlan(runs=100, min_duration_s=1.0).runs_per_block(run_ms) == expected


def test_the_cap_of_a_block_does_not_cut_the_runs_asked_for():
    assert BenchPlan(runs=200_000, min_duration_s=0).runs_per_block(0.001) == 10_000


@pytest.mark.parametrize("run_ms", [0.001, 0.05, 3.0, 1000.0])
def test_runs_and_duration_both_hold_for_fast_and_slow_files(run_ms):
    plan = BenchPlan(runs=1024, min_duration_s=60)
    blocks = plan.blocks_for(run_ms)
    runs = plan.launches * blocks * plan.runs_per_block(run_ms)
    assert blocks % 2 == 0
    assert plan.runs_per_block(run_ms) <= 5000
    assert runs >= 1024
    assert 60 <= runs * run_ms / 1e3 <= max(61, 2 * 1024 * run_ms / 1e3)
