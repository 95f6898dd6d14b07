"""A run leaves its results once, and being killed, changed or damaged makes no difference to them."""

import fcntl
import json
import signal
import subprocess
import sys
import time

import pytest

from tests.recipe.runs import TINY, facts_of, write_recipe
from tfzip.artifact import sha256_of
from tfzip.errors import OptionError
from tfzip.sandbox import Sandbox

RUN = "tests.recipe.runs:run"


@pytest.fixture(scope="module")
def child():
    with Sandbox(timeout_s=280) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def finished(child, tmp_path_factory):
    """A finished run: its recipe, folder, report and progress."""
    place = tmp_path_factory.mktemp("finished")
    recipe = write_recipe(place / "tiny.toml")
    report, lines = child.call(RUN, recipe, str(place / "run"))
    return recipe, place / "run", report, lines


def test_a_run_leaves_files_records_and_reports(finished):
    _, folder, report, _ = finished
    assert [record.step for record in report.steps] == ["train", "prune", "export", "evaluate", "compare"]
    assert report.file == folder / "03-export" / "tiny_int8.tflite"
    assert sha256_of(report.file) == report.steps[2].facts["sha256"]
    saved = json.loads((folder / "report.json").read_text())
    assert saved["seed"] == 5
    assert saved["recipe"]["steps"][1]["schedule"]["power"] == 3.0
    assert saved["versions"]["keras"]
    assert saved["steps"][0]["facts"]["history"][2]["loss"] < saved["steps"][0]["facts"]["history"][0]["loss"]
    page = report.report_path.read_text()
    assert "| size | " in page
    assert "50.00 %" in page
    assert not list(folder.rglob("*.partial")) + list(folder.rglob("restart.npz"))


def test_a_finished_run_is_not_done_again(child, finished):
    recipe, folder, report, _ = finished
    before = {file: file.stat().st_mtime_ns for file in folder.glob("*/*")}
    again, lines = child.call(RUN, recipe, str(folder))
    assert all("done before" in line for line in lines)
    assert again.steps == report.steps
    assert {file: file.stat().st_mtime_ns for file in folder.glob("*/*")} == before


def test_a_changed_step_is_done_again_and_it_is_said(child, finished, tmp_path):
    recipe, folder, report, _ = finished
    changed = write_recipe(tmp_path / "tiny.toml", TINY.replace("samples = 100", "samples = 50"))
    again, lines = child.call(RUN, changed, str(folder))
    assert all("done before" in line for line in lines[:4])
    assert lines[4] == "[5/5] compare: again, since samples changed from 100 to 50"
    assert again.steps[:4] == report.steps[:4]
    back, _ = child.call(RUN, recipe, str(folder))
    assert facts_of(back) == facts_of(report)


def test_a_damaged_file_is_made_again(child, finished):
    recipe, folder, report, _ = finished
    report.file.write_bytes(b"not what it was")
    again, lines = child.call(RUN, recipe, str(folder))
    assert any(line == "[3/5] export: again, since tiny_int8.tflite is missing or damaged" for line in lines)
    assert any(line.startswith("[5/5] compare: again, since") for line in lines)
    assert facts_of(again) == facts_of(report)


def test_steps_that_a_recipe_no_longer_has_leave_no_folder(child, tmp_path):
    train = TINY.partition('\n\n[[steps]]\nstep = "prune"')[0].replace("epochs = 3", "epochs = 1")
    recipe = write_recipe(tmp_path / "tiny.toml", train + '\n[[steps]]\nstep = "evaluate"\n')
    child.call(RUN, recipe, str(tmp_path / "run"))
    assert (tmp_path / "run" / "02-evaluate").exists()
    _, lines = child.call(RUN, write_recipe(recipe, train), str(tmp_path / "run"))
    assert not (tmp_path / "run" / "02-evaluate").exists()
    assert len(lines) == 1
    assert "done before" in lines[0]
    _, lines = child.call(RUN, recipe, str(tmp_path / "run"), fresh=True)
    assert lines[0] == "[1/1] train ..."


def test_a_second_run_in_the_same_folder_is_refused(child, finished):
    recipe, folder, _, _ = finished
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OptionError, match=r"Another run works in .*--output"):
            child.call(RUN, recipe, str(folder))


def test_a_folder_with_other_things_is_not_touched(child, finished, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OptionError, match=r"thesis\.tex.*--output"):
        child.call(RUN, finished[0], str(tmp_path))
    other = write_recipe(tmp_path / "other.toml", TINY.replace('"tiny"', '"other"'))
    with pytest.raises(OptionError, match="holds a run of the recipe 'tiny', not of 'other'"):
        child.call(RUN, other, str(finished[1]))
    with pytest.raises(OptionError, match="is a file"):
        child.call(RUN, other, str(tmp_path / "thesis.tex"))
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_run_killed_at_any_point_goes_on_to_the_same_result(child, finished, tmp_path):
    recipe, _, report, _ = finished
    folder = tmp_path / "killed"
    for moment in ("01-train/restart.npz", "02-prune/restart.npz", "03-export"):
        kill_when_there(folder / moment, [recipe, str(folder)])
        assert not (folder / "report.json").exists()
    last, lines = child.call(RUN, recipe, str(folder))
    assert "[2/5] prune: done before" in lines[1]
    assert facts_of(last) == facts_of(report)
    assert sha256_of(last.file) == sha256_of(report.file)
    assert not list(folder.rglob("*.partial"))


def kill_when_there(moment, arguments):
    """Starts the command and kills it with SIGKILL as soon as a path exists."""
    recipe, folder = arguments
    call = ["run", recipe, "--output", folder]
    process = subprocess.Popen(
        [sys.executable, "-c", "from tfzip.cli import main; main()", *call],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not moment.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    output = "".join(process.communicate())
    assert process.returncode == -signal.SIGKILL, output


def test_a_window_longer_than_the_training_is_said_in_the_summary_of_the_step(child, tmp_path):
    prune = 'step = "prune"\nepochs = 1\nbatch_size = 512\nwindow = { end = 2 }\n'
    text = TINY.partition("\n\n[[steps]]\n")[0] + "\n[[steps]]\n" + prune
    report, lines = child.call(RUN, write_recipe(tmp_path / "tiny.toml", text), str(tmp_path / "run"))
    said = "; the window ends after the training, before the target 50.00 %"
    assert report.steps[0].summary.endswith(said)
    assert said in lines[-1]
    assert report.steps[0].facts["pruning"]["reached"] < report.steps[0].facts["pruning"]["target"]
