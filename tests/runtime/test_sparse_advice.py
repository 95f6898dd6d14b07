"""The advice on sparse inference: what applies, and each thing that blocks, by name."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers, ops

import tfzip
from tests.tflite.files import converted
from tfzip.cli.inspect import command
from tfzip.conversion import export as export_module
from tfzip.errors import FileFormatError
from tfzip.runtime.sparse_advice import advise
from tfzip.sandbox import Sandbox


@pytest.fixture(scope="module", autouse=True)
def _one_child():
    with Sandbox() as child, pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_module, "run_isolated", child.call)
        yield


def stem(**options):
    return layers.Conv2D(8, 3, **{"strides": 2, "name": "stem"} | options)


def even(x, first=None):
    return (first or stem())(layers.ZeroPadding2D(1)(x))


def body(x):
    x = layers.ReLU(6.0, name="relu")(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x))
    y = layers.Conv2D(96, 1, activation="relu", name="expand")(x)
    y = layers.DepthwiseConv2D(5, strides=2, name="wide")(layers.ZeroPadding2D(2)(y))
    return layers.Conv2D(96, 1, name="project")(y)


def end(x):
    return layers.Dense(5, name="head")(layers.Flatten()(layers.GlobalAveragePooling2D(keepdims=True)(x)))


def network(begin=even, middle=body, last=end, channels=3):
    keras.utils.set_random_seed(0)
    x = keras.Input((16, 16, channels))
    return keras.Model(x, last(middle(begin(x))))


def pruned(model, sparsity=0.8):
    for layer in model.layers:
        if type(layer) is layers.Conv2D and tuple(layer.kernel_size) == (1, 1):
            kernel = layer.kernel.numpy()
            layer.kernel.assign(np.where(abs(kernel) > np.quantile(abs(kernel), sparsity), kernel, 0))
    return model


@pytest.fixture(scope="module")
def advice_for(tmp_path_factory):
    folder = tmp_path_factory.mktemp("advice")

    def advice(model, sparsity=0.8, **options):
        path = folder / f"{len(list(folder.iterdir()))}.tflite"
        tfzip.export(pruned(model, sparsity), path, **{"sparse": True} | options)
        return advise(str(path))

    return advice


def test_a_network_within_the_rule_is_told_so(advice_for):
    advice = advice_for(network())
    assert advice.blockers == ()
    assert advice.applies
    assert [op for op, _ in advice.ops] == [
        *("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "MEAN"),
    ]
    assert [layer for _, layer in advice.ops][:3] == ["stem", "depthwise", "expand"]
    assert advice.zeros == pytest.approx(0.8, abs=0.002)


def test_what_the_rule_does_not_cover_is_always_said(advice_for):
    notes = " ".join(advice_for(network()).warnings)
    assert "x86 processors with AVX" in notes
    assert "int8" in notes
    assert "measure on the device" in notes


def with_middle(block):
    return network(middle=lambda x: body(block(x)))


def squeeze(x):
    """Squeeze and excitation, which the rule takes."""
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.Conv2D(8, 1, activation="sigmoid", name="gate")(y)
    return layers.Multiply(name="scale")([x, y])


@pytest.mark.parametrize("block", [squeeze, lambda x: layers.Add()([x, layers.Conv2D(8, 1)(x)])])
def test_branches_that_meet_again_are_taken(advice_for, block):
    advice = advice_for(with_middle(block))
    assert advice.applies, str(advice)


@pytest.mark.parametrize(
    ("model", "op", "layer", "why"),
    [
        (
            lambda: network(begin=lambda x: stem(padding="same")(x)),
            "CONV_2D",
            "stem",
            "padding 'same' with strides, where 1 on each side is wanted",
        ),
        (
            lambda: network(begin=lambda x: stem()(layers.ZeroPadding2D(((2, 0), (2, 0)))(x))),
            "CONV_2D",
            "stem",
            "padding of top 2, bottom 0, left 2, right 0, where 1 on each side is wanted",
        ),
        (lambda: network(begin=lambda x: even(x, stem(strides=1))), "CONV_2D", "stem", "has not stride 2"),
        (
            lambda: network(channels=4),
            "CONV_2D",
            "stem",
            "a 3x3x4 kernel where 3x3x3 is wanted",
        ),
        (
            lambda: with_middle(lambda x: layers.Conv2D(8, 3, padding="same", name="window")(x)),
            "CONV_2D",
            "window",
            "it is a 3x3 convolution where 1x1 is wanted",
        ),
        (
            lambda: with_middle(lambda x: layers.Conv2D(8, 1, strides=2, name="skip")(x)),
            "CONV_2D",
            "skip",
            "a 1x1 convolution with strides",
        ),
        (
            lambda: with_middle(lambda x: layers.DepthwiseConv2D(3, name="bare")(x)),
            "DEPTHWISE_CONV_2D",
            "bare",
            "padding of top 0",
        ),
        (
            lambda: with_middle(lambda x: layers.DepthwiseConv2D(7, padding="same", name="big")(x)),
            "DEPTHWISE_CONV_2D",
            "big",
            "neither 3x3 nor 5x5",
        ),
        (
            lambda: with_middle(
                lambda x: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="many")(x)
            ),
            "DEPTHWISE_CONV_2D",
            "many",
            "several channels of one",
        ),
        (
            lambda: with_middle(lambda x: layers.MaxPooling2D(2, name="pool")(x)),
            "MAX_POOL_2D",
            "pool",
            "there is no sparse kernel",
        ),
        (
            lambda: with_middle(lambda x: layers.Activation("tanh", name="tanh")(x)),
            "TANH",
            "tanh",
            "there is no sparse kernel",
        ),
        (
            lambda: network(last=lambda x: layers.Dense(5)(layers.GlobalAveragePooling2D(name="mean")(x))),
            "MEAN",
            "mean",
            "drops the axes",
        ),
        (
            lambda: network(last=lambda x: layers.Dense(5)(layers.Flatten()(x))),
            "CONV_2D",
            "project",
            "nothing averages its result",
        ),
    ],
)
def test_every_blocker_is_named_with_its_layer_and_a_remedy(advice_for, model, op, layer, why):
    advice = advice_for(model())
    assert not advice.applies
    (blocker,) = advice.blockers
    assert (blocker.op, blocker.layer) == (op, layer)
    assert why in blocker.why
    assert blocker.remedy


def test_an_odd_size_gets_another_remedy_since_the_converter_undoes_the_padding(advice_for):
    def middle(x):
        y = layers.Cropping2D(((0, 1), (0, 1)), name="crop")(x)
        return body(y)

    blockers = advice_for(network(middle=middle)).blockers
    assert [blocker.layer for blocker in blockers] == ["crop", "wide"]
    assert "size is even" in blockers[1].remedy


def test_a_value_that_leaves_the_subgraph_blocks(advice_for):
    x = keras.Input((16, 16, 3))
    inside = even(x)
    model = keras.Model(x, [end(body(inside)), ops.max(inside, axis=(1, 2))])
    (blocker,) = advice_for(model).blockers
    assert blocker.layer == "stem"
    assert "outside the subgraph" in blocker.why


def test_a_value_from_outside_the_subgraph_blocks(advice_for):
    x, other = keras.Input((16, 16, 3)), keras.Input((8, 8, 8))
    model = keras.Model([x, other], end(body(layers.Add(name="join")([even(x), other]))))
    (blocker,) = advice_for(model).blockers
    assert blocker.layer == "join"
    assert "from outside" in blocker.why


def test_too_few_zeros_block(advice_for):
    advice = advice_for(network(), sparsity=0.5)
    assert [blocker.why for blocker in advice.blockers] == [
        "50.0 % of the weights of 1x1 convolutions are zero, more than 66.7 % are needed",
        "no kernel is stored sparse",
    ]


def test_kernels_stored_dense_block(advice_for):
    (blocker,) = advice_for(network(), sparse=False).blockers
    assert (blocker.why, blocker.remedy) == ("no kernel is stored sparse", "export with sparse=True")


def test_integers_block(advice_for):
    data = np.random.default_rng(0).random((16, 16, 16, 3), np.float32)
    advice = advice_for(network(), scheme="int8", calibration=data)
    assert "it computes on int8" in [blocker.why for blocker in advice.blockers]


def test_half_precision_is_taken(advice_for):
    assert advice_for(network(), scheme="float16").applies


@pytest.mark.slow
def test_keras_mobilenet_applies_after_the_rewrite_and_not_before(advice_for):
    model = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, weights=None, classes=5)
    before = advice_for(model)
    assert [blocker.layer for blocker in before.blockers][:2] == ["Conv1", "block_1_depthwise"]
    assert all("prepare_for_sparse" in blocker.remedy for blocker in before.blockers)
    assert advice_for(tfzip.prepare_for_sparse(model)).applies


def test_a_file_without_convolutions_is_not_covered(advice_for):
    model = keras.Sequential([keras.Input((64,)), layers.Dense(64)])
    assert [blocker.why for blocker in advice_for(model).blockers] == ["the file has no convolution"]


@pytest.mark.parametrize("name", ["float32", "int8", "lstm", "island"])
def test_any_file_gets_an_answer(name):
    assert not advise(str(converted(name))).applies


def test_a_file_that_is_none_is_one_error(tmp_path):
    path = tmp_path / "no.tflite"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(FileFormatError, match="no.tflite"):
        tfzip.sparse_advice(path)


def test_the_command_says_it_in_lines_and_in_json():
    path = str(converted("float32"))
    shown = CliRunner().invoke(command, [path, "--sparse-advice"])
    assert shown.exit_code == 0
    assert shown.output.startswith(f"XNNPACK's sparse inference does not apply to {path}\nSubgraph: ")
    assert "Blocked by CONV_2D " in shown.output
    assert "Note: On x86 processors with AVX" in shown.output
    found = json.loads(CliRunner().invoke(command, [path, "--sparse-advice", "--json"]).output)
    assert found["applies"] is False
    assert found["blockers"][0]["remedy"]
