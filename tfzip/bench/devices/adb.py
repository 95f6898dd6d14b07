"""The one place that knows adb: which executable, which device, and what its messages mean."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import ClassVar

from tfzip.bench.devices.link import Finished, Link
from tfzip.errors import DeviceError, MissingDependencyError

_LIST_TIMEOUT_S = 20.0
_READY = "device"


@dataclass(frozen=True)
class Listed:
    """A line of `adb devices -l`.

    Attributes:
        serial: What `-s` takes.
        state: `"device"` when it can be used; else `"unauthorized"`, `"offline"`, ...
        model: Of the phone, or `""`.
    """

    serial: str
    state: str
    model: str


def find_adb(given: str | None = None) -> str:
    """Returns the adb executable: the one given, `$ADB`, on the path, or that of the package adbutils.

    Raises:
        MissingDependencyError: There is none.
    """
    for candidate in (given, os.environ.get("ADB")):
        if candidate:
            if path := shutil.which(candidate):
                return path
            raise MissingDependencyError(f"There is no adb at {candidate}. Name another, or leave it out.")
    if path := shutil.which("adb"):
        return path
    if importlib.util.find_spec("adbutils"):
        return str(import_module("adbutils").adb_path())
    raise MissingDependencyError(
        "Android devices need adb. Install it, for example apt-get install adb or pip install adbutils."
    )


def list_devices(adb: str) -> list[Listed]:
    """Returns what adb knows, ready or not.

    Raises:
        DeviceError: adb fails or hangs.
    """
    try:
        done = subprocess.run(  # noqa: S603
            [adb, "devices", "-l"], capture_output=True, text=True, timeout=_LIST_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError("adb does not answer. End its server with `adb kill-server`.") from error
    except OSError as error:
        raise DeviceError(f"{adb} cannot be run: {error.strerror}. Name another with --adb.") from error
    if done.returncode:
        raise DeviceError(f"adb fails: {(done.stderr.strip().splitlines() or ['it says nothing'])[-1]}.")
    found = []
    for line in done.stdout.splitlines():
        serial, _, rest = line.partition(" ") if "\t" not in line else line.partition("\t")
        words = rest.split()
        if serial and words and serial not in ("List", "*"):
            facts = dict(word.split(":", 1) for word in words[1:] if ":" in word)
            found.append(Listed(serial, words[0], facts.get("model", "").replace("_", " ")))
    return found


def choose(adb: str, serial: str) -> Listed:
    """Returns the device of a serial, or the only one that is ready when none is named.

    Raises:
        DeviceError: There is none, there are several, or it is not ready.
    """
    known = list_devices(adb)
    ready = [one for one in known if one.state == _READY]
    if not serial:
        if len(ready) == 1:
            return ready[0]
        if ready:
            names = ", ".join(f"android:{one.serial}" for one in ready)
            raise DeviceError(f"{len(ready)} Android devices are ready. Name one with --device: {names}.")
        if known:
            raise _not_ready(known[0])
        raise DeviceError(
            "No Android device is connected. Connect one with USB debugging on, or by `adb connect`."
        )
    for one in known:
        if one.serial == serial:
            if one.state != _READY:
                raise _not_ready(one)
            return one
    names = ", ".join(one.serial for one in known) or "none"
    raise DeviceError(f"There is no Android device {serial!r}. Connected: {names}.")


def _not_ready(device: Listed) -> DeviceError:
    remedies = {
        "unauthorized": "Unlock it and accept this computer's key.",
        "offline": "Reconnect it, or end adb's server with `adb kill-server`.",
    }
    remedy = remedies.get(device.state, "Reconnect it.")
    return DeviceError(f"Android device {device.serial!r} is {device.state}. {remedy}")


_MEANINGS = {
    "unauthorized": "the phone has not accepted this computer's key. Unlock it and accept.",
    "device offline": "adb calls it offline. Reconnect it, or end adb's server with `adb kill-server`.",
    "not found": "it is no longer connected. Connect it again and repeat; what was pushed is kept.",
    "no devices": "it is no longer connected. Connect it again and repeat; what was pushed is kept.",
    "read from device": "the connection closed. Reconnect it and repeat; what was pushed is kept.",
    "closed": "the connection closed. Reconnect it and repeat; what was pushed is kept.",
    "cannot connect to daemon": "adb's server cannot be started. Try `adb kill-server`, then repeat.",
}


class AdbLink(Link):
    """An Android device behind adb.

    Args:
        adb: The executable.
        serial: Of the device.
    """

    meanings: ClassVar[Mapping[str, str]] = _MEANINGS

    def __init__(self, adb: str, serial: str) -> None:
        self.place = f"android:{serial}"
        self._base = [adb, "-s", serial]

    def words(self, command: str) -> list[str]:
        """Returns the `adb shell` that runs a command."""
        return [*self._base, "shell", command]

    def push(self, source: Path, target: str, timeout_s: float) -> None:
        """Copies a file there; adb's exit status is not believed without the size."""
        done = self.local([*self._base, "push", str(source), target], timeout_s, f"pushing {source.name}")
        self.copied(done, f"{source.name} cannot be pushed")

    def pull(self, source: str, timeout_s: float) -> bytes:
        """Returns the content of a file from there."""
        with tempfile.TemporaryDirectory(prefix="tfzip-") as folder:
            target = Path(folder) / "pulled"
            done = self.local([*self._base, "pull", source, str(target)], timeout_s, f"pulling {source}")
            whole = done if target.is_file() else Finished(1, done.stdout, done.stderr)
            self.copied(whole, f"{source} cannot be pulled")
            return target.read_bytes()
