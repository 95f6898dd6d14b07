"""Runs functions in a child process, so that a crash, a hang or a memory blow-up becomes an error.

Converters segfault on bad graphs and interpreters on hostile files; neither may take the caller along.
"""

import atexit
import contextlib
import importlib
import os
import pickle
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

from tfzip.errors import SandboxError, TfzipError

_HEADER = struct.Struct("<Q")
_DETAIL_BYTES = 4000
_GRACE_S = 5.0
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"}


class Sandbox:
    """A child process that answers one call after another and is replaced when it dies.

    Args:
        timeout_s: Longest time for a call, in seconds. Defaults to none.
        memory_bytes: Cap on the child's address space. Defaults to none.
        env: Environment variables to add.

    Example:
        >>> with Sandbox(timeout_s=60) as child:
        ...     child.call("tfzip.tflite.reader:read", "model.tflite")
    """

    def __init__(
        self,
        *,
        timeout_s: float | None = None,
        memory_bytes: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self.memory_bytes = memory_bytes
        self._env = {**_QUIET, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The child's process id, or None when it does not run."""
        return self._process.pid if self._process else None

    def call(self, target: str, /, *args: Any, timeout_s: float | None = None, **kwargs: Any) -> Any:
        """Runs `"package.module:function"` in the child and returns its result.

        Args:
            target: What to call; importable in the child.
            *args: Positional arguments, pickled.
            timeout_s: Longest time for this call. Defaults to the sandbox's.
            **kwargs: Keyword arguments, pickled.

        Raises:
            TfzipError: Raised by the function itself, passed on as it is.
            SandboxError: The child crashed, hung, or raised anything else.
        """
        process = self._process or self._start()
        payload = pickle.dumps((target, args, kwargs), protocol=5)
        limit_s = timeout_s if timeout_s is not None else self.timeout_s
        deadline = None if limit_s is None else time.monotonic() + limit_s
        try:
            _send(process.stdin, payload)
            succeeded, result = pickle.loads(self._receive(process, deadline))  # noqa: S301 (our own child)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            raise self._obituary(target) from None
        except TimeoutError:
            self._kill()
            raise SandboxError(
                f"{target} did not finish within {limit_s:g} s and was stopped.", self._detail()
            ) from None
        except BaseException:  # also an interrupt key: no child may stay behind
            self._kill()
            raise
        if succeeded:
            return result
        raise result

    def close(self) -> None:
        """Ends the child, if any runs."""
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
            self._kill()
        if self._stderr is not None:
            self._stderr.close()
            self._stderr = None

    def _start(self) -> subprocess.Popen[bytes]:
        if self._stderr is None:
            self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the sandbox)
        paths = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        options = [str(os.getpid()), str(self.memory_bytes or 0)]
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-m", "tfzip.sandbox", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, **self._env, "PYTHONPATH": paths},
            start_new_session=True,
        )
        return self._process

    @staticmethod
    def _receive(process: subprocess.Popen[bytes], deadline: float | None) -> bytes:
        if process.stdout is None:
            raise EOFError
        descriptor = process.stdout.fileno()
        (size,) = _HEADER.unpack(_read_exactly(descriptor, _HEADER.size, deadline))
        return bytes(_read_exactly(descriptor, size, deadline))

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _obituary(self, target: str) -> SandboxError:
        process = self._process
        code = process.wait() if process else 0
        self._kill()
        if code < 0:
            cause = f"was ended by signal {signal.Signals(-code).name}"
        else:
            cause = f"ended with exit status {code}"
        return SandboxError(f"The child process running {target} {cause}.", self._detail())

    def _detail(self) -> str:
        if self._stderr is None:
            return ""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _DETAIL_BYTES))
        return self._stderr.read().decode(errors="replace")


def run_isolated(target: str, /, *args: Any, timeout_s: float | None = None, **kwargs: Any) -> Any:
    """Runs one call in a child process of its own; see `Sandbox.call`."""
    with Sandbox(timeout_s=timeout_s) as child:
        return child.call(target, *args, **kwargs)


def resolve(target: str) -> Any:
    """Imports what `"package.module:name"` names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _send(stream: IO[bytes] | None, payload: bytes) -> None:
    if stream is None:
        raise BrokenPipeError
    stream.write(_HEADER.pack(len(payload)))
    stream.write(payload)
    stream.flush()


def _read_exactly(descriptor: int, size: int, deadline: float | None) -> bytearray:
    received = bytearray()
    while len(received) < size:
        if deadline is not None:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
                raise TimeoutError
        chunk = os.read(descriptor, min(size - len(received), 1 << 20))
        if not chunk:
            raise EOFError
        received += chunk
    return received


def _answer(target: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
    try:
        return True, resolve(target)(*args, **kwargs)
    except TfzipError as error:
        return False, error
    except MemoryError:
        return False, SandboxError(f"{target} ran out of memory.")
    except Exception as error:  # noqa: BLE001 (anything a converter raises has to reach the parent)
        return False, SandboxError(f"{type(error).__name__}: {error}")


def _die_with_parent(parent: int) -> None:
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _serve(parent: int, memory_bytes: int) -> None:
    """Answers calls from standard input on what was standard output, until the input ends."""
    _die_with_parent(parent)
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what libraries print must not mix with replies
    while header := requests.read(_HEADER.size):
        target, args, kwargs = pickle.loads(requests.read(*_HEADER.unpack(header)))  # noqa: S301 (our own parent)
        _send(replies, _pickled(_answer(target, args, kwargs)))
    atexit._run_exitfuncs()  # noqa: SLF001 (there is no public way)
    os._exit(0)  # frameworks take a second to fall apart, and the parent waits for it


def _pickled(reply: tuple[bool, Any]) -> bytes:
    try:
        return pickle.dumps(reply, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        return pickle.dumps((False, SandboxError(f"The result cannot be sent back: {error}")), protocol=5)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
