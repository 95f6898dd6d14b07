"""A process of the native runner, wherever it runs: events with deadlines, errors with their class."""

import json
import queue
import re
import shlex
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from tfzip.errors import DataError, DeviceError, FileFormatError, MissingDependencyError, OptionError

PROTOCOL = 1
_KEPT_LINES = 20
_LAST_WORDS_S = 2.0  # for what is still on its way when the process is gone
_END = "end"
_LONGEST_QUOTE = 120
_NOT_RUN = (126, 127)  # a shell's own statuses
_OF_THE_FILE = (3, 5)
_COMPLAINT = re.compile(r"ERROR: [^\[]")  # of the kernels, not of what calls them
_ERRORS: dict[int, type[Exception]] = {
    1: OptionError,
    2: MissingDependencyError,
    3: FileFormatError,
    4: DataError,
}


@dataclass(frozen=True)
class RunnerCall:
    """How the runner is called.

    Attributes:
        runner: First words of its command.
        library: Path of libLiteRt.so there.
        model: Path of the file there.
        options: Further options by name; True for flags, None for what is left out.
    """

    runner: tuple[str, ...]
    library: str
    model: str
    options: Mapping[str, Any]

    def words(self) -> list[str]:
        """Returns the command as words."""
        words = [*self.runner, "--library", self.library, "--model", self.model]
        for name, value in self.options.items():
            if value is not None and value is not False:
                words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        return words

    def line(self) -> str:
        """Returns the command as a line for a shell."""
        return shlex.join(self.words())


class RunnerProcess:
    """A runner that was started; a context manager that ends it.

    Args:
        process: With pipes for all three streams, in text.
        place: What errors name, such as `"android:SERIAL"`.
        model: The file that is measured, as the user calls it.
        on_close: Called when it is closed, to end what runs elsewhere. Defaults to nothing.
    """

    def __init__(
        self,
        process: "subprocess.Popen[str]",
        place: str,
        model: str,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._process = process
        self._place = place
        self._model = model
        self._on_close = on_close
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, command: str) -> None:
        """Writes one line to the runner."""
        stream = self._process.stdin
        if stream is not None:
            with suppress(OSError, ValueError):  # what the runner said before it went is read by `event`
                stream.write(command + "\n")
                stream.flush()

    def event(self, name: str, timeout_s: float) -> dict[str, Any]:
        """Waits for an event and returns it; others that come before it are passed over.

        Raises:
            DeviceError: It does not come in time, the link broke, or the runner was ended.
            TfzipError: The runner says what is wrong with the file, the inputs or an option.
        """
        end = time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                self.close()
                raise DeviceError(
                    f"{self._model} on {self._place}: nothing came for {timeout_s:.3g} s. The device or the"
                    " link hangs, or the file is slow; give more time with --timeout.",
                    self.said,
                ) from None
            if line is None:
                raise self._broken()
            found = _parsed(line)
            if found is None:
                self._said.append(line)
            elif found["event"] == name:
                return _Event(found)
            elif found["event"] == _END:
                raise self._ended(found)

    def finish(self, timeout_s: float) -> None:
        """Ends the runner's input and waits for its end marker."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self.event(_END, timeout_s)

    @property
    def said(self) -> str:
        """The end of what the runner and the link said."""
        return "\n".join(self._said)

    def close(self) -> None:
        """Ends the process at once if it still runs, here and where it was started."""
        end_process(self._process)
        if self._on_close is not None:
            done, self._on_close = self._on_close, None
            done()

    def _read(self) -> None:
        stream = self._process.stdout
        with suppress(ValueError):  # closed meanwhile
            for line in stream or ():
                self._lines.put(line.rstrip("\r\n"))
        self._lines.put(None)

    def _listen(self) -> None:
        with suppress(ValueError):
            for line in self._process.stderr or ():
                self._said.append(line.rstrip("\r\n"))

    def _broken(self) -> DeviceError:
        try:
            status: int | str = self._process.wait(_LAST_WORDS_S)
        except subprocess.TimeoutExpired:  # it has closed its output and goes on
            status = "ended here"
            self.close()
        self._listener.join(_LAST_WORDS_S)
        last = f" It last said: {self._said[-1][:_LONGEST_QUOTE]}" if self._said else ""
        why = (
            "The link broke or the runner was ended; nothing of this launch is used."
            " Reconnect the device and repeat."
        )
        if status in _NOT_RUN:
            why = "It cannot be run there: name a folder that programs may be run from."
        return DeviceError(
            f"{self._model} on {self._place}: the runner went away without its end marker (status {status})."
            f" {why}{last}",
            self.said,
        )

    def _ended(self, event: Mapping[str, Any]) -> Exception:
        given, message = event.get("status"), str(event.get("message") or "")
        status = given if isinstance(given, int) else 0
        kind = _ERRORS.get(status, DeviceError)
        self._listener.join(_LAST_WORDS_S)
        complaints = [line for line in self._said if _COMPLAINT.match(line)] if status in _OF_THE_FILE else []
        detail = f" LiteRT says: {complaints[-1].partition(' ')[2]}" if complaints else ""
        return kind(
            f"{self._model} on {self._place}: {message or f'the runner ended with status {given}.'}{detail}"
        )


def end_process(process: "subprocess.Popen[str]") -> None:
    """Ends a process with pipes at once, if it still runs, and closes them."""
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):  # what was written last had nowhere to go
                stream.close()


class _Event(dict[str, Any]):
    """What an event says; a fact that it lacks is an error of the device."""

    def __missing__(self, name: str) -> Any:
        raise DeviceError(
            f"The runner's event {self.get('event')!r} lacks {name!r}: it speaks another protocol. Set the"
            " device up again with `tfzip devices setup`."
        )


def _parsed(line: str) -> dict[str, Any] | None:
    """Returns the event of a line, or None for a line that is none, such as a message of the device."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("event"), str) else None
