"""A child that crashes, hangs or misbehaves becomes an error of the parent, never its end."""

import os
import signal
import time

import pytest

from tfzip.errors import SandboxError, UnknownNameError
from tfzip.sandbox import Sandbox, run_isolated

HERE = "tests.test_sandbox"


def add(a, b):
    return a + b


def die_by_signal():
    os.kill(os.getpid(), signal.SIGSEGV)


def hang():
    time.sleep(60)


def print_a_lot():
    os.write(1, b"noise" * 1000)
    return "fine"


def unpicklable():
    return lambda: None


def raise_ours():
    raise UnknownNameError("scheme", "in8", ["int8", "int16x8"])


def raise_other():
    return {}["missing"]


def allocate():
    return len(bytearray(8 << 30))


def sleep_in_grandchild():
    return os.getpid()


def test_results_come_back_and_the_child_is_reused():
    with Sandbox() as child:
        assert child.call(f"{HERE}:add", 2, b=3) == 5
        pid = child.pid
        assert child.call(f"{HERE}:add", 1, 1) == 2
        assert child.pid == pid


def test_a_crash_is_an_error_and_the_next_call_gets_a_new_child():
    with Sandbox() as child:
        with pytest.raises(SandboxError, match="SIGSEGV"):
            child.call(f"{HERE}:die_by_signal")
        assert child.call(f"{HERE}:add", 1, 1) == 2


def test_a_hang_is_stopped_at_the_deadline():
    began = time.monotonic()
    with Sandbox(timeout_s=1) as child, pytest.raises(SandboxError, match="within 1 s"):
        child.call(f"{HERE}:hang")
    assert time.monotonic() - began < 10


def test_what_a_library_prints_does_not_mix_with_the_reply():
    assert run_isolated(f"{HERE}:print_a_lot") == "fine"


def test_our_errors_arrive_as_they_are():
    with pytest.raises(UnknownNameError, match="Did you mean 'int8'"):
        run_isolated(f"{HERE}:raise_ours")


def test_foreign_errors_arrive_with_their_type():
    with pytest.raises(SandboxError, match="KeyError: 'missing'"):
        run_isolated(f"{HERE}:raise_other")


def test_a_result_that_cannot_travel_is_an_error():
    with pytest.raises(SandboxError, match="cannot be sent back"):
        run_isolated(f"{HERE}:unpicklable")


def test_memory_past_the_cap_is_an_error():
    with Sandbox(memory_bytes=2 << 30) as child, pytest.raises(SandboxError, match="ran out of memory"):
        child.call(f"{HERE}:allocate")


def test_closing_leaves_no_process():
    child = Sandbox()
    pid = child.call(f"{HERE}:sleep_in_grandchild")
    child.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
