"""Linux boards over ssh, such as a Raspberry Pi."""

import re
import shlex
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tfzip.bench.devices.device import Found, devices
from tfzip.bench.devices.link import Link
from tfzip.bench.devices.linked import LINK_TIMEOUT_S, VENDOR, LinkedDevice
from tfzip.bench.devices.preflight import Preflight
from tfzip.bench.devices.programs import agent, bundled, native
from tfzip.bench.devices.remote import Program
from tfzip.bench.devices.shelf import Shelf
from tfzip.errors import DeviceError, MissingDependencyError, OptionError

_MEANINGS = {
    "Permission denied (": "it accepts no key of yours. Install one with `ssh-copy-id`.",
    "Host key verification failed": "its host key is not known. Connect once by hand with `ssh`.",
    "Could not resolve hostname": "there is no machine of that name.",
    "Connection refused": "no ssh server answers there. Check the port, and that sshd runs.",
    "Connection timed out": "it does not answer. Is it on, and on this network?",
    "No route to host": "it does not answer. Is it on, and on this network?",
    "closed by remote host": "the connection broke. Repeat; what was pushed is kept.",
}

_PORT = r"(:(?P<port>\d+))?"
_HOSTS = tuple(
    map(
        re.compile,
        (
            r"(?P<host>[^-:\s\[\]][^:\s\[\]]*)" + _PORT,
            r"\[(?P<host>[^-\s\[\]]+)\]" + _PORT,
            r"(?P<host>[0-9A-Fa-f]*:[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*(%\w+)?)(?P<port>)",  # IPv6
        ),
    )
)
_IDLE_S = 60  # after which a connection ends that nobody could close


class SshLink(Link):
    """A machine behind ssh, with keys instead of a password.

    All commands share one connection, since a handshake takes longer than most of them. It is closed with the
    link. A connection that the user's configuration shares is left as it is.

    Args:
        target: `HOST`, `USER@HOST`, or either with `:PORT`.
        config: Of ssh, or None for the user's.

    Raises:
        OptionError: The target is none.
        MissingDependencyError: There is no ssh here.
    """

    meanings: ClassVar[Mapping[str, str]] = _MEANINGS

    def __init__(self, target: str, config: str | None = None) -> None:
        self.place = f"ssh:{target}"
        ssh = shutil.which("ssh")
        if ssh is None:
            raise MissingDependencyError(
                "Boards are reached by ssh, which is not installed: apt-get install openssh-client."
            )
        self._host, port = parse_target(target)
        self._base = [ssh, "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        self._base += ["-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"]
        self._base += ["-F", config] if config else []
        self._base += ["-p", port] if port else []
        self._shared: list[str] | None = None

    def words(self, command: str) -> list[str]:
        """Returns the `ssh` that runs a command in a plain shell, whatever the user's own is.

        Raises:
            DeviceError: The machine is not there or lets nobody in.
        """
        if self._shared is None:
            self._shared = self._share()
        return [*self._base, *self._shared, "--", self._host, f"sh -c {shlex.quote(command)}"]

    def _share(self) -> list[str]:
        """Connects, and returns the options by which further calls use that connection."""
        words = [*self._base, "-G", "--", self._host]
        asked = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
        if re.search(r"^controlpath (?!none$)", asked.stdout, re.MULTILINE):
            return []
        folder = tempfile.mkdtemp(prefix="tfzip-")  # a socket's path is short, and nobody else's
        options = ["-o", f"ControlPath={folder}/ssh", "-o", "ControlMaster=no"]
        weakref.finalize(self, _close, [*self._base, *options, "-O", "exit", "--", self._host], folder)
        persist = ["-o", f"ControlPersist={_IDLE_S}"]
        complaints = Path(folder, "stderr")
        with complaints.open("wb") as stderr:  # a pipe would stay open for as long as the connection
            done = subprocess.run(  # noqa: S603
                [*self._base, "-M", "-N", "-f", *persist, *options[:2], "--", self._host],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                check=False,
            )
        if done.returncode:
            said = complaints.read_text(errors="replace").strip()
            raise DeviceError(f"{self.place} does not answer: {self._why(said)}", said)
        return options

    def push(self, source: Path, target: str, timeout_s: float) -> None:
        """Copies a file there through the shell, which needs no further program on the board."""
        words = self.words(f"cat > {shlex.quote(target)}")
        with source.open("rb") as stream:
            done = self.local(words, timeout_s, f"pushing {source.name}", stream)
        self.copied(done, f"{source.name} cannot be pushed")

    def pull(self, source: str, timeout_s: float) -> bytes:
        """Returns the content of a file from there."""
        return self.content(self.words(f"cat {shlex.quote(source)}"), timeout_s, f"pulling {source}")


def parse_target(target: str) -> tuple[str, str]:
    """Returns the host, with the user if one is named, and the port, or `""` for that of the configuration.

    An address with colons stands in brackets where a port follows it: `USER@[::1]:2222`.

    Raises:
        OptionError: It is something else.
    """
    user, at, place = target.rpartition("@")
    match = next(filter(None, (pattern.fullmatch(place) for pattern in _HOSTS)), None)
    if match is None or target.startswith("-") or (at and not user) or re.search(r"\s", user):
        raise OptionError(
            "A board is HOST, USER@HOST, or either with :PORT, an IPv6 address then as [::1]:PORT."
            f" Received: {target!r}."
        )
    return user + at + match["host"], match["port"] or ""


def _close(words: list[str], folder: str) -> None:
    """Ends a shared connection, if it is still there."""
    subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, check=False)  # noqa: S603
    shutil.rmtree(folder, ignore_errors=True)


@devices.register
@dataclass(frozen=True)
class SshDevice(LinkedDevice):
    """Measures on a Linux board that ssh reaches without a password.

    Attributes:
        target: `HOST`, `USER@HOST`, or either with `:PORT`. Defaults to `""`.
        python: Of the agent. Defaults to `"python3"`.
        folder: Where files go on the board. Defaults to `".cache/tfzip/bench"`.
        config: Configuration file of ssh; None for the user's. Defaults to None.
    """

    target: str = ""
    python: str = "python3"
    folder: str = ".cache/tfzip/bench"
    config: str | None = None

    runners: ClassVar[tuple[str, ...]] = ("native", "bundle", "agent", VENDOR)

    @classmethod
    def found_here(cls) -> list[Found]:
        """Tells how boards are named; nobody lists them."""
        state = "ready" if shutil.which("ssh") else "not set up"
        return [Found("ssh:USER@HOST", state, "any Linux board with your key")]

    def link(self) -> SshLink:
        """Returns the way to the board."""
        if not self.target:
            raise OptionError("Name the board: --device ssh:USER@HOST.")
        return SshLink(self.target, self.config)

    def system(self, state: Preflight) -> str:
        """Returns the board's own system; whether a compiler is there for it shows when one is looked for."""
        return f"linux-{state.facts['architecture']}"

    def program(self, shelf: Shelf, state: Preflight, options: Mapping[str, Any]) -> Program:
        """Puts the runner on the board, with a C library if asked for, or the agent."""
        if self.runner == "agent":
            return agent(shelf, self.python, options)
        if self.runner == "bundle":
            return bundled(shelf, options)
        return native(shelf, self.system(state), options)

    def folder_there(self, link: Link) -> str:
        """Returns the folder on the board, under the home of its user unless it is absolute."""
        if self.folder.startswith("/"):
            return self.folder
        return f"{link.check('echo $HOME', LINK_TIMEOUT_S).strip()}/{self.folder}"
