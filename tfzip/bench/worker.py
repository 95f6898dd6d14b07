"""What runs in the child that is measured: open a file, warm up, time blocks, take the peak of memory.

The functions are called through a `tfzip.sandbox.Sandbox`; the open file lives in the child between the
calls.
"""

import gc
import math
import resource
import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfzip.bench.agreement import Reference
from tfzip.bench.inputs import Feed, random_feed, real_feeds
from tfzip.bench.statistics import is_steady
from tfzip.errors import FileFormatError, OptionError
from tfzip.runtime import Session, open_session
from tfzip.runtime.runtimes import runtimes
from tfzip.runtime.runtimes.probe import rounds_unevenly

_WINDOW_MS = 30.0
_MIN_WINDOW = 3
_MEMORY_RUNS = 5
_RANDOM = ("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL")


@dataclass(frozen=True)
class Timing:
    """What opening a file took inside the child.

    Attributes:
        import_ms: Importing the runtime.
        init_ms: Reading the file, building the interpreter and its delegate, allocating tensors.
        first_inference_ms: The first run.
    """

    import_ms: float
    init_ms: float
    first_inference_ms: float


@dataclass(frozen=True)
class WarmUp:
    """How warm-up went.

    Attributes:
        runs: Runs it took.
        duration_ms: Time it took.
        steady: Whether the last windows agreed before the time was over.
        run_ms: Median of the last window.
    """

    runs: int
    duration_ms: float
    steady: bool
    run_ms: float


@dataclass
class _Opened:
    session: Session
    feeds: list[Feed]


_opened: dict[str, _Opened] = {}


def open_file(path: str, *, runtime: str, threads: int, seed: int, data: Any = None) -> Timing:
    """Opens a file, feeds it and runs it once, each timed apart."""
    start = time.perf_counter()
    runtimes.get(runtime).load()
    imported = time.perf_counter()
    session = open_session(path, runtime=runtime, threads=threads)
    ready = time.perf_counter()
    feeds = _feeds(session, seed, data)
    session.feed(feeds[0])
    (first_ms,) = _timed(session, 1)
    _opened["file"] = _Opened(session, feeds)
    return Timing(1e3 * (imported - start), 1e3 * (ready - imported), first_ms)


def warm_up(longest_s: float) -> WarmUp:
    """Runs the open file until the last three windows agree within 2 %, or until the time is over.

    A window lasts about 30 ms and has at least three runs, so that one interruption does not decide.
    """
    session = _current().session
    start, taken, window = time.perf_counter(), list[float](), _MIN_WINDOW
    while True:
        taken += _timed(session, window)
        run_ms = statistics.median(taken[-window:])
        window = max(_MIN_WINDOW, math.ceil(_WINDOW_MS / max(run_ms, 1e-6)))
        steady = is_steady(taken, window)
        elapsed_s = time.perf_counter() - start
        if steady or (elapsed_s >= longest_s and len(taken) >= 3 * _MIN_WINDOW):
            return WarmUp(len(taken), 1e3 * elapsed_s, steady, run_ms)


def time_block(runs: int, index: int) -> NDArray[np.float64]:
    """Times consecutive runs of the open file.

    A tenth as many runs go before it untimed, since another file had the caches meanwhile.

    Args:
        runs: Number of timed runs.
        index: Number of the block; blocks take the feeds in turn.

    Returns:
        Milliseconds of each run, shape (runs,).
    """
    opened = _current()
    opened.session.feed(opened.feeds[index % len(opened.feeds)])
    gc.collect()
    gc.disable()
    try:
        _timed(opened.session, math.ceil(runs / 10))
        return np.array(_timed(opened.session, runs))
    finally:
        gc.enable()


def peak_memory(path: str, *, runtime: str, threads: int, seed: int, data: Any = None) -> int:
    """Returns the bytes that opening and running a file adds to the peak of this process.

    The baseline is the resident memory after the runtime is imported. Pages of the file that were read count.
    Meant for a child that does nothing else.
    """
    runtimes.get(runtime).load()
    baseline = _reset_peak()
    session = open_session(path, runtime=runtime, threads=threads)
    session.feed(_feeds(session, seed, data)[0])
    for _ in range(_MEMORY_RUNS):
        session.invoke()
    return max(0, _peak() - baseline)


def reference(path: str, *, runtime: str, seed: int, data: Any = None, portable: bool = False) -> Reference:
    """Returns what a file is fed on another machine, and what it computes from that here.

    Raises:
        FileFormatError: An output has no size before it is computed.
    """
    session = open_session(path, runtime=runtime, portable=portable)
    feeds = _feeds(session, seed, data)
    session.feed(feeds[0])
    _check_sizes(session)
    outputs = [session.run(feed) for feed in feeds]
    return Reference(
        feeds,
        outputs,
        uneven=rounds_unevenly(path),
        portable=portable,
        plain=frozenset(spec.name for spec in session.outputs if not spec.scale),
        random=any(op.name in _RANDOM for op in session.ops()),
    )


def _check_sizes(session: Session) -> None:
    """Raises `FileFormatError` for outputs that have no memory before a run, such as those of `tf.where`."""
    try:
        session.read()
    except ValueError as error:
        names = ", ".join(repr(spec.name) for spec in session.outputs)
        raise FileFormatError(
            f"{session.path} has an output whose size only its values tell, among {names}: devices take"
            " outputs of fixed size. Cut or pad it to one, or measure on the host."
        ) from error


def _timed(session: Session, runs: int) -> list[float]:
    """Returns the milliseconds of consecutive runs."""
    invoke, clock, taken = session.invoke, time.perf_counter_ns, [0] * runs
    for i in range(runs):
        start = clock()
        invoke()
        taken[i] = clock() - start
    return [1e-6 * nanoseconds for nanoseconds in taken]


def _feeds(session: Session, seed: int, data: Any) -> list[Feed]:
    return [random_feed(session.inputs, seed)] if data is None else real_feeds(session.inputs, data)


def _current() -> _Opened:
    if "file" not in _opened:
        raise OptionError("No file is open in this child. Call open_file first.")
    return _opened["file"]


def _reset_peak() -> int:
    """Sets the recorded peak to the present use where the system can (Linux, proc(5)), and returns it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    if (status := _status()).get("VmHWM"):
        return 1024 * int(status["VmHWM"].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _status() -> Mapping[str, str]:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split(":", 1) for line in lines if ":" in line)
