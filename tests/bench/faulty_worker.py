"""A worker whose functions do what a hostile file can make an interpreter do."""

import os
import signal
import time

import numpy as np

from tfzip.bench.worker import Timing, WarmUp, peak_memory

__all__ = ["peak_memory"]


def open_file(path, *, threads, **_):
    fault = os.environ.get("TFZIP_TEST_FAULT")
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "hang":
        time.sleep(600)
    if fault == "eat":
        return len(bytearray(1 << 40))
    return Timing(1.0, 1.0, 0.001)


def warm_up(longest_s):
    return WarmUp(9, 1.0, True, 0.001)


def time_block(runs, index):
    if os.environ.get("TFZIP_TEST_FAULT") == "hang late":
        time.sleep(600)
    return np.ones(runs)
