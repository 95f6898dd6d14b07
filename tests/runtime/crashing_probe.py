"""A probe whose runtime crashes."""

import os
import signal


def delegated_ops(path):
    os.kill(os.getpid(), signal.SIGSEGV)
