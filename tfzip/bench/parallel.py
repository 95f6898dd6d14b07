"""Several devices at once: what one of them fails at does not cost the others' results."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tfzip.bench.benchmark import PathLike, benchmark
from tfzip.bench.devices import Device
from tfzip.bench.devices.device import Progress
from tfzip.bench.report import BenchmarkReport
from tfzip.errors import TfzipError


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
        try:
            told = None if progress is None else shared.of(place)
            reports[name] = benchmark(files, device=devices[name], progress=told, **options)
        except TfzipError as error:
            errors[name] = error

    with ThreadPoolExecutor(max(len(devices), 1)) as pool:
        for done in [pool.submit(measure, place, name) for place, name in enumerate(devices)]:
            done.result()
    return DeviceResults({name: reports[name] for name in devices if name in reports}, errors)


def raise_first(results: DeviceResults) -> None:
    """Raises the error of a device, with those of the others in its message.

    Raises:
        TfzipError: A device failed.
    """
    if not results.errors:
        return
    first, *others = results.errors.values()
    if others:
        raise type(first)(" And: ".join(str(error) for error in (first, *others)))
    raise first


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
