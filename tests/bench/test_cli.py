"""`tfzip bench`: table, JSON, files, and one line for bad input."""

import json
import subprocess
import sys

import numpy as np
import pytest

MAIN = "from tfzip.cli import main; main()"
QUICK = ("--runs", "20", "--launches", "2")


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", MAIN, "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_table_and_verdicts_are_printed(small, large):
    done = run(small, large, *QUICK)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bar outside a terminal
    assert "Latency in ms" in done.stdout
    assert f"{large} is " in done.stdout


def test_json_is_pure_and_the_file_is_the_same_report(int16, tmp_path):
    target = tmp_path / "out.json"
    done = run(int16, "--json", "--output", target, "--threads", "1,2", *QUICK)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(target.read_text())
    assert [latency["threads"] for latency in json.loads(done.stdout)["latencies"]] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.tflite",), "There is no .tflite file at missing.tflite"),
        (("{broken}",), "is no .tflite or is damaged"),
        (("{small}", "--runs", "0"), "runs must be"),
        (("{small}", "--threads", "0"), "threads must be"),
        (("{small}", "--threads", "1,x"), "--threads takes whole numbers"),
        (("{small}", "--threads", "100000"), "threads must be"),
        (("{small}", "--runtime", "litret"), "Did you mean 'litert'"),
        (("{small}", "--device", "phone"), "Unknown device 'phone'"),
        (("{small}", "--data", "missing.npz"), "missing.npz"),
    ],
)
def test_bad_input_is_one_line_and_overwrites_nothing(arguments, message, small, tmp_path):
    broken, target = tmp_path / "broken.tflite", tmp_path / "out.json"
    broken.write_bytes(b"TFL3" * 100)
    target.write_text("kept")
    filled = [argument.format(small=small, broken=broken) for argument in arguments]
    done = run(*filled, "--output", target)
    assert done.returncode == 1
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert target.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.tflite", "out.json"]


@pytest.mark.parametrize("alias", ["same", "relative", "symbolic", "hard", "data"])
def test_a_report_never_replaces_a_file_that_is_read(alias, small, tmp_path):
    source = tmp_path / "model.tflite"
    source.write_bytes(small.read_bytes())
    target, extra = tmp_path / "alias", ()
    if alias == "symbolic":
        target.symlink_to(source)
    elif alias == "hard":
        target.hardlink_to(source)
    elif alias == "data":
        target = tmp_path / "rows.npz"
        np.savez(target, x_test=np.zeros((2, 4), np.float32))
        extra = ("--data", f"{target}#test")
    else:
        target = source if alias == "same" else tmp_path / ".." / tmp_path.name / "model.tflite"
    before = target.read_bytes()
    done = run(source, "--output", target, *extra)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Name another file" in done.stderr
    assert target.read_bytes() == before
    assert source.read_bytes() == small.read_bytes()


def test_no_framework_is_loaded_by_the_parent(small):
    code = (
        "import sys; from tfzip.cli import tfzip;"
        f"tfzip(['bench', {str(small)!r}, '--runs', '4', '--launches', '1'], standalone_mode=False);"
        "loaded = {'tensorflow', 'keras', 'ai_edge_litert.interpreter'} & set(sys.modules);"
        "sys.exit(', '.join(loaded) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
