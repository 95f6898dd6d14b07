"""The history: what is added, what has changed, what is refused; CSV and the page with the chart."""

import csv
import io
import json
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import tfzip
from tests.bench.test_benchmark import QUICK
from tfzip.bench.history import (
    Change,
    Figure,
    add,
    changes_between,
    changes_in,
    compare,
    default_history,
    figures_of,
    stored,
)
from tfzip.errors import DataError

MAIN = "from tfzip.cli import main; main()"


@pytest.fixture(scope="module")
def report(small, large):
    return tfzip.benchmark([small, large], **QUICK)


def scaled(report, factor, **environment):
    """Returns a report whose latencies are larger by a factor."""
    times = ("p50_ms", "p50_low_ms", "p50_high_ms")
    latencies = [
        replace(one, **{name: factor * getattr(one, name) for name in times}) for one in report.latencies
    ]
    return replace(report, latencies=tuple(latencies), environment={**report.environment, **environment})


def test_every_report_is_kept_whole(report, tmp_path):
    path = tmp_path / "new" / "history.sqlite"
    assert add(report, path) == []
    add(report, path)
    assert [figure.name for figure in stored(path)] == ["small.tflite", "large.tflite"] * 2
    assert stored(path, "large.tflite")[0].value == report.latencies[1].p50_ms
    with sqlite3.connect(path) as database:
        (text,) = database.execute("SELECT report FROM reports").fetchone()
    assert json.loads(text) == json.loads(report.to_json())


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.5, "slower"), (0.5, "faster"), (1.0, "no difference"), (1.03, "no difference")]
)
def test_what_became_slower_is_said(factor, verdict, report, tmp_path):
    path = tmp_path / "history.sqlite"
    sharp = replace(  # a median without an interval, so that the margin alone decides
        report,
        latencies=tuple(
            replace(one, p50_low_ms=one.p50_ms, p50_high_ms=one.p50_ms) for one in report.latencies
        ),
    )
    add(sharp, path)
    changes = add(scaled(sharp, factor), path)
    assert [change.verdict for change in changes] == [verdict] * 2
    assert changes[0].ratio == pytest.approx(factor)
    assert "the same file" in str(changes[0])
    assert [str(change) for change in changes_in(stored(path))] == [str(change) for change in changes]


def test_intervals_that_meet_are_no_difference(report, tmp_path):
    wide = tuple(
        replace(one, p50_low_ms=one.p50_ms / 2, p50_high_ms=2 * one.p50_ms) for one in report.latencies
    )
    add(replace(report, latencies=wide), tmp_path / "h")
    changes = add(scaled(replace(report, latencies=wide), 1.5), tmp_path / "h")
    assert {change.verdict for change in changes} == {"no difference"}


def figure(sha256, position=0, report=0, **fields):
    device = json.dumps({"name": "host", "cpu": "test"})
    given = {"quantity": "p50_ms", "device": device, **fields}
    return Figure(
        "m.tflite",
        sha256,
        given["device"],
        1,
        given["quantity"],
        1.0,
        1.0,
        1.0,
        "2026-01-01",
        report,
        position,
    )


@pytest.mark.parametrize(
    ("earlier", "now", "pairs"),
    [
        ([], ["a", "b"], []),
        ([["a", "b"]], ["b", "a"], [("b", "b", 1), ("a", "a", 1)]),  # the same file wins over its place
        ([["a", "b"]], ["c", "d"], [("a", "c", 1), ("b", "d", 1)]),  # other files by their place
        ([["a"], ["b"]], ["a"], [("a", "a", 1)]),  # the other one stood elsewhere
        ([["a", "b"]], ["b", "c"], [("b", "b", 1)]),  # in the place of c was b, which is measured now
        ([["a"], ["b", "c"]], ["d", "e", "f"], [("b", "d", 2), ("c", "e", 2)]),
        ([["a", "a"], ["a"]], ["a", "a"], [("a", "a", 2), ("a", "a", 2)]),
    ],
)
def test_a_file_is_compared_with_itself_or_with_what_stood_in_its_place(earlier, now, pairs):
    before = [
        figure(sha, place, number)
        for number, shas in enumerate(earlier, start=1)
        for place, sha in enumerate(shas)
    ]
    after = [figure(sha, place) for place, sha in enumerate(now)]
    found = changes_between(before, after)
    assert [(one.before.sha256, one.after.sha256, one.before.report) for one in found] == pairs


def test_two_files_of_one_name_are_never_compared_with_each_other(report, tmp_path):
    first, second = report.latencies
    both = (replace(first, file="d1/m.tflite"), replace(second, file="d2/m.tflite"))
    add(replace(report, latencies=both), tmp_path / "h")
    assert changes_in(stored(tmp_path / "h")) == []
    changes = add(replace(report, latencies=both[::-1]), tmp_path / "h")
    assert [change.ratio for change in changes] == [1.0, 1.0]
    assert [(change.before.report, change.before.position) for change in changes] == [(1, 1), (1, 0)]
    assert len(changes_in(stored(tmp_path / "h"))) == 2


def test_what_is_compared_without_being_added_begins_no_history(report, tmp_path):
    assert compare(report, tmp_path / "h") == []
    assert not (tmp_path / "h").exists()
    add(report, tmp_path / "h")
    assert len(compare(report, tmp_path / "h")) == 2
    assert len(stored(tmp_path / "h")) == 2


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (
            {"name": "qemu", "core": "cortex-a53", "cpu": "cortex-a53", "fp16": True},
            "qemu:cortex-a53, half precision",
        ),
        (
            {"name": "android", "serial": "S1", "cores": "big", "cpu": "Tensor"},
            "android:S1, big cores (Tensor)",
        ),
        ({"name": "host", "memory_bytes": None, "cpu": None}, "host"),
        ({"name": "of_another_version", "x": "y"}, "of_another_version"),
    ],
)
def test_a_change_names_the_device(device, words):
    one = figure("a", device=json.dumps(device), quantity="instructions")
    text = str(Change(one, replace(one, value=2.0), "slower"))
    assert text.startswith(f"m.tflite on {words}, 1 thread(s): 2 instructions after 1")
    assert text.endswith("(the same file): more instructions, ratio 2.000")
    assert "slower" in str(Change(figure("a"), figure("a"), "slower"))


def test_another_processor_is_another_device(report, tmp_path):
    add(report, tmp_path / "h")
    assert add(scaled(report, 3.0, cpu="another"), tmp_path / "h") == []


def test_several_processes_add_at_once(report, tmp_path):
    threads = [threading.Thread(target=add, args=(report, tmp_path / "h")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stored(tmp_path / "h")) == 16


def test_what_is_no_history_is_left_alone(report, tmp_path):
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE theirs (x)")
    before = other.read_bytes()
    with pytest.raises(DataError, match="another program's database"):
        add(report, other)
    assert other.read_bytes() == before
    (tmp_path / "text").write_text("no database" * 100)
    with pytest.raises(DataError, match="cannot serve as a history"):
        add(report, tmp_path / "text")
    with pytest.raises(DataError, match="no history at"):
        stored(tmp_path / "none")
    with sqlite3.connect(tmp_path / "newer") as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(DataError, match="another version"):
        add(report, tmp_path / "newer")


def test_the_place_follows_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_history() == tmp_path / "tfzip" / "history.sqlite"


def test_csv_has_a_line_for_each_latency(report):
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert [float(row["p50_ms"]) for row in rows] == [one.p50_ms for one in report.latencies]
    assert {row["device"] for row in rows} == {"host"}
    phone = replace(report, device={"name": "android", "serial": "S1", "cores": "all"})
    assert next(csv.DictReader(io.StringIO(phone.to_csv())))["device"] == "android:S1"


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.references = [], []

    def handle_starttag(self, tag, attributes):
        self.found.append(tag)
        self.references += [value for name, value in attributes if name in ("src", "href")]


def test_the_page_stands_alone(report, tmp_path):
    odd = replace(report, latencies=(replace(report.latencies[0], file="<b>.tflite"),))
    page, tags = odd.save(tmp_path / "page.html").read_text(), Tags()
    tags.feed(page)
    assert tags.references == []
    assert "b" not in tags.found  # names are text
    assert tags.found.count("rect") == 1


def run(*arguments):
    command = [sys.executable, "-c", MAIN, "bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_keeps_and_compares(small, tmp_path):
    history, quick = tmp_path / "h", ("--runs", 20, "--launches", 2)
    outputs = [tmp_path / f"out.{kind}" for kind in ("json", "csv", "html")]
    given = [word for output in outputs for word in ("--output", output)]
    first = run(small, *quick, "--history", history, "--compare", *given)
    assert "No file of these names was measured before" in first.stdout, first.stderr
    assert all(output.stat().st_size for output in outputs)
    assert "ratio" in run(small, *quick, "--history", history, "--compare").stdout
    assert "ratio" in run("--compare", "--history", history).stdout
    run(small, *quick, "--no-history", "--history", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert "Name a .tflite file" in run().stderr


def test_figures_of_a_report_are_its_medians(report):
    assert [figure.value for figure in figures_of(report)] == [one.p50_ms for one in report.latencies]
