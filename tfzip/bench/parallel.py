"""Several devices at once: what one of them fails at does not cost the others' results."""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfzip.bench.benchmark import PathLike, benchmark
from tfzip.bench.devices import Device
from tfzip.bench.devices.device import Progress
from tfzip.bench.report import BenchmarkReport
from tfzip.errors import DeviceError, TfzipError

_GRACE_S = 5.0
_POLL_S = 0.2


@dataclass(frozen=True)
class DeviceResults:
    """What several devices gave.

    Attributes:
        reports: By device, of those that finished.
        errors: By device, of the others.
    """

    reports: Mapping[str, BenchmarkReport]
    errors: Mapping[str, TfzipError]


def benchmark_devices(
    files: PathLike | Sequence[PathLike],
    devices: Mapping[str, Device],
    *,
    progress: Progress | None = None,
    **options: Any,
) -> DeviceResults:
    """Measures the same files on several devices at the same time.

    Those that time what this machine computes come first, one after the other, so that nothing runs beside
    them. An interrupt key ends everything within seconds.

    Args:
        files: As for `tfzip.benchmark`.
        devices: By the name that the results get.
        progress: Called with (done, total, what) before each step of any device. Defaults to none.
        **options: As for `tfzip.benchmark`.
    """
    shared = _Shared(progress, len(devices))
    reports: dict[str, BenchmarkReport] = {}
    errors: dict[str, TfzipError] = {}

    def measure(place: int, name: str) -> None:
        told = None if progress is None else shared.of(place)
        try:
            reports[name] = benchmark(files, device=devices[name], progress=told, **options)
        except TfzipError as error:
            errors[name] = error
        except Exception as error:  # unforeseen, and it may not cost the other devices their reports
            if len(devices) == 1:
                raise
            errors[name] = DeviceError(f"{name} failed with {type(error).__name__}: {error}")

    together = [(place, name) for place, name in enumerate(devices) if not devices[name].needs_quiet_here]
    for place, name in enumerate(devices):
        if devices[name].needs_quiet_here or len(together) == 1:
            measure(place, name)
    if len(together) > 1:
        _at_once(measure, together)
    return DeviceResults(
        {name: reports[name] for name in devices if name in reports},
        {name: errors[name] for name in devices if name in errors},
    )


def raise_first(results: DeviceResults) -> None:
    """Raises the error of the only device that failed, or one with the messages of all.

    Raises:
        TfzipError: A device failed.
    """
    if not results.errors:
        return
    first, *others = results.errors.values()
    if others:
        said = (f"{name}: {error}" for name, error in results.errors.items())
        raise DeviceError(" And: ".join(said)) from first
    raise first


def _at_once(measure: Callable[[int, str], None], together: Sequence[tuple[int, str]]) -> None:
    """Runs calls in threads of their own, and ends them on an interrupt key."""
    tasks = [_Task(measure, *one) for one in together]
    try:
        for task in tasks:
            task.thread.start()
        for task in tasks:
            while not task.over.wait(_POLL_S):  # short waits, which an interrupt key ends on every system
                pass
    except BaseException:  # an interrupt key above all: nothing may go on without its caller
        for task in tasks:
            task.interrupt()
        end = time.monotonic() + _GRACE_S
        for task in tasks:  # they tidy up on their devices
            task.over.wait(max(0.0, end - time.monotonic()))
        raise


class _Task:
    """A call in a thread that ends with the program.

    Attributes:
        thread: The thread.
        over: Set when it has ended; an interrupted `Thread.join` takes a thread that runs for one that ended.
    """

    def __init__(self, measure: Callable[[int, str], None], place: int, name: str) -> None:
        self._call = (measure, place, name)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def interrupt(self) -> None:
        """Interrupts the thread, and ends the processes that it waits for where the system lists them.

        An interrupt reaches a thread when its call into the system returns.
        """
        if self.over.is_set() or self.thread.ident is None:
            self.over.set()
            return
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(self.thread.ident), ctypes.py_object(KeyboardInterrupt)
        )
        with suppress(OSError):  # only Linux lists them
            listed = Path(f"/proc/self/task/{self.thread.native_id}/children").read_text()
            for child in map(int, listed.split()):
                with suppress(OSError):  # it ended meanwhile
                    os.kill(child, signal.SIGKILL)

    def _run(self) -> None:
        measure, place, name = self._call
        try:
            measure(place, name)
        except KeyboardInterrupt:
            return
        finally:
            self.over.set()


class _Shared:
    """One progress for several devices."""

    def __init__(self, progress: Progress | None, count: int) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._done = [(0, 1)] * count

    def of(self, place: int) -> Progress:
        """Returns the progress of one device."""

        def told(done: int, total: int, what: str) -> None:
            with self._lock:
                self._done[place] = (done, total)
                sums = [sum(numbers) for numbers in zip(*self._done, strict=True)]
                if self._progress is not None:
                    self._progress(sums[0], sums[1], what)

        return told
