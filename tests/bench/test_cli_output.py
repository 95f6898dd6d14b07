"""What the command prints, writes and keeps: of several devices, of sweeps, with and without a history."""

import csv
import json
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from tests.bench.test_sweep import ClusteredDevice
from tfzip.bench import history
from tfzip.bench.devices import devices
from tfzip.bench.history import stored
from tfzip.cli import tfzip
from tfzip.cli.bench_output import targets_of
from tfzip.errors import DataError, OptionError

QUICK = ("--runs", "8", "--launches", "2", "--min-seconds", "0")


@dataclass(frozen=True)
class Stub(ClusteredDevice):
    """A device without a machine."""

    def environment(self, plan):
        return {**super().environment(plan), "python": "3"}


@dataclass(frozen=True)
class Broken(Stub):
    """One that never answers."""

    def environment(self, plan):
        raise DataError("out of order")


@pytest.fixture(autouse=True)
def stubs(monkeypatch):
    for name, kind in {"first": Stub, "second": Stub, "broken": Broken}.items():
        monkeypatch.setitem(devices._classes, name, type(name, (kind,), {}))


def run(*arguments):
    return CliRunner().invoke(tfzip, ["bench", *map(str, arguments)])


TWO = ("--device", "first", "--device", "second")


def test_the_reports_of_several_devices_are_one_document(small, tmp_path):
    kept = ("--history", tmp_path / "h")
    done = run(small, *QUICK, *TWO, *kept, "--json", "--compare")
    assert done.exit_code == 0, done.stderr
    assert [one["device"]["name"] for one in json.loads(done.stdout)] == ["first", "second"]
    assert "was measured before" in done.stderr
    one = run(small, *QUICK, "--device", "first", *kept, "--json", "--compare")
    assert json.loads(one.stdout)["device"]["name"] == "first"
    assert "no difference" in one.stderr
    half = run(small, *QUICK, "--device", "broken", "--device", "first", *kept, "--json")
    assert len(json.loads(half.stdout)) == 1
    assert isinstance(half.exception, DataError)
    assert len(json.loads(run("--compare", *kept, "--json").stdout)) == 1


def test_a_bad_history_shows_before_anything_is_measured(small, tmp_path):
    (tmp_path / "h").write_text("no database" * 100)
    done = run(small, *QUICK, "--device", "broken", "--history", tmp_path / "h")
    assert "cannot serve as a history" in str(done.exception)
    assert done.stdout == ""


def test_a_history_that_fails_later_costs_no_report(small, tmp_path, monkeypatch):
    def refuse(*_):
        raise DataError("the history is locked")

    monkeypatch.setattr(history, "add", refuse)
    done = run(small, *QUICK, *TWO, "--history", tmp_path / "h", "--output", tmp_path / "out.json")
    assert done.stdout.count("Latency in ms") == 2
    assert (tmp_path / "out-first.json").exists()
    assert (tmp_path / "out-second.json").exists()
    assert str(done.exception) == "the history is locked"


def test_brackets_in_a_path_are_no_markup(small, tmp_path):
    (tmp_path / "x[").mkdir()
    done = run(small, *QUICK, "--device", "first", "--no-history", "--output", tmp_path / "x[" / "b].json")
    assert done.exit_code == 0, done.exception
    assert f"Wrote {tmp_path}/x[/b].json" in done.stderr


def test_what_is_not_added_is_compared(small, tmp_path):
    kept = ("--history", tmp_path / "h")
    run(small, *QUICK, "--device", "first", *kept)
    done = run(small, *QUICK, "--device", "first", *kept, "--no-history", "--compare")
    assert "on first (test), 1 thread(s)" in done.stdout
    assert len(stored(tmp_path / "h")) == 1


def test_every_device_has_a_file_of_its_own():
    found = targets_of(["d/out.csv"], ["android:a_b", "android:a b", "android:a-b", "ssh:pi@board"])
    assert found == {
        "android:a_b": ["d/out-android-a_b.csv"],
        "android:a b": ["d/out-android-a-b.csv"],
        "android:a-b": ["d/out-android-a-b-2.csv"],
        "ssh:pi@board": ["d/out-ssh-pi-board.csv"],
    }
    assert targets_of(["out.csv"], ["android:a b"]) == {"android:a b": ["out.csv"]}


def test_no_report_of_several_devices_replaces_a_file_that_is_read(small, tmp_path):
    source = tmp_path / "m-first.tflite"
    source.write_bytes(small.read_bytes())
    done = run(source, *QUICK, *TWO, "--no-history", "--output", tmp_path / "m.tflite")
    assert "would replace it" in str(done.exception)
    assert source.read_bytes() == small.read_bytes()


def test_a_sweep_is_printed_and_written(small, tmp_path):
    outputs = [tmp_path / f"sweep.{kind}" for kind in ("json", "csv")]
    given = [word for output in outputs for word in ("--output", output)]
    done = run(small, *QUICK, "--device", "first", "--sweep", "--json", *given)
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout) == json.loads(outputs[0].read_text())
    assert len(json.loads(done.stdout)["settings"]) == 11
    rows = list(csv.DictReader(outputs[1].read_text().splitlines()))
    assert (rows[0]["device"], rows[0]["cores"], rows[0]["threads"]) == ("first", "little", "1")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--compare", "--cores", "big"), "Leave out --cores, --compare."),
        (("--deadline-ms", "3"), "Leave out --deadline-ms."),
        (("--history", "h"), "Leave out --history."),
        (("--threads", "2"), "one file and one device"),
        (("--output", "page.html"), "--sweep writes .json and .csv"),
    ],
)
def test_a_sweep_refuses_what_it_has_no_use_for(given, message, small):
    done = run(small, "--device", "first", "--sweep", *given)
    assert isinstance(done.exception, OptionError)
    assert message in str(done.exception)
