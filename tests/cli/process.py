"""Runs the command line as a user does: in a process of its own."""

import contextlib
import io
import subprocess
import sys

from tfzip.cli import main


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


def tfzip_here(*arguments):
    """Returns what `tfzip ...` did in this process, which has its frameworks loaded already."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    before = sys.argv
    sys.argv = ["tfzip", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.argv = before
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())
