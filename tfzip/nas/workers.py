"""Which worker has a trial, and whether it is still there."""

import json
import os
import secrets
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

_PATIENCE_S = 300.0  # without a sign of life from a worker on another machine


_held: set[str] = set()


def take() -> str:
    """Returns what says that this process is at work on a trial, on any machine and at any time."""
    owned = json.dumps([socket.gethostname(), os.getpid(), _started(os.getpid()), secrets.token_hex(8)])
    _held.add(owned)
    return owned


def let_go(owned: str) -> None:
    """Ends what `take` began."""
    _held.discard(owned)


def is_lost(owned: str | None, beat: str | None, begun: datetime | None) -> bool:
    """Whether the worker of a trial is gone.

    On this machine that is known at once, and so it is of a trial that this process is no longer at work on;
    elsewhere it is so after five minutes without a sign of life.

    Args:
        owned: What `take` returned there.
        beat: Its last sign of life, as ISO 8601.
        begun: When the trial began, by the local clock.
    """
    host, pid, started, *_ = json.loads(owned or "[null, 0, null]")
    if host == socket.gethostname() and started:
        return bool(_started(pid) != started) or (pid == os.getpid() and owned not in _held)
    patience = timedelta(seconds=_PATIENCE_S)
    silent = beat is None or datetime.now(UTC) - datetime.fromisoformat(beat) > patience
    old = begun is not None and datetime.now() - begun > patience  # noqa: DTZ005
    return silent and old


def _started(pid: int) -> str:
    """Returns when a process began, as the system counts it; empty where that cannot be known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
