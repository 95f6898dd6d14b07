"""Runs the command line as a user does: in a process of its own."""

import subprocess
import sys


def tfzip(*arguments, cwd=None):
    """Returns the finished process of `tfzip ...`."""
    code = "from tfzip.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=280,
    )
