"""What goes wrong on a phone, one fault after the other, behind the real adb; two phones; 100 files.

The phones are pretended: they speak adb's transport protocol and run the pushed AArch64 programs under QEMU
(`tests/bench/adb_device.py`). Each fault has to be one clear line or no trouble at all, in bounded time, with
no process left on either side, with earlier results kept, and with a next try that works.
"""

import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
from common import save

import tfzip
from tfzip.bench.devices import find_device
from tfzip.bench.history import add, stored
from tfzip.bench.parallel import benchmark_devices
from tfzip.errors import TfzipError

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.bench.phones import CUT, FAULTS, GONE, Phone, adb, own_server

QUICK = {"runs": 4, "min_duration_s": 0, "launches": 2, "rounds": 1, "warmup_s": 0.01, "timeout_s": 10}
LONGEST_S = 60.0
FILES = 100
TOLERATED = {"slow 20": "a slow link", "babble always": "lines that the runner did not write"}


def main() -> None:
    """Runs all, prints a line for each, and writes `results/device_faults.json`."""
    with tempfile.TemporaryDirectory(prefix="tfzip-") as name, own_server(Path(name)) as make:
        bench = Bench(Path(name), make)
        rows = []
        for row in bench.faults():
            rows.append(row)
            good = "as wanted" if row["as_wanted"] else "NOT AS WANTED"
            print(f"{row['fault']:34} {good:13} {row['seconds']:5.1f} s  {row['said']}", flush=True)
        together, many = bench.two_at_once(), bench.many_files()
        print(f"two phones at once: {together}\n{FILES} files in one call: {many}")
    result = {"faults": rows, "two_at_once": together, "many_files": many}
    print(f"{sum(row['as_wanted'] for row in rows)} of {len(rows)} faults as wanted")
    print(f"written to {save('device_faults', result)}")


class Bench:
    """A phone with a file and a history that knows an earlier result.

    Args:
        folder: For files.
        make: Makes a phone of a name.
    """

    def __init__(self, folder: Path, make: Callable[..., Phone]) -> None:
        self.folder, self.make = folder, make
        self.phone = make("one")
        self.phone.connect()
        keras.utils.set_random_seed(0)
        layers = [keras.Input((16, 16, 3)), keras.layers.Conv2D(8, 3), keras.layers.Dense(4)]
        self.file = tfzip.export(keras.Sequential(layers), folder / "model.tflite").path
        self.history = folder / "history.sqlite"
        add(self.measure(), self.history)
        self.kept = stored(self.history)

    def measure(self, serial: str | None = None, **options: Any) -> Any:
        """Measures the file on a phone, the first by default."""
        device = f"android:{self.phone.serial}" if serial is None else f"android:{serial}".rstrip(":")
        return tfzip.benchmark(self.file, device=device, **{**QUICK, **options})

    def faults(self) -> Iterator[dict[str, Any]]:
        """Yields what came of each fault."""
        for fault, wanted in FAULTS.items():
            self.phone.clear()
            self.phone.fail(fault)
            yield self._row(fault, wanted, self.measure)
        for fault, meaning in TOLERATED.items():
            self.phone.clear()
            self.phone.fail(fault)
            yield self._row(meaning, "", self.measure)
        adb("kill-server")
        yield self._row(
            "adb's server was ended before", "There is no Android device .*Reconnect it", self.measure
        )
        with _soon(1.5, lambda: adb("kill-server")):
            wanted = f"{CUT}|{GONE}|There is no Android device .*Reconnect it"
            yield self._row("adb's server is ended in a run", wanted, lambda: self.measure(launches=30))
        for what, wanted, options in (
            ("a key that is not accepted", "accept this computer's key", {"auth": "never"}),
            ("another processor", "armeabi-v7a; the runner is built for", {"abi": "armeabi-v7a"}),
        ):
            with self._other(what.split()[-1], **options) as other:
                yield self._row(what, wanted, lambda serial=other.serial: self.measure(serial))
        with self._other("second"):
            yield self._row("two phones and none named", "Name one", lambda: self.measure(""))
        yield self._row("a serial that nobody has", "no Android device 'none'", lambda: self.measure("none"))

    def two_at_once(self) -> dict[str, Any]:
        """Measures on two phones in one call."""
        with self._other("third", core="cortex-a53") as other:
            serials = [self.phone.serial, other.serial]
            specs = [f"android:{serial}" for serial in serials]
            found = benchmark_devices(self.file, {spec: find_device(spec) for spec in specs}, **QUICK)
        return {"reports": len(found.reports), "errors": len(found.errors)}

    def many_files(self) -> dict[str, Any]:
        """Measures many files in one call, and tells what was pushed."""
        self.phone.clear()
        content, files = self.file.read_bytes(), []
        for number in range(FILES):
            files.append(self.folder / f"{number}.tflite")
            files[-1].write_bytes(content + bytes([number]))  # another digest, the same network
        began = time.monotonic()
        report = tfzip.benchmark(files, device=f"android:{self.phone.serial}", **{**QUICK, "runs": 1})
        pushed = [path for path in self.phone.shelf.iterdir() if path.is_file() and not path.is_symlink()]
        return {
            "measured": len(report.latencies),
            "models_pushed": sum(path.suffix == ".tflite" for path in pushed),
            "libraries_pushed": sum(path.stat().st_size > 5_000_000 for path in pushed),
            "seconds": round(time.monotonic() - began, 1),
            "processes_left": len(self.phone.running()),
        }

    def _row(self, fault: str, wanted: str, measure: Callable[[], Any]) -> dict[str, Any]:
        """Measures under a fault; one that is tolerated has nothing that is said."""
        began, said = time.monotonic(), ""
        try:
            measure()
        except TfzipError as error:
            said = str(error)
        seconds = time.monotonic() - began
        self.phone.fail(None)
        self.phone.connect()
        clear = bool(re.search(wanted, said)) and "\n" not in said if wanted else said == ""
        left = self._left()
        works = bool(self.measure().latencies)
        kept = stored(self.history) == self.kept
        return {
            "fault": fault,
            "said": said.replace(self.phone.serial, "SERIAL").replace(str(self.folder), ""),
            "seconds": round(seconds, 1),
            "processes_left": left,
            "next_try_works": works,
            "earlier_results_kept": kept,
            "as_wanted": clear and not left and works and kept and seconds < LONGEST_S,
        }

    def _left(self) -> int:
        """Returns how many processes of the call still run a few seconds after it."""
        end = time.monotonic() + 5
        while (left := len(self.phone.running()) + _adb_clients()) and time.monotonic() < end:
            time.sleep(0.2)
        return left

    @contextmanager
    def _other(self, name: str, **options: Any) -> Iterator[Phone]:
        other = self.make(name, **options)
        adb("connect", other.serial) if options.get("auth") else other.connect()
        yield other
        adb("disconnect", other.serial)


def _adb_clients() -> int:
    """Returns how many of this script's adb clients still run."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return sum("adb -s 127.0.0.1:" in line for line in listed.splitlines())


@contextmanager
def _soon(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    timer = threading.Timer(seconds, action)
    timer.start()
    yield
    timer.join()


if __name__ == "__main__":
    main()
