"""Shared by the benchmark scripts: where data and results are, and what a process cost."""

import datetime as dt
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tfzip.files import written_beside

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("TFZIP_DATA", Path.home() / ".cache/tfzip/datasets"))


def data_file(name: str) -> Path:
    """Returns a real data set or model, or ends the script with a line that says where it was expected."""
    path = DATA / name
    if not path.exists():
        sys.exit(f"{path} is missing. Set TFZIP_DATA to the folder that holds {name}.")
    return path


def save(name: str, result: dict) -> Path:
    """Writes a result with versions and date, moved into place when complete."""
    RESULTS.mkdir(exist_ok=True)
    packages = ("tensorflow", "keras", "ai-edge-litert", "numpy", "tensorflow-model-optimization")
    about = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
    }
    path = RESULTS / f"{name}.json"
    with written_beside(path) as partial:
        partial.write_text(json.dumps({"about": about, **result}, indent=2) + "\n")
    return path


def measured(command: list[str], **environment: str) -> tuple[float, float]:
    """Runs a command and returns its seconds and the peak memory in bytes of its largest process."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, **quiet, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{errors.decode()[-2000:]}")
    return time.perf_counter() - began, usage.ru_maxrss * 1024.0


def answer(name: str, measure: Callable[[], dict[str, Any]]) -> None:
    """Prints what came of one case as a line of JSON; an exception is a result too."""
    try:
        result = measure()
    except Exception as error:  # noqa: BLE001 (whatever a side raises is its result)
        text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        result = {"result": f"{type(error).__name__}: {text[:160]}"}
    print(json.dumps({"case": name, **result}), flush=True)


def answers(script: Path, names: list[str], **environment: str) -> Iterator[dict[str, Any]]:
    """Yields what a script that calls `answer` says of each name, going on after one that kills it."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    rest = list(names)
    while rest:
        process = subprocess.Popen(
            [sys.executable, str(script), *rest],
            env={**os.environ, **quiet, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for line in process.stdout:
            if line.startswith('{"case": '):
                found = json.loads(line)
                rest.remove(found["case"])
                yield found
        process.wait()
        if rest:
            yield {"case": rest.pop(0), "result": f"the process ended with {process.returncode}"}
