"""LiteRT's own `benchmark_model`: its binary, its flags, and what it reports."""

import http.client
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfzip.artifact import sha256_of
from tfzip.bench.protobuf import message
from tfzip.errors import DeviceError, MissingDependencyError, one_line
from tfzip.files import cache_folder, written_beside

_FOLDERS = {
    "android-aarch64": "android_arm64",
    "linux-aarch64": "linux_arm64",
    "linux-x86_64": "linux_x86_64",
}
FETCHED = "android-aarch64"
"""The system whose benchmark_model LiteRT offers."""
_DOWNLOAD_TIMEOUT_S = 60.0
LITERT_BINARIES = "https://storage.googleapis.com/litert/binaries/latest"


@dataclass(frozen=True)
class VendorResult:
    """What one process of benchmark_model reports; it has no samples.

    Attributes:
        median_ms: Median run; where the tool gives none, the mean.
        mean_ms: Mean run.
        min_ms: Shortest run; 0 where it is not given.
        max_ms: Longest run; 0 where it is not given.
        init_ms: Reading the file, building the interpreter, allocating tensors.
        first_ms: The first run.
        peak_bytes: Highest memory of the process; 0 where it is not given.
        runs: Timed runs; 0 where it is not given.
    """

    median_ms: float
    mean_ms: float
    min_ms: float
    max_ms: float
    init_ms: float
    first_ms: float
    peak_bytes: int
    runs: int


def vendor_binary(system: str, given: str | None = None) -> Path:
    """Returns benchmark_model for a system.

    Raises:
        MissingDependencyError: It is not there.
    """
    path = Path(given).expanduser() if given else _kept(system)
    if not path.is_file():
        fetched = ", or fetch it with `tfzip devices setup benchmark_model`" if system == FETCHED else ""
        raise MissingDependencyError(
            f"There is no benchmark_model for {system} at {path}. Name one with --runner-binary{fetched}."
        )
    note = path.with_name(path.name + ".sha256")
    if not given and note.exists() and sha256_of(path) != note.read_text().strip():
        raise DeviceError(f"{path} is not what was fetched. Delete it and fetch it again.")
    return path


def fetch_vendor(system: str, url: str, sha256: str | None = None) -> Path:
    """Downloads benchmark_model and keeps its digest.

    Args:
        system: Such as `"android-aarch64"`.
        url: Of the folder that has a folder for each system, as LiteRT's documentation names it.
        sha256: What it has to be; None takes what comes and keeps to it.

    Raises:
        DeviceError: It cannot be had, or is something else.
    """
    address = f"{url.rstrip('/')}/{_FOLDERS[system]}/benchmark_model"
    if not _is_safe(address):
        raise DeviceError(f"benchmark_model is fetched by https only. Received: {url}.")
    target = _kept(system)
    try:
        with urllib.request.urlopen(address, timeout=_DOWNLOAD_TIMEOUT_S) as answer:  # noqa: S310 (checked above)
            content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise DeviceError(
            f"{address} cannot be fetched: {one_line(error).rstrip('.')}."
            " Fetch it by hand and name it with --runner-binary."
        ) from error
    with written_beside(target) as partial:
        partial.write_bytes(content)
        found = sha256_of(partial)
        if sha256 and found != sha256:
            raise DeviceError(f"{address} has sha256 {found}, not {sha256}; it is not used.")
    target.with_name(target.name + ".sha256").write_text(found + "\n")
    return target


def parse_result(content: bytes) -> VendorResult:
    """Reads the file that `--result_file_path` names: a message `BenchmarkResult` in protocol buffers.

    Raises:
        DeviceError: It is damaged or lacks latencies.
    """
    try:
        result = message(content)
        latency = {number: value / 1e3 for number, value in message(result[2]).items()}
        memory, other = message(result.get(3, b"")), message(result.get(4, b""))
        return VendorResult(
            median_ms=latency.get(5) or latency[1],
            mean_ms=latency[1],
            min_ms=latency.get(2, 0.0),
            max_ms=latency.get(3, 0.0),
            init_ms=latency.get(8, 0.0),
            first_ms=latency.get(9, 0.0),
            peak_bytes=int(memory.get(3, 0.0) * 1e6),
            runs=int(other.get(2, 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DeviceError("benchmark_model left no result that can be read. Try another version.") from error


def parse_output(text: str) -> VendorResult:
    """Reads what benchmark_model prints, where it writes no result.

    Raises:
        DeviceError: The line of timings is missing.
    """
    found = re.search(
        r"Inference timings in us: Init: ([\d.e+]+), First inference: ([\d.e+]+),"
        r" Warmup \(avg\): ([\d.e+]+), Inference \(avg\): ([\d.e+]+)",
        text,
    )
    if not found:
        reason = next(
            (line for line in reversed(text.splitlines()) if "ERROR" in line), "no timings were printed"
        )
        raise DeviceError(f"benchmark_model failed: {reason.strip()}.")
    init, first, _, mean = (float(value) / 1e3 for value in found.groups())
    peak = re.search(r"Overall peak memory footprint \(MB\) via periodic monitoring: ([\d.]+)", text)
    return VendorResult(mean, mean, 0.0, 0.0, init, first, int(float(peak[1]) * 1e6) if peak else 0, 0)


def flags(model: str, threads: int, runs: int, result: str, *, memory: bool = False) -> list[str]:
    """Returns the arguments of one process that times exactly so many runs after one second of warm-up."""
    chosen: Mapping[str, Any] = {
        "graph": model,
        "num_threads": threads,
        "num_runs": runs,
        "min_secs": 0,
        "warmup_runs": 1,
        "warmup_min_secs": 0.2,
        "result_file_path": result,
    }
    found = [f"--{name}={value}" for name, value in chosen.items()]
    return [*found, "--report_peak_memory_footprint=true"] if memory else found


def _is_safe(address: str) -> bool:
    """Returns whether nobody on the way can change what comes from an address."""
    parts = urllib.parse.urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname == "127.0.0.1")


def _kept(system: str) -> Path:
    return cache_folder("native") / f"benchmark_model-{system}"
