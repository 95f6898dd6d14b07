"""`tfzip convert --sparse`, what every command makes of such a file, and the recipe's field."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers

import tfzip
from tests.cli.process import tfzip as run
from tfzip.cli.convert import command as convert
from tfzip.cli.inspect import command as inspect
from tfzip.errors import OptionError
from tfzip.recipe.steps.export import ExportStep


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pruned model, its dense file and its sparse one as the command line writes it."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 32), name="image")
    y = layers.Conv2D(64, 3, activation="relu", name="window")(x)
    y = layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(32, 1, name="pointwise")(y))
    model = keras.Model(x, layers.Dense(5, name="head")(y))
    for name in ("window", "pointwise"):
        kernel = model.get_layer(name).kernel
        values = kernel.numpy()
        kernel.assign(np.where(abs(values) > np.quantile(abs(values), 0.9), values, 0))
    path = tmp_path_factory.mktemp("sparse")
    model.save(path / "model.keras")
    tfzip.export(model, path / "dense.tflite")
    done = run("convert", path / "model.keras", "-o", path / "sparse.tflite", "--sparse")
    assert done.returncode == 0, done.stderr
    (path / "convert.txt").write_text(done.stdout)
    return path


def test_converting_tells_what_was_saved(folder):
    dense, sparse = ((folder / f"{name}.tflite").stat().st_size for name in ("dense", "sparse"))
    assert sparse < 0.5 * dense
    shown = (folder / "convert.txt").read_text()
    saved = int(shown.split("stored sparse: 2 kernels, ")[1].split()[0])
    assert abs(dense - sparse - saved) <= 64
    assert "Audit: every operation is built in and follows the scheme." in shown


def test_inspecting_charges_kernels_to_the_operations_that_compute(folder):
    dense, sparse = (tfzip.inspect(folder / f"{name}.tflite") for name in ("dense", "sparse"))
    assert [op.op for op in sparse.ops if op.op != "DENSIFY"] == [op.op for op in dense.ops]
    assert sparse.macs == dense.macs
    assert (sparse.num_sparse, dense.num_sparse) == (2, 0)
    assert sparse.sparse_bytes < 0.4 * sparse.unpacked_bytes
    assert sparse.unpacked_bytes == 4 * (9 * 32 * 64 + 64 * 32)
    for op in sparse.ops:
        twin = next((one for one in dense.ops if (one.op, one.layer) == (op.op, op.layer)), None)
        if op.op == "DENSIFY":
            assert (op.macs, op.weights_bytes, op.layer in ("window", "pointwise")) == (0, 0, True)
        else:
            assert twin is not None
            assert (op.macs, op.sparsity) == (twin.macs, pytest.approx(twin.sparsity))
    assert sparse.xnnpack_macs_fraction == dense.xnnpack_macs_fraction == 1.0
    assert sparse.weights_bytes == sum(op.weights_bytes for op in sparse.ops)


def test_inspecting_shows_sparse_tensors_and_totals(folder):
    shown = CliRunner().invoke(inspect, [str(folder / "sparse.tflite"), "--tensors"]).output
    assert "Sparse       2 constants in " in shown
    assert "float32 sparse constant" in shown
    assert "Metadata     sparse: 2 kernels" in shown
    found = json.loads(CliRunner().invoke(inspect, [str(folder / "sparse.tflite"), "--json"]).output)
    assert sum(tensor["is_sparse"] for tensor in found["tensors"][0]) == 2


def test_comparing_finds_the_same_as_for_the_dense_file(folder):
    model = keras.models.load_model(folder / "model.keras")
    images = np.random.default_rng(0).random((8, 8, 8, 32), np.float32)
    dense, sparse = (tfzip.compare(model, folder / f"{n}.tflite", images) for n in ("dense", "sparse"))
    assert [(op.op, op.layers, op.sqnr_db) for op in sparse.ops] == [
        (op.op, op.layers, op.sqnr_db) for op in dense.ops
    ]
    assert sparse.ops
    assert sparse.outputs == dense.outputs


def test_packing_gives_back_the_same_bytes(folder, tmp_path):
    packed = tfzip.pack(folder / "sparse.tflite", tmp_path / "small.tfzp")
    again = tfzip.unpack(packed, tmp_path / "again.tflite")
    assert again.read_bytes() == (folder / "sparse.tflite").read_bytes()


def test_benchmarking_takes_the_file(folder):
    files = [folder / "dense.tflite", folder / "sparse.tflite"]
    report = tfzip.benchmark(files, runs=20, launches=2, rounds=1, min_duration_s=0.01, warmup_s=0.01)
    assert [row.size_bytes for row in report.latencies] == [file.stat().st_size for file in files]


def test_sparse_and_a_largest_size_do_not_go_together(folder):
    arguments = ["model.keras", "-o", "m.tflite", "--sparse", "--scheme", "mixed", "--max-size", "9KB"]
    result = CliRunner().invoke(convert, arguments)
    assert isinstance(result.exception, OptionError)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(OptionError, match="do not go together"):
        tfzip.export_within(model, folder / "m.tflite", "9KB", calibration=np.zeros((4, 4)), sparse=True)
    with pytest.raises(OptionError, match="do not go together"):
        ExportStep(scheme="int8", max_size="9KB", sparse=True)
