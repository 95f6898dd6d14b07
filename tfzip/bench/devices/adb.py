"""The one place that knows adb: which executable, which device, and what its messages mean."""

import importlib.util
import os
import re
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
_RESTART = "Restart it: hold its power key, or `adb reboot`."
_REMEDIES = {
    "unauthorized": ("is unauthorized", "Unlock it and accept this computer's key."),
    "authorizing": ("is authorizing", "Wait a moment, unlock it and accept this computer's key."),
    "offline": ("is offline", "Reconnect it, or end adb's server with `adb kill-server`."),
    "connecting": ("is connecting", "Wait a moment, then repeat."),
    "no permissions": (
        "may not be used by this account",
        "Add udev rules (package android-sdk-platform-tools-common), join group plugdev, and reconnect it.",
    ),
    "detached": ("is detached", "Attach it with `adb attach`."),
    "recovery": ("is in recovery", _RESTART),
    "rescue": ("is in rescue mode", _RESTART),
    "sideload": ("waits for a package (sideload)", _RESTART),
    "bootloader": ("is in its bootloader", "Restart it: `fastboot reboot`."),
    "host": ("is no device", "Name another with --device."),
    "unknown": ("is in a state that adb does not know", "Reconnect it."),
}
"""What a state other than ready means, and what to do."""
_LISTED = re.compile(rf"(\S.*?)\s+({'|'.join([_READY, *_REMEDIES])})(?=\s|;|$)")


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
            [adb, "devices", "-l"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIST_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError("adb does not answer. End its server with `adb kill-server`.") from error
    except OSError as error:
        raise DeviceError(f"{adb} cannot be run: {error.strerror}. Name another with --adb.") from error
    if done.returncode:
        raise DeviceError(f"adb fails: {(done.stderr.strip().splitlines() or ['it says nothing'])[-1]}.")
    return [one for line in done.stdout.splitlines() if (one := parse_listed(line)) is not None]


def parse_listed(line: str) -> Listed | None:
    """Returns the device of a line of `adb devices -l`, or None for a line that is none.

    A serial may have spaces, as those that are found by mDNS do.
    """
    match = None if line.startswith("*") else _LISTED.match(line)
    if match is None:
        return None
    facts = dict(word.split(":", 1) for word in line[match.end() :].split() if ":" in word)
    return Listed(match[1], match[2], facts.get("model", "").replace("_", " "))


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
    raise DeviceError(
        f"There is no Android device {serial!r}. Connected: {names}. Reconnect it (by Wi-Fi with `adb"
        " connect`), or name another."
    )


def _not_ready(device: Listed) -> DeviceError:
    said, remedy = _REMEDIES[device.state]
    return DeviceError(f"Android device {device.serial!r} {said}. {remedy}")


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
