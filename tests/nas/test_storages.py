"""Storages that machines share: a real PostgreSQL, workers that die, a server that goes, the dashboard."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import tfzip
from tests.nas.postgres import Server, needs_postgres
from tests.nas.test_search import run
from tests.nas.worker import SPACE, value
from tfzip.errors import MissingDependencyError, OptionError
from tfzip.nas import patience
from tfzip.nas.evaluation import Evaluation
from tfzip.nas.strategies import RandomStrategy
from tfzip.nas.study import Study
from tfzip.nas.trial import Goal


@pytest.fixture
def server():
    started = Server()
    try:
        started.start()
        yield started
    finally:
        started.remove()


@needs_postgres
def test_four_workers_share_a_search_and_one_is_killed(server, tmp_path):
    fields = {"storage": server.url, "log": f"{tmp_path}/log", "trials": 40, "together": 4}
    workers = [run(**fields, kill_at=2), *(run(**fields) for _ in range(3))]
    results = [worker.communicate(timeout=180) for worker in workers]
    assert [one.returncode for one in workers] == [-signal.SIGKILL, 0, 0, 0], [error for _, error in results]
    assert {out for out, _ in results[1:]} == {results[1][0]}
    assert results[1][0].startswith("40 ")
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 40  # what the killed one had begun was tried by another
    assert len({line.split()[0] for line in lines}) == 4


def test_a_trial_that_two_workers_give_back_is_tried_again_once(tmp_path):
    storage, goal = tmp_path / "search.journal", Goal(("accuracy",))
    one, other = Study(storage, SPACE, goal), Study(storage, SPACE, goal)
    trial, choices = one.ask(RandomStrategy(), 0)
    other.refresh()
    one.give_back(trial.number, choices)
    other.give_back(trial.number, choices)  # it saw the trial when it was still running
    assert one.left(5) == (5, 0)
    again, sample = one.ask(RandomStrategy(), 0)
    assert sample == choices
    assert one.ask(RandomStrategy(), 0)[1] != choices
    one.give_back(again.number, None)
    one.tell(again, Evaluation({"accuracy": 1.0}), 0.1)  # given to another meanwhile: no error, no figure
    one.refresh()
    assert len(one.history) == 0


@needs_postgres
def test_a_server_that_goes_for_a_moment_costs_nothing(server):
    calls = []

    def objective(choices):
        calls.append(choices)
        if len(calls) == 5:
            server.stop()
            server.start()
        return value(choices)

    found = tfzip.search(SPACE, objective, trials=12, storage=server.url)
    assert len(found.trials) == len(calls) == 12


@needs_postgres
def test_a_server_that_stays_away_ends_the_search_with_nothing_lost(server, monkeypatch):
    calls = []
    monkeypatch.setattr(patience, "_WAITS_S", (0.05, 0.1))

    def objective(choices):
        calls.append(choices)
        if len(calls) == 5:
            server.stop()
        return value(choices)

    with pytest.raises(OptionError, match=r"127.0.0.1.*does not answer.*run the same search again"):
        tfzip.search(SPACE, objective, trials=12, storage=server.url)
    server.start()
    found = tfzip.search(SPACE, objective, trials=12, storage=server.url)
    assert len(found.trials) == 12
    assert len(calls) == 13  # the one whose end was not noted is tried again
    assert calls[4] == calls[5] or calls[4] in calls[5:]


def test_a_database_without_its_driver_is_refused():
    with pytest.raises(MissingDependencyError, match="driver that is not installed"):
        tfzip.search(SPACE, value, storage="mysql+mysqlconnector://user:secret@127.0.0.1/none")


@pytest.mark.skipif(
    shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent)) is None,
    reason="no optuna-dashboard",
)
def test_the_dashboard_reads_a_journal(tmp_path):
    tfzip.search(SPACE, value, trials=6, storage=tmp_path / "search.journal", constraints={"cost": 22})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "optuna-dashboard"), str(tmp_path / "search.journal")]
    options = ["--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            studies = _answer(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
            assert [study["study_name"] for study in studies] == ["tfzip"]
            detail = _answer(f"http://127.0.0.1:{port}/api/studies/{studies[0]['study_id']}?after=0")
        finally:
            process.terminate()
    assert len(detail["trials"]) == 6
    assert {one["name"] for one in detail["trials"][0]["params"]} == set(SPACE.parameters)


def _answer(url):
    for _ in range(150):
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return json.load(reply)
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} does not answer")
