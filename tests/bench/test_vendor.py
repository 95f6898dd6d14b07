"""LiteRT's own benchmark_model: a stub prints the documented lines and writes the documented message."""

import http.server
import socket
import struct
import sys
import threading
from pathlib import Path

import pytest

import tfzip
from tests.bench.arm import arm_library, needs_compiler  # noqa: F401 (a fixture)
from tests.bench.phones import needs_adb, server  # noqa: F401 (a fixture)
from tests.bench.test_ssh import board  # noqa: F401 (a fixture)
from tfzip.artifact import sha256_of
from tfzip.bench.devices.vendor_bench import NOTE
from tfzip.bench.native.vendor import fetch_vendor, flags, parse_output, parse_result, vendor_binary
from tfzip.errors import DeviceError, MissingDependencyError, OptionError

QUICK = {"runs": 8, "min_duration_s": 0, "launches": 2, "rounds": 1}
LINES = (
    "INFO: STARTING!\n"
    "INFO: Inference timings in us: Init: 5685, First inference: 18535, Warmup (avg): 14462.3,"
    " Inference (avg): 14575.2\n"
    "INFO: Overall peak memory footprint (MB) via periodic monitoring: 12.5\n"
)
STUB = """#!{python}
import struct, sys, zlib, os
given = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
assert given["min_secs"] == "0" and int(given["num_runs"]) >= 1, given
if not os.path.exists(given["graph"]):
    sys.exit("ERROR: no such model")
def field(number, kind, data):
    return bytes([number << 3 | kind]) + data
def floats(values):
    return b"".join(field(number, 5, struct.pack("<f", value)) for number, value in values.items())
def message(number, data):
    return field(number, 2, bytes([len(data)]) + data)
us = 100.0 + os.path.getsize(given["graph"]) / 1e3
latency = floats({{1: us + 1, 2: us - 5, 3: us + 50, 5: us, 8: 5000.0, 9: 2 * us}})
memory = field(1, 0, b"\\x80\\x08") + floats({{3: 7.5}})
other = field(2, 0, bytes([int(given["num_runs"]) % 128]))
name = field(1, 2, bytes([4]) + b"name")
with open(given["result_file_path"], "wb") as file:
    file.write(name + message(2, latency) + message(3, memory) + message(4, other))
print("INFO: done")
"""


@pytest.fixture
def stub(tmp_path):
    path = tmp_path / "benchmark_model"
    path.write_text(STUB.format(python=sys.executable))
    path.chmod(0o755)
    return str(path)


def message(**latency):
    numbers = {"avg": 1, "min": 2, "max": 3, "median": 5, "init": 8, "first": 9}
    inner = b"".join(bytes([numbers[k] << 3 | 5]) + struct.pack("<f", v) for k, v in latency.items())
    return b"\x12" + bytes([len(inner)]) + inner


def test_the_result_is_read_field_by_field():
    found = parse_result(
        message(avg=2000.0, min=1500.0, max=9000.0, median=1750.0, init=5000.0, first=3000.0)
    )
    assert (found.mean_ms, found.min_ms, found.max_ms) == (2.0, 1.5, 9.0)
    assert (found.median_ms, found.init_ms, found.first_ms) == (1.75, 5.0, 3.0)
    assert parse_result(message(avg=2000.0)).median_ms == 2.0


@pytest.mark.parametrize("content", [b"", b"\x12", b"\x12\x7f\x00", b"\xff" * 20, message(min=1.0), b"\x0b"])
def test_a_damaged_result_is_refused(content):
    with pytest.raises(DeviceError, match="no result that can be read"):
        parse_result(content)


def test_the_printed_lines_stand_in_for_a_result():
    found = parse_output(LINES)
    assert (found.init_ms, found.first_ms, found.mean_ms) == (5.685, 18.535, 14.5752)
    assert found.peak_bytes == 12_500_000
    with pytest.raises(DeviceError, match="failed: ERROR: no such operation"):
        parse_output("INFO: x\nERROR: no such operation\n")


def test_the_number_of_runs_is_exact():
    assert {"--num_runs=9", "--min_secs=0", "--num_threads=2"} <= set(flags("m", 2, 9, "r"))


@needs_compiler
def test_a_board_is_measured_by_the_vendors_tool(board, stub, small, large):  # noqa: F811
    device = {**board, "runner": "benchmark_model", "runner_binary": stub}
    report = tfzip.benchmark([small, large], device=device, **QUICK)
    size = small.stat().st_size
    assert report.latencies[0].p50_ms == pytest.approx((100 + size / 1e3) / 1e3, rel=1e-5)
    assert report.latencies[0].peak_memory_bytes == 7_500_000
    assert report.latencies[0].agreement is None
    assert report.verdicts[0].verdict == "slower"
    assert NOTE in report.notes
    assert report.environment["runtime"] == "benchmark_model"
    assert report.environment["runtime_version"] == f"sha256 {sha256_of(stub)[:12]}"


@pytest.mark.parametrize(
    ("options", "asked"), [({"energy": True}, "--energy"), ({"deadline_ms": 33}, "--dead")]
)
def test_what_the_tool_cannot_tell_is_refused(options, asked, small):
    device = {"name": "ssh", "target": "nowhere", "runner": "benchmark_model"}
    with pytest.raises(OptionError, match=f"{asked}.* needs --runner native"):
        tfzip.benchmark(small, device=device, **QUICK, **options)


@needs_compiler
def test_a_files_name_runs_nothing_on_the_board(board, stub, small, tmp_path):  # noqa: F811
    path = tmp_path / "x.$(touch pwned)"
    path.write_bytes(small.read_bytes())
    shelf = tmp_path / "it's a shelf"
    for fields in ({"runner": "benchmark_model", "runner_binary": stub}, {"runner": "native"}):
        tfzip.benchmark(path, device={**board, **fields, "folder": str(shelf)}, **QUICK)
    assert all("$" not in one.name for one in shelf.iterdir())
    assert not list(Path(board["config"]).parent.rglob("pwned"))
    assert not (Path.home() / "pwned").exists()


@needs_compiler
def test_a_tool_that_fails_says_its_last_line(board, tmp_path, small):  # noqa: F811
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'ERROR: cannot map this file' >&2\nexit 3\n")
    device = {**board, "runner": "benchmark_model", "runner_binary": str(broken)}
    with pytest.raises(DeviceError, match="status 3: ERROR: cannot map this file"):
        tfzip.benchmark(small, device=device, **QUICK)
    with pytest.raises(MissingDependencyError, match="no benchmark_model for .* at /nowhere"):
        tfzip.benchmark(small, device={**device, "runner_binary": "/nowhere"}, **QUICK)


@pytest.mark.skipif(any(mark.args[0] for mark in needs_adb), reason="not installed: adb or qemu-user")
def test_a_phone_is_measured_by_the_vendors_tool(server, arm_library, stub, small):  # noqa: F811
    phone = server("vendor")
    phone.connect()
    device = {"name": "android", "serial": phone.serial, "runner": "benchmark_model", "runner_binary": stub}
    report = tfzip.benchmark(small, device=device, **QUICK)
    assert report.latencies[0].init_ms == 5.0
    assert NOTE in report.notes


def test_the_tool_is_fetched_once_and_kept_to(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "served" / "android_arm64"
    folder.mkdir(parents=True)
    (folder / "benchmark_model").write_bytes(b"tool")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder.parent))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{web.server_port}"
        with pytest.raises(DeviceError, match="sha256 .* is not used"):
            fetch_vendor("android-aarch64", url, "0" * 64)
        with pytest.raises(MissingDependencyError, match="devices setup benchmark_model"):
            vendor_binary("android-aarch64")
        path = fetch_vendor("android-aarch64", url)
        with pytest.raises(DeviceError, match="cannot be fetched"):
            fetch_vendor("linux-aarch64", url)
        web.shutdown()
    assert vendor_binary("android-aarch64") == path
    path.write_bytes(b"changed")
    with pytest.raises(DeviceError, match="not what was fetched"):
        vendor_binary("android-aarch64")
    with pytest.raises(DeviceError, match="https only"):
        fetch_vendor("android-aarch64", "ftp://example.org")
    with pytest.raises(
        MissingDependencyError, match="for linux-aarch64 at .*Name one with --runner-binary.$"
    ):
        vendor_binary("linux-aarch64")


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1.example.com", "http://127.0.0.1@example.com", "http://example.com", "file:///etc"],
)
def test_only_https_and_this_machine_are_asked(url):
    with pytest.raises(DeviceError, match="by https only"):
        fetch_vendor("android-aarch64", url)


def test_a_download_that_breaks_off_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nshort")

        serving = threading.Thread(target=answer)
        serving.start()
        with pytest.raises(DeviceError, match="cannot be fetched: .*--runner-binary") as caught:
            fetch_vendor("android-aarch64", f"http://127.0.0.1:{listening.getsockname()[1]}")
        serving.join()
    assert "\n" not in str(caught.value)
