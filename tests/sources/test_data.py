"""What a data spec means, which rows land in which split, and what bad data says."""

import sys
import types

import numpy as np
import pytest

from tfzip.errors import DataError, OptionError, UnknownNameError
from tfzip.sources.data import load_data, num_rows
from tfzip.sources.datasets import datasets
from tfzip.sources.datasets.dataset import split_rows


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return str(path)

    return write


@pytest.fixture
def function(monkeypatch):
    def make(result):
        module = types.ModuleType("some_project")
        module.data = lambda: result
        monkeypatch.setitem(sys.modules, "some_project", module)
        return "some_project:data"

    return make


def ordered(n):
    return np.arange(n, dtype=np.float32)[:, None]


def test_bytes_become_floats_of_the_same_value(npz):
    images = np.arange(256, dtype=np.uint8).reshape(4, 64)
    x = load_data(npz(x=images)).x
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, np.arange(256).reshape(4, 64))


def test_divide_by_scales_every_split(npz):
    data = load_data(npz(x=np.full((20, 2), 255, np.uint8)), divide_by=255)
    for part in (data.x, data.x_train, data.x_val, data.x_test):
        assert (part == 1.0).all()


def test_token_inputs_stay_integers(npz):
    assert load_data(npz(x=np.ones((4, 3), np.int32))).x.dtype == np.int32


def test_x_is_every_row_of_a_source_without_splits(npz):
    data = load_data(npz(x=ordered(10), y=np.arange(10)))
    np.testing.assert_array_equal(data.x, ordered(10))
    np.testing.assert_array_equal(data.y, np.arange(10))


def test_splits_of_a_whole_source_share_no_row_and_lose_none(npz):
    data = load_data(npz(x=ordered(100), y=np.repeat([0, 1], 50)), seed=3)
    rows = np.concatenate([data.x_train, data.x_val, data.x_test]).ravel()
    assert sorted(rows) == list(range(100))
    assert [len(data.x_train), len(data.x_val), len(data.x_test)] == [72, 8, 20]


def test_the_test_split_does_not_depend_on_the_seed(npz):
    path = npz(x=ordered(100))
    first, second = load_data(path, seed=0), load_data(path, seed=1)
    np.testing.assert_array_equal(first.x_test, second.x_test)
    assert not np.array_equal(first.x_val, second.x_val)


def test_x_is_the_test_split_unless_another_is_named(npz):
    path = npz(x_train=ordered(10), y_train=np.zeros(10, int), x_test=-ordered(4), y_test=np.zeros(4, int))
    assert len(load_data(path).x) == 4
    assert len(load_data(path, split="train").x) == 9
    assert len(load_data(path + "#val", split="train").x) == 1


def test_a_validation_split_of_the_source_is_kept(npz):
    data = load_data(npz(x_train=ordered(10), x_val=ordered(3) + 50, x_test=ordered(4)))
    np.testing.assert_array_equal(data.x_val, ordered(3) + 50)
    assert len(data.x_train) == 10


def test_fields_choose_arrays_by_name(npz):
    path = npz(images=ordered(5), digit=np.arange(5), junk=np.zeros(2))
    data = load_data(path + "#x=images,y=digit")
    np.testing.assert_array_equal(data.y, np.arange(5))


def test_arrays_of_other_names_are_inputs_by_name(npz):
    data = load_data(npz(left=ordered(5), right=ordered(5) * 2, y=np.arange(5)))
    assert sorted(data.x) == ["left", "right"]
    np.testing.assert_array_equal(data.x["right"], ordered(5) * 2)
    assert num_rows(data.x) == 5


def test_a_column_of_labels_becomes_a_vector(npz):
    assert load_data(npz(x=ordered(5), y=np.zeros((5, 1), np.uint8))).y.shape == (5,)


def test_rows_are_split_in_the_same_proportion_of_every_class():
    labels = np.repeat([0, 1, 2], [40, 20, 10])
    kept, held = split_rows(labels, 70, 0.2, seed=5)
    assert np.bincount(labels[held]).tolist() == [8, 4, 2]
    assert sorted([*kept, *held]) == list(range(70))


@pytest.mark.parametrize(
    "result",
    [
        {"x": ordered(6), "y": np.arange(6)},
        (ordered(6), np.arange(6)),
        ordered(6),
        ((ordered(6), np.arange(6)), (ordered(6), np.arange(6))),
    ],
    ids=["dict", "pair", "array", "two pairs"],
)
def test_a_function_may_return_any_usual_form(function, result):
    assert len(load_data(function(result)).x) == 6


def test_digits_are_images_in_zero_to_one_with_every_class_in_every_split():
    data = load_data("sklearn:digits")
    assert data.x_train.shape[1:] == (8, 8, 1)
    assert data.x_train.dtype == np.float32
    assert data.x_train.min() == 0.0
    assert data.x_train.max() == 1.0
    assert len(data.x_train) + len(data.x_val) + len(data.x_test) == 1797
    for labels in (data.y_train, data.y_val, data.y_test):
        assert set(labels) == set(range(10))
    assert data.x is data.x_test


def test_keras_names_read_the_local_archive_first(tmp_path, monkeypatch):
    np.savez(
        tmp_path / "mnist.npz", x_train=ordered(5), y_train=np.arange(5), x_test=ordered(2), y_test=[0, 1]
    )
    monkeypatch.setenv("TFZIP_DATA", str(tmp_path))
    assert len(load_data("keras:mnist").x_test) == 2


def test_a_keras_set_that_cannot_be_fetched_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TFZIP_DATA", str(tmp_path))
    module = types.ModuleType("keras.datasets.mnist")

    def load_data_offline():
        raise Exception("URL fetch failure")

    module.load_data = load_data_offline
    monkeypatch.setitem(sys.modules, "keras.datasets.mnist", module)
    with pytest.raises(DataError, match=r"URL fetch failure.*mnist\.npz, or set TFZIP_DATA"):
        load_data("keras:mnist")


def test_an_unknown_keras_name_suggests_the_near_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TFZIP_DATA", str(tmp_path))
    with pytest.raises(UnknownNameError, match="Did you mean 'cifar10'"):
        load_data("keras:cifar1o")


def test_a_folder_of_images_is_read_in_order_and_resized(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs the images extra")
    for value, name in enumerate(["cat", "dog"]):
        (tmp_path / name).mkdir()
        for number in range(5):
            image.new("RGB", (10, 6), (value * 100, number, 7)).save(tmp_path / name / f"{number}.png")
    data = load_data(f"{tmp_path}#size=4x8")
    assert data.x.shape == (10, 4, 8, 3)
    assert data.x[7, 0, 0].tolist() == [100.0, 2.0, 7.0]
    assert data.y.tolist() == [0] * 5 + [1] * 5
    np.testing.assert_array_equal(load_data(tmp_path, size=(4, 8)).x, data.x)
    assert (
        load_data({"name": "folder", "path": str(tmp_path), "size": (2, 2), "grayscale": True}).x.shape[-1]
        == 1
    )


def test_a_folder_needs_a_size(tmp_path):
    with pytest.raises(DataError, match="size=96x96"):
        load_data(tmp_path)


def test_pillow_missing_is_said_with_the_command_to_install_it(tmp_path, monkeypatch):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'tfzip\[images\]'"):
        load_data(tmp_path, size=(4, 4))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.array([[1.0, np.nan]])}, "1 values that are not finite"),
        ({"x": np.zeros((0, 3))}, "is empty"),
        ({"x": ordered(4), "y": np.arange(3)}, r"differ in length \(x: 4, y: 3\)"),
        ({"a": ordered(4), "b": ordered(3)}, "#x=NAME,y=NAME"),
        ({"x_train": ordered(4)}, "no x_test"),
        ({"x": np.array(["a", "b"])}, "expected numbers"),
    ],
)
def test_bad_arrays_are_refused_with_the_reason(npz, arrays, message):
    with pytest.raises(DataError, match=message):
        load_data(npz(**arrays))


def test_an_archive_with_pickled_objects_is_refused(npz):
    with pytest.raises(DataError, match="cannot be read"):
        load_data(npz(x=np.array([{}, {}], dtype=object)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY" + b"\0" * 40])
def test_a_damaged_archive_is_refused(tmp_path, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        load_data(path)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("missing.npz", DataError, "no data file"),
        ("nowhere/at/all", DataError, "Expected one of"),
        ("sklean:digits", DataError, "Did you mean|cannot be imported"),
        ("tfzip.nothing:here", DataError, "cannot be imported"),
        ("sklearn:iris", UnknownNameError, "Known: digits"),
        ("sklearn:digits#tset", UnknownNameError, "Did you mean 'test'"),
        ("sklearn:digits#sise=3", OptionError, "no field"),
        ("sklearn:digits#size=3", OptionError, "height x width"),
    ],
)
def test_a_bad_spec_says_what_was_expected(spec, error, message):
    with pytest.raises(error, match=message):
        load_data(spec)


@pytest.mark.parametrize("options", [{"val_fraction": 1.0}, {"val_fraction": -0.1}, {"divide_by": 0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(OptionError, match="Received"):
        load_data("sklearn:digits", **options)


def test_every_source_is_documented_and_registered():
    assert list(datasets) == ["folder", "function", "keras", "npz", "sklearn"]
    for name in datasets:
        assert "Args:" in (datasets.type_of(name).__doc__ or "")
