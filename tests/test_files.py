"""Files are whole or not there."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tfzip.files import written_beside


def test_what_is_written_beside_a_file_takes_its_place(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with written_beside(target) as partial:
        partial.write_text("new")
        assert (partial.parent, target.read_text()) == (tmp_path, "old")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def write_and_stop(target):
    with written_beside(target) as partial:
        partial.write_text("ne")
        raise ValueError("half-way")


def test_a_block_that_raises_leaves_the_file_and_nothing_beside_it(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ValueError, match="half-way"):
        write_and_stop(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_several_threads_write_one_file_at_once(tmp_path):
    target, together = tmp_path / "a.txt", threading.Barrier(2)

    def write(text):
        with written_beside(target) as partial:
            partial.write_text(text)
            together.wait(10)

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, ("one", "two")))
    assert target.read_text() in ("one", "two")
    assert list(tmp_path.iterdir()) == [target]
