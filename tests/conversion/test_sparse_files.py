"""A file with sparse kernels is smaller and computes the same to the last bit; what stays dense is named."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from keras import layers

import tfzip
from tfzip.conversion import export as export_module
from tfzip.conversion.converters.sparse import store_sparse
from tfzip.tflite import read
from tfzip.tflite.unpacking import unpacked_constants, without_densify

RESOLVERS = (
    OpResolverType.AUTO,
    OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    OpResolverType.BUILTIN_REF,
)


def pruned(model, sparsity=0.9):
    """Zeros the smallest weights of every kernel; gives biases something to add."""
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        values = weight.numpy()
        if values.ndim > 1:
            weight.assign(np.where(abs(values) > np.quantile(abs(values), sparsity), values, 0))
        else:
            weight.assign(rng.normal(0, 0.1, values.shape))
    return model


def mlp():
    stack = [layers.Dense(96, activation="relu", name="wide"), layers.Dense(64, name="head")]
    return pruned(keras.Sequential([keras.Input((128,)), *stack]))


def convnet():
    x = keras.Input((8, 8, 32), name="image")
    y = layers.Conv2D(64, 1, activation="relu", name="pointwise")(x)
    y = layers.DepthwiseConv2D(5, padding="same", name="depthwise")(y)
    y = layers.Conv2D(32, 3, name="window")(y)
    return pruned(keras.Model(x, layers.Conv2DTranspose(32, 3, name="up")(y)))


def lstm():
    stack = [layers.LSTM(48, name="memory"), layers.Dense(32, name="head")]
    return pruned(keras.Sequential([keras.Input((5, 32)), *stack]))


BUILT = {"mlp": mlp, "convnet": convnet, "lstm": lstm}


@pytest.fixture(scope="module")
def model_of():
    made = {}

    def model(name):
        if name not in made:
            keras.utils.set_random_seed(0)
            made[name] = BUILT[name]()
        return made[name]

    return model


def data_for(model, rows=32):
    return np.random.default_rng(1).standard_normal((rows, *model.input_shape[1:])).astype("float32")


def exported(model, path, scheme, **options):
    ranges = {"calibration": data_for(model)} if scheme in ("int8", "int16x8", "uint8", "w4a8") else {}
    return tfzip.export(model, path, scheme=scheme, **ranges, **options)


def outputs(path, resolver):
    """Returns what the vendor's interpreter makes of four noisy inputs."""
    interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rng, results = np.random.default_rng(2), []
    for _ in range(4):
        values = rng.standard_normal(given["shape"]) * (1 if given["dtype"] == np.float32 else 60)
        interpreter.set_tensor(given["index"], values.astype(given["dtype"]))
        interpreter.invoke()
        results.append(interpreter.get_tensor(made["index"]))
    return np.stack(results)


def assert_same_outputs(dense, sparse):
    for resolver in RESOLVERS:
        one, other = outputs(dense, resolver), outputs(sparse, resolver)
        assert one.any()
        assert one.tobytes() == other.tobytes(), resolver


def kernels(path):
    """Returns the values of every constant of two axes or more, unpacked, by name."""
    graph = read(path)
    return {
        tensor.name: np.asarray(graph.constant(tensor))
        for subgraph in graph.subgraphs
        for tensor in unpacked_constants(subgraph).values()
        if len(tensor.shape) > 1
    }


@pytest.mark.parametrize(
    ("name", "scheme", "num_kernels", "at_most"),
    [
        ("mlp", "float32", 2, 0.3),
        ("mlp", "float16", 2, 0.45),
        ("mlp", "int16x8", 2, 0.6),
        ("convnet", "float32", 4, 0.3),
        ("convnet", "float16", 4, 0.4),
        ("convnet", "int8", 4, 0.55),
        ("convnet", "int16x8", 4, 0.55),
        ("convnet", "int8_weights", 1, 0.99),
        ("lstm", "float32", 3, 0.4),
    ],
)
def test_a_sparse_file_is_smaller_and_computes_the_same(
    model_of, tmp_path, name, scheme, num_kernels, at_most
):
    dense = exported(model_of(name), tmp_path / "dense.tflite", scheme)
    sparse = exported(model_of(name), tmp_path / "sparse.tflite", scheme, sparse=True)
    assert sparse.size_bytes < at_most * dense.size_bytes
    assert sparse.metadata["sparse"].startswith(f"{num_kernels} kernel")
    constants = [t for subgraph in read(sparse.path).subgraphs for t in subgraph.tensors if t.is_sparse]
    assert len(constants) == num_kernels
    assert_same_outputs(dense.path, sparse.path)
    one, other = kernels(dense.path), kernels(sparse.path)
    assert one.keys() == other.keys()
    for key, values in one.items():
        np.testing.assert_array_equal(values, other[key])


def test_constants_are_read_as_the_layers_hold_them(model_of, tmp_path):
    model = model_of("mlp")
    graph = read(exported(model, tmp_path / "sparse.tflite", "float32", sparse=True).path)
    by_shape = {tensor.shape: graph.constant(tensor) for tensor in graph.main.tensors if tensor.is_sparse}
    for layer in model.layers:
        np.testing.assert_array_equal(by_shape[layer.kernel.shape[::-1]], layer.kernel.numpy().T)
    assert "DENSIFY" not in [operator.name for operator in without_densify(graph).main.operators]


def test_the_size_saved_is_told(model_of, tmp_path):
    dense = exported(model_of("mlp"), tmp_path / "dense.tflite", "float32")
    sparse = exported(model_of("mlp"), tmp_path / "sparse.tflite", "float32", sparse=True)
    saved = int(sparse.metadata["sparse"].split()[2])
    assert abs(dense.size_bytes - sparse.size_bytes - saved) <= 64  # the entry in the metadata itself


@pytest.mark.parametrize(
    ("scheme", "reason"),
    [
        ("int8", "XNNPACK does not load FULLY_CONNECTED on int8 values"),
        ("int8_weights", "XNNPACK does not load FULLY_CONNECTED on float values"),
        ("w4a8", "not int4"),
        ("uint8", "not uint8"),
    ],
)
def test_kernels_that_stay_dense_are_named_with_the_reason(model_of, tmp_path, scheme, reason):
    artifact = exported(model_of("mlp"), tmp_path / "m.tflite", scheme, sparse=True)
    left = [finding for finding in artifact.findings if finding.kind == "left_dense"]
    assert [finding.layer for finding in left] == ["wide", "head"]
    assert all(reason in finding.cost for finding in left)
    assert artifact.metadata["sparse"] == "no kernel"
    for resolver in RESOLVERS:
        outputs(artifact.path, resolver)


def test_a_kernel_that_would_not_become_smaller_stays_dense(tmp_path):
    keras.utils.set_random_seed(0)
    model = pruned(keras.Sequential([keras.Input((8,)), layers.Dense(4, name="tiny")]))
    artifact = exported(model, tmp_path / "m.tflite", "float32", sparse=True)
    (finding,) = artifact.findings
    assert (finding.kind, finding.layer) == ("left_dense", "tiny")
    assert finding.cost.startswith("87.50 % zeros, stored dense: 128 B as it is")


def test_a_model_without_zeros_is_told_what_to_do(tmp_path):
    keras.utils.set_random_seed(0)
    model = pruned(keras.Sequential([keras.Input((64,)), layers.Dense(64, name="half")]), 0.5)
    artifact = exported(model, tmp_path / "m.tflite", "float32", sparse=True, strict=True)
    (finding,) = artifact.findings
    assert (finding.kind, finding.layer) == ("not_sparse", "half")
    assert "50.00 %" in finding.cost
    assert "PruningCallback(0.8)" in finding.cost
    assert not any(tensor.is_sparse for tensor in read(artifact.path).main.tensors)


def test_two_thirds_are_enough(tmp_path):
    keras.utils.set_random_seed(0)
    model = pruned(keras.Sequential([keras.Input((300,)), layers.Dense(100)]), 2 / 3 + 1e-4)
    assert exported(model, tmp_path / "m.tflite", "float32", sparse=True).metadata["sparse"][0] == "1"


def test_a_kernel_of_zeros_alone_and_a_shared_one_are_stored_sparse(tmp_path):
    keras.utils.set_random_seed(0)
    x = keras.Input((96,))
    shared = layers.Dense(96, activation="relu", name="shared")
    y = shared(shared(x))
    model = pruned(keras.Model(x, layers.Add()([y, layers.Dense(96, name="nothing")(x)])))
    model.get_layer("nothing").kernel.assign(np.zeros((96, 96)))
    dense = exported(model, tmp_path / "dense.tflite", "float32")
    sparse = exported(model, tmp_path / "sparse.tflite", "float32", sparse=True)
    assert sparse.metadata["sparse"].startswith("2 kernels")
    assert_same_outputs(dense.path, sparse.path)


def test_a_file_is_not_encoded_twice(model_of, tmp_path):
    artifact = exported(model_of("mlp"), tmp_path / "m.tflite", "float32", sparse=True)
    before = artifact.path.read_bytes()
    assert store_sparse(artifact.path).num_kernels == 0
    assert artifact.path.read_bytes() == before


def test_without_sparse_nothing_changes(model_of, tmp_path):
    artifact = exported(model_of("mlp"), tmp_path / "m.tflite", "float32")
    assert "sparse" not in artifact.metadata
    assert artifact.findings == ()


@pytest.mark.filterwarnings("ignore::UserWarning")  # the deprecated interpreter, in this process
def test_a_sparse_encoding_that_computes_something_else_is_not_written(model_of, tmp_path, monkeypatch):
    from tfzip.conversion.converters import sparse, tf_lite
    from tfzip.sandbox import resolve

    def wrong(path):
        stored = sparse.store_sparse(path)
        graph = read(path)
        tensor = next(tensor for tensor in graph.main.tensors if tensor.is_sparse)
        content = bytearray(path.read_bytes())
        content[tensor.data_offset + 3] ^= 0x40
        path.write_bytes(bytes(content))
        return stored

    monkeypatch.setattr(tf_lite, "store_sparse", wrong)
    monkeypatch.setattr(export_module, "run_isolated", lambda target, job: resolve(target)(job))
    target = tmp_path / "m.tflite"
    with pytest.raises(tfzip.errors.ConversionError, match="without sparse"):
        exported(model_of("mlp"), target, "float32", sparse=True)
    assert not target.exists()


def test_resnet_of_the_data_folder_is_smaller(data_folder, tmp_path):
    file = data_folder / "resnet8_cifar10.keras"
    if not file.exists():
        pytest.skip(f"no {file}")
    model = keras.models.load_model(file, compile=False)
    for weight in model.trainable_variables:
        values = weight.numpy()
        if values.ndim > 1:
            weight.assign(np.where(abs(values) > np.quantile(abs(values), 0.8), values, 0))
    for scheme in ("float32", "int8"):
        dense = exported(model, tmp_path / "dense.tflite", scheme)
        sparse = exported(model, tmp_path / "sparse.tflite", scheme, sparse=True)
        assert sparse.size_bytes < 0.6 * dense.size_bytes
        assert_same_outputs(dense.path, sparse.path)
