"""Deadlines: counted misses, and a limit that agrees with tables and with drawing."""

import json

import numpy as np
import pytest

import tfzip
from tests.bench.schema_check import violations
from tests.bench.test_benchmark import QUICK, SCHEMA
from tfzip.bench.chart import chart_page
from tfzip.bench.deadline import deadline_verdict, highest_rate
from tfzip.errors import OptionError


@pytest.mark.parametrize(
    ("events", "trials", "limit"),
    [
        (0, 10, 1 - 0.05 ** (1 / 10)),  # the closed form for no event
        (0, 1000, 1 - 0.05 ** (1 / 1000)),
        (1, 10, 0.3942),  # tables of the one-sided 95 % limit of Clopper and Pearson
        (2, 20, 0.2826),
        (10, 10, 1.0),
    ],
)
def test_the_limit_is_that_of_clopper_and_pearson(events, trials, limit):
    assert highest_rate(events, trials) == pytest.approx(limit, abs=2e-4)


def test_the_limit_covers_the_true_rate():
    rng = np.random.default_rng(0)
    misses = rng.binomial(200, 0.03, size=2000)
    limits = {count: highest_rate(int(count), 200) for count in set(misses)}
    assert np.mean([limits[count] >= 0.03 for count in misses]) >= 0.94


def test_misses_are_counted():
    found = deadline_verdict("m.tflite", 1, np.array([1.0, 2.0, 5.0, 3.0]), 3.0)
    assert (found.missed, found.runs, found.verdict, found.worst_ms) == (1, 4, "missed", 5.0)
    assert (found.p99_ms, found.p999_ms, found.jitter_ms) == pytest.approx((4.94, 4.994, 4.0))
    assert "was missed by 1 of 4 runs: p99 4.94 ms, p99.9 4.99 ms, the longest 5 ms, jitter 4 ms" in str(
        found
    )
    assert "was met in all 4 runs" in str(deadline_verdict("m.tflite", 1, np.ones(4), 3.0))


def test_a_benchmark_gives_a_verdict_for_each_latency(small):
    report = tfzip.benchmark(small, threads=(1, 2), deadline_ms=1000.0, **QUICK)
    assert [(one.threads, one.verdict) for one in report.deadlines] == [(1, "met"), (2, "met")]
    assert violations(json.loads(report.to_json()), SCHEMA, SCHEMA) == []
    one = report.latencies[0]
    assert (
        report.deadlines[0].jitter_ms
        == pytest.approx(one.jitter_ms)
        == pytest.approx(one.max_ms - one.min_ms)
    )
    assert "jitter_ms" in report.to_csv().splitlines()[0]
    assert "<th>p99.9</th><th>max</th><th>jitter</th>" in chart_page(report)
    assert tfzip.benchmark(small, **QUICK).deadlines == ()


@pytest.mark.parametrize("deadline", [0, -1.0, float("nan"), float("inf"), "33", True])
def test_a_deadline_is_above_zero(deadline, small):
    with pytest.raises(OptionError, match="deadline_ms must be a time above 0"):
        tfzip.benchmark(small, deadline_ms=deadline)


def test_a_device_that_counts_instructions_refuses_a_deadline(small):
    with pytest.raises(OptionError, match="qemu counts instructions"):
        tfzip.benchmark(small, device="qemu", deadline_ms=1.0)
