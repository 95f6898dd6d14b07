"""Linux boards over ssh, such as a Raspberry Pi."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tfzip.bench.devices.device import Device, Found, Measurement, Progress, devices
from tfzip.bench.devices.link import Link
from tfzip.bench.devices.machine import describe_machine
from tfzip.bench.devices.preflight import SCRIPT, Preflight, parse_preflight
from tfzip.bench.devices.programs import agent, bundled, native
from tfzip.bench.devices.remote import Program, RemoteBench
from tfzip.bench.devices.shelf import Shelf
from tfzip.bench.devices.vendor_bench import VendorBench
from tfzip.bench.native.library import library_version
from tfzip.bench.native.vendor import vendor_binary
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.errors import MissingDependencyError, OptionError

_TIMEOUT_S = 30.0
RUNNERS = ("native", "bundle", "agent", "benchmark_model")


_MEANINGS = {
    "Permission denied (": "it accepts no key of yours. Install one with `ssh-copy-id`.",
    "Host key verification failed": "its host key is not known. Connect once by hand with `ssh`.",
    "Could not resolve hostname": "there is no machine of that name.",
    "Connection refused": "no ssh server answers there. Check the port, and that sshd runs.",
    "Connection timed out": "it does not answer. Is it on, and on this network?",
    "No route to host": "it does not answer. Is it on, and on this network?",
    "closed by remote host": "the connection broke. Repeat; what was pushed is kept.",
}


class SshLink(Link):
    """A machine behind ssh, with keys instead of a password.

    Args:
        target: `HOST`, `USER@HOST`, or either with `:PORT`.
        config: Of ssh, or None for the user's.
    """

    meanings: ClassVar[Mapping[str, str]] = _MEANINGS

    def __init__(self, target: str, config: str | None = None) -> None:
        self.place = f"ssh:{target}"
        ssh = shutil.which("ssh")
        if ssh is None:
            raise MissingDependencyError(
                "Boards are reached by ssh, which is not installed: apt-get install openssh-client."
            )
        host, colon, port = target.rpartition(":")
        named = host if colon and port.isdigit() else target
        self._base = [ssh, "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        self._base += ["-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"]
        self._base += ["-F", config] if config else []
        self._base += ["-p", port] if named != target else []
        self._base.append(named)

    def words(self, command: str) -> list[str]:
        """Returns the `ssh` that runs a command in a plain shell, whatever the user's own is."""
        return [*self._base, f"sh -c {shlex.quote(command)}"]

    def push(self, source: Path, target: str, timeout_s: float) -> None:
        """Copies a file there through the shell, which needs no further program on the board."""
        what = f"pushing {source.name}"
        with source.open("rb") as stream:
            self.copied(self.local(self.words(f"cat > {shlex.quote(target)}"), timeout_s, what, stream), what)

    def pull(self, source: str, timeout_s: float) -> bytes:
        """Returns the content of a file from there."""
        return self.content(self.words(f"cat {shlex.quote(source)}"), timeout_s, f"pulling {source}")


@devices.register
@dataclass(frozen=True)
class SshDevice(Device):
    """Measures on a Linux board that ssh reaches without a password.

    Attributes:
        target: `HOST`, `USER@HOST`, or either with `:PORT`. Defaults to `""`.
        cores: `"all"`, `"little"`, `"mid"`, `"big"`, or numbers such as `"2-3"`. Defaults to `"all"`.
        fp16: Whether XNNPACK may compute float32 in half precision. Defaults to False.
        runner: `"native"`, `"bundle"` (with a C library of its own, for boards whose own is older than 2.34)
            or `"agent"` (Python with NumPy and ai-edge-litert or tflite-runtime), or `"benchmark_model"`,
            LiteRT's own, which gives no samples and no outputs. Defaults to `"native"`.
        runner_binary: Path of benchmark_model for the board; None for the one that `tfzip devices setup` has
            fetched. Defaults to None.
        python: Of the agent. Defaults to `"python3"`.
        folder: Where files go on the board. Defaults to `".cache/tfzip/bench"`.
        config: Configuration file of ssh; None for the user's. Defaults to None.
    """

    target: str = ""
    cores: str = "all"
    fp16: bool = False
    runner: str = "native"
    runner_binary: str | None = None
    python: str = "python3"
    folder: str = ".cache/tfzip/bench"
    config: str | None = None

    def __post_init__(self) -> None:
        if self.runner not in RUNNERS:
            raise OptionError(f"runner is one of {', '.join(RUNNERS)}. Received: {self.runner!r}.")

    measures_energy: ClassVar[bool] = True

    @classmethod
    def found_here(cls) -> list[Found]:
        """Tells how boards are named; nobody lists them."""
        state = "ready" if shutil.which("ssh") else "not set up"
        return [Found("ssh:USER@HOST", state, "any Linux board with your key")]

    def environment(self, plan: BenchPlan) -> Mapping[str, Any]:  # noqa: ARG002 (one runtime here)
        """Describes the board."""
        facts = {"runtime": "litert", "runtime_version": library_version(), "runner": self.runner}
        return {**describe_machine(), **self._preflight(self._link()).facts, **facts}

    def measure(
        self, workloads: Sequence[Workload], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement]:
        """Pushes what is missing, and measures in turns."""
        link = self._link()
        before = self._preflight(link)
        shelf = Shelf(link, self._folder(link))
        if self.runner == "benchmark_model":
            system = f"linux-{before.facts['architecture']}"
            binary = shelf.put(vendor_binary(system, self.runner_binary), program=True)
            return VendorBench(link, shelf, binary, before.mask(self.cores)).measure(
                workloads, plan, progress
            )
        return RemoteBench(link, shelf, self._program(shelf, before)).measure(workloads, plan, progress)

    def _link(self) -> SshLink:
        if not self.target:
            raise OptionError("Name the board: --device ssh:USER@HOST.")
        return SshLink(self.target, self.config)

    def _preflight(self, link: Link) -> Preflight:
        return parse_preflight(link.check(SCRIPT, _TIMEOUT_S))

    def _folder(self, link: Link) -> str:
        if self.folder.startswith("/"):
            return self.folder
        return f"{link.check('echo $HOME', _TIMEOUT_S).strip()}/{self.folder}"

    def _program(self, shelf: Shelf, state: Preflight) -> Program:
        options = {"fp16": self.fp16, "cpus": state.mask(self.cores)}
        if self.runner == "agent":
            return agent(shelf, self.python, options)
        if self.runner == "bundle":
            return bundled(shelf, options)
        return native(shelf, f"linux-{state.facts['architecture']}", options)
