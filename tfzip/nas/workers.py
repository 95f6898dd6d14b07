"""Which worker has a trial, and whether it is still there."""

import json
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

_PATIENCE_S = 300.0  # without a sign of life from a worker on another machine


def owner() -> str:
    """Returns what tells this process from all others, on any machine and at any time."""
    return json.dumps([socket.gethostname(), os.getpid(), _started(os.getpid())])


def is_lost(owned: str | None, beat: str | None, begun: datetime | None) -> bool:
    """Whether the worker of a trial is gone.

    On this machine that is known at once; elsewhere it is so after five minutes without a sign of life.

    Args:
        owned: What `owner` returned there.
        beat: Its last sign of life, as ISO 8601.
        begun: When the trial began, by the local clock.
    """
    host, pid, started = json.loads(owned or "[null, 0, null]")
    if host == socket.gethostname() and started:
        return bool(_started(pid) != started)
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
