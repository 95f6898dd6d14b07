"""A PostgreSQL server of its own, on loopback, that a test may stop and start."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
_MISSING = [] if _BINARIES or shutil.which("postgres") else ["postgresql"]
_MISSING += [] if find_spec("psycopg2") else ["psycopg2"]
needs_postgres = pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")


class Server:
    """A cluster in a folder of its own, since another account has to come to it.

    Attributes:
        url: As Optuna takes it.
    """

    def __init__(self) -> None:
        self._binaries = _BINARIES[-1].parent if _BINARIES else Path(shutil.which("postgres")).parent
        self._folder = folder = Path(tempfile.mkdtemp(prefix="tfzip-postgres-"))
        self._user = pwd.getpwnam("postgres").pw_name if os.getuid() == 0 else None  # it does not run as root
        if self._user:
            shutil.chown(folder, self._user)
        self._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "tfzip", "--no-sync")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"postgresql://tfzip@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        self._control("start", "-w", "-o", f"{options} -c fsync=off -c max_connections=40")

    def stop(self) -> None:
        """Ends it and all connections."""
        self._control("stop", "-w", "-m", "immediate")

    def remove(self) -> None:
        """Ends it, if it is running, and removes its folder."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder)

    def _control(self, *arguments: str) -> None:
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-l", log, *arguments)

    def _run(self, name: str, *arguments: str) -> None:
        options = {"user": self._user, "group": self._user, "extra_groups": []} if self._user else {}
        done = subprocess.run(
            [self._binaries / name, *arguments],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        assert done.returncode == 0, done.stderr
