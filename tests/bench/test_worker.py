"""The functions that run in the child: opening, warming up, timing, peak memory."""

import numpy as np
import pytest
import tensorflow as tf

from tests.bench.files import convert_function
from tfzip.bench import worker
from tfzip.errors import DataError, FileFormatError, OptionError
from tfzip.sandbox import run_isolated

OPTIONS = {"runtime": "litert", "threads": 1, "seed": 0}


def simulated(monkeypatch, duration_of_run):
    """Replaces the clock by a function of the number of the run; returns the list of what was taken."""
    taken = []

    def timed(session, runs):
        durations = [duration_of_run(len(taken) + i) for i in range(runs)]
        taken.extend(durations)
        return durations

    monkeypatch.setattr(worker, "_timed", timed)
    monkeypatch.setitem(worker._opened, "file", worker._Opened(None, []))
    return taken


def test_a_file_is_opened_warmed_up_and_timed(small):
    timing = worker.open_file(str(small), **OPTIONS)
    assert timing.init_ms > 0
    assert timing.first_inference_ms > 0
    warm_up = worker.warm_up(2.0)
    assert warm_up.runs >= 9
    samples = worker.time_block(50, index=0)
    assert samples.shape == (50,)
    assert 0.2 < np.median(samples) / warm_up.run_ms < 5


@pytest.mark.parametrize("file", ["int16", "int8", "pair"])
def test_integer_and_several_inputs_run(file, request):
    worker.open_file(str(request.getfixturevalue(file)), **OPTIONS)
    assert worker.time_block(3, index=1).min() > 0


def test_warm_up_goes_on_while_runs_get_faster(monkeypatch):
    taken = simulated(monkeypatch, lambda run: max(10.0, 30.0 - run))
    warm_up = worker.warm_up(60.0)
    # Windows of 3 runs of 10 ms; the runs before number 20 are longer, and three windows have to agree.
    assert warm_up.steady
    assert 20 + 2 * 3 <= warm_up.runs == len(taken) <= 20 + 4 * 3
    assert warm_up.run_ms == 10.0


def test_short_runs_are_judged_in_windows_of_thirty_milliseconds(monkeypatch):
    simulated(monkeypatch, lambda run: 0.1)
    assert worker.warm_up(60.0).runs >= 3 * 300


def test_warm_up_ends_when_its_time_is_over(monkeypatch):
    simulated(monkeypatch, lambda run: 10.0 * 1.1**run)
    warm_up = worker.warm_up(0.0)
    assert not warm_up.steady
    assert warm_up.runs == 9


def test_blocks_take_the_feeds_in_turn(monkeypatch):
    fed = []

    class Session:
        def feed(self, inputs):
            fed.append(inputs)

        def invoke(self):
            pass

    monkeypatch.setitem(worker._opened, "file", worker._Opened(Session(), ["a", "b"]))
    for index in range(3):
        worker.time_block(1, index)
    assert fed == ["a", "b", "a"]


def test_timing_without_an_open_file_is_refused(monkeypatch):
    monkeypatch.setattr(worker, "_opened", {})
    with pytest.raises(OptionError, match="No file is open"):
        worker.time_block(1, 0)


def test_data_of_another_shape_are_refused(small):
    with pytest.raises(DataError, match=r"\(1, 16, 16, 3\)"):
        worker.open_file(str(small), **OPTIONS, data=np.zeros((4, 8, 8, 3), np.float32))


def peak_of(size_bytes):
    np.ones(3 * size_bytes, np.uint8)  # an earlier, higher peak must not hide the later one
    baseline = worker._reset_peak()
    np.ones(size_bytes, np.uint8)
    return worker._peak() - baseline


def test_the_peak_is_counted_from_the_baseline():
    size = 64 << 20
    assert run_isolated("tests.bench.test_worker:peak_of", size) == pytest.approx(size, rel=0.05)


def test_peak_memory_covers_the_file_and_is_small_for_a_small_file(small, large):
    peaks = [run_isolated("tfzip.bench.worker:peak_memory", str(path), **OPTIONS) for path in (small, large)]
    assert all(
        path.stat().st_size < peak < 64 << 20 for path, peak in zip((small, large), peaks, strict=True)
    )
    assert peaks[0] < peaks[1]


def test_an_output_without_a_size_of_its_own_is_refused_for_devices(tmp_path):
    path = convert_function(lambda x: tf.where(x > 0.0), [tf.TensorSpec((1, 4))], tmp_path / "open.tflite")
    with pytest.raises(FileFormatError, match="size only its values tell, among 'output_0'"):
        worker.reference(str(path), runtime="litert", seed=0)


def test_a_reference_knows_random_numbers_and_outputs_without_a_scale(tmp_path, int8):
    def drawn(x):
        return x + tf.random.uniform((1, 4))

    path = convert_function(drawn, [tf.TensorSpec((1, 4))], tmp_path / "drawn.tflite")
    found = worker.reference(str(path), runtime="litert", seed=0)
    assert (found.random, found.plain) == (True, frozenset(["output_0"]))
    found = worker.reference(str(int8), runtime="litert", seed=0)
    assert (found.random, found.plain) == (False, frozenset())
