"""A way to another machine: commands of its shell, files that go there and come back."""

import shlex
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from tfzip.errors import DeviceError

_STATUS = "__tfzip_status="
_TIDY_TIMEOUT_S = 10.0
_BROKE_OFF = "its answer broke off; the connection closed"


@dataclass(frozen=True)
class Finished:
    """What a command did.

    Attributes:
        status: Its exit status.
        stdout: What it printed.
        stderr: What it and the link complained of.
    """

    status: int
    stdout: str
    stderr: str


class Link(ABC):
    """Commands and files of one machine.

    Attributes:
        place: What errors name, such as `"android:SERIAL"`.
        meanings: What messages of this kind of link mean, with the remedy, by a part of them.
    """

    place: str
    _silent = False  # whether a command to clean up was not answered
    meanings: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def words(self, command: str) -> list[str]:
        """Returns the local command that runs a command of the machine's shell with all three streams."""

    @abstractmethod
    def push(self, source: Path, target: str, timeout_s: float) -> None:
        """Copies a file there.

        Raises:
            DeviceError: It cannot be written, or the link broke.
        """

    @abstractmethod
    def pull(self, source: str, timeout_s: float) -> bytes:
        """Returns the content of a file from there.

        Raises:
            DeviceError: It cannot be read, or the link broke.
        """

    def run(self, command: str, timeout_s: float) -> Finished:
        """Runs a command there and returns when it is done.

        The exit status comes with what it prints, since not every link passes it on: `adb` reports 0 for a
        device that vanished.

        Raises:
            DeviceError: The machine is not there, the link broke, or the time is over.
        """
        line = f"{command}\necho {_STATUS}$?"
        done = self.local(self.words(line), timeout_s, f"`{command.splitlines()[0][:60]}`")
        before, mark, status = done.stdout.rpartition(_STATUS)
        if not mark or not status.strip().isdigit():
            said = f"{done.stdout}\n{done.stderr}".strip()
            why = self._why(said if done.stderr else f"{said}\n{_BROKE_OFF}" if said else "")
            raise DeviceError(f"{self.place} does not answer: {why}", said)
        return Finished(int(status), before, done.stderr)

    def check(self, command: str, timeout_s: float) -> str:
        """Runs a command and returns what it prints.

        Raises:
            DeviceError: It fails, or as `run`.
        """
        done = self.run(command, timeout_s)
        if done.status:
            said = (done.stderr or done.stdout).strip()
            raise DeviceError(f"{self.place}: {self._why(said)}", said)
        return done.stdout

    def tidy(self, command: str) -> None:
        """Runs a command that cleans up, if the machine is still there; for a silent one it waits once."""
        start = time.monotonic()
        if not self._silent:
            with suppress(DeviceError):
                self.run(command, _TIDY_TIMEOUT_S)
            self._silent = time.monotonic() - start >= _TIDY_TIMEOUT_S

    def start(self, command: str) -> "subprocess.Popen[str]":
        """Starts a command there, with pipes for all three streams."""
        return subprocess.Popen(  # noqa: S603
            self.words(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def local(
        self, words: Sequence[str], timeout_s: float, what: str, stdin: IO[bytes] | None = None
    ) -> Finished:
        """Runs a local command of the link.

        Raises:
            DeviceError: The time is over.
        """
        done = self._done(words, timeout_s, what, stdin)
        out, err = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        return Finished(done.returncode, out, err)

    def content(self, words: Sequence[str], timeout_s: float, what: str) -> bytes:
        """Returns what a local command of the link prints, byte for byte.

        Raises:
            DeviceError: It fails, or the time is over.
        """
        done = self._done(words, timeout_s, what, None)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise DeviceError(f"{self.place}: {what} failed: {self._why(said)}", said)
        return done.stdout

    def _done(
        self, words: Sequence[str], timeout_s: float, what: str, stdin: IO[bytes] | None
    ) -> "subprocess.CompletedProcess[bytes]":
        given = stdin or subprocess.DEVNULL
        try:
            return subprocess.run(  # noqa: S603
                words, capture_output=True, stdin=given, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                f"{self.place}: {what} did not finish within {timeout_s:.3g} s. The device or the link hangs;"
                " reconnect or restart it, and repeat."
            ) from error

    def sizes(self, folder: str, timeout_s: float) -> Mapping[str, int]:
        """Returns the sizes of the files in a folder there, which is made if need be."""
        quoted = shlex.quote(folder)
        listing = self.check(
            f"mkdir -p {quoted} && cd {quoted} &&"
            ' for f in *; do if [ -f "$f" ]; then echo "$(wc -c < "$f") $f"; fi; done',
            timeout_s,
        )
        pairs = (line.split(None, 1) for line in listing.splitlines() if " " in line.strip())
        return {name: int(size) for size, name in pairs if size.isdigit()}

    def copied(self, done: Finished, failed: str) -> None:
        """Raises `DeviceError` if a local command that copies a file has failed, with what that means."""
        if done.status:
            said = (done.stderr + done.stdout).strip()
            raise DeviceError(f"{self.place}: {failed}: {self._why(said)}", said)

    def _why(self, said: str) -> str:
        """Returns what a message means, with the remedy, or its last line."""
        known = {**self.meanings, **_MEANINGS}
        lines = said.splitlines() or [_LOST.rstrip(".")]
        telling = [line for line in lines if "error" in line or "fail" in line] or lines
        return next((known[sign] for sign in known if sign in said), f"{telling[-1].rstrip('.')}.")


_LOST = "the device was lost. Reconnect it and repeat; what was pushed is kept."
_MEANINGS = {
    "No space left": "the device has no space left. Free some, or name another folder.",
    "Read-only file system": "the folder is on a read-only file system. Name another folder.",
    "Permission denied": "the folder may not be written, or a program may not be run there. Name another.",
    "0 files pushed": _LOST,  # with no reason before it: the connection closed under adb
    "0 files pulled": _LOST,
}
