"""Which layers are compared where nobody names them: the ends of stages."""

import keras
import pytest

from recipes.cifar10_networks import resnet8, teacher
from tests.distillation.small import Subclassed, network, samples
from tfzip.distillation.features import pair_features
from tfzip.graph import flatten

layers = keras.layers


def paired(one, other):
    """Returns the paths of the teacher's and the student's layers."""
    pairs = pair_features(flatten(one), flatten(other))
    return [(pair.teacher.path, pair.student.path) for pair in pairs]


def application(make):
    return make(weights=None, input_shape=(64, 64, 3), classes=3)


def strided(stride, *, prepared):
    """Returns three stages, of which the first has a stride, after layers that prepare the image."""
    x = inputs = keras.Input((32, 32, 3))
    if prepared:
        x = layers.ZeroPadding2D(1)(layers.Rescaling(1 / 255)(x))
    for index, width in enumerate((8, 16, 32)):
        padding = "valid" if prepared and not index else "same"
        x = layers.Conv2D(width, 3, 2 if index else stride, padding=padding)(x)
        x = layers.ReLU(name=f"s{index}_out")(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def test_a_convolution_before_the_pooling_of_the_next_stage_is_not_the_end_of_this_one():
    assert paired(teacher(), resnet8()) == [
        ("stem_out", "stage1_out"),
        ("stage1_second_out", "stage2_out"),
        ("stage2_second_out", "stage3_out"),
    ]


def test_prepared_images_are_no_features():
    one, other = strided(2, prepared=True), strided(1, prepared=False)
    assert paired(one, other) == [("s0_out", "s1_out"), ("s1_out", "s2_out")]


def test_padding_and_squeezed_branches_end_no_stage():
    efficient = application(keras.applications.EfficientNetB0)
    ends = [f"block{index}a_expand_activation" for index in (2, 3, 4, 6)]
    assert paired(efficient, efficient) == [(end, end) for end in (*ends, "top_activation")]
    mobile = application(keras.applications.MobileNetV2)
    ends = [f"block_{index}_expand_relu" for index in (1, 3, 6, 13)]
    assert paired(mobile, mobile) == [(end, end) for end in (*ends, "out_relu")]


def test_residual_stages_end_where_their_branches_have_met():
    resnet = application(keras.applications.ResNet50)
    ends = ["conv1_relu"] + [f"conv{index + 2}_block{count}_out" for index, count in enumerate((3, 4, 6, 3))]
    assert paired(resnet, resnet) == [(end, end) for end in ends]


def test_a_decoder_ends_the_stages_that_ways_lead_around():
    def u_net(width):
        x = inputs = keras.Input((16, 16, 2))
        skips = []
        for level in range(2):
            x = layers.Conv2D(width, 3, 2 if level else 1, "same", activation="relu", name=f"down{level}")(x)
            skips.append(x)
        x = layers.Conv2D(width, 3, 2, "same", activation="relu", name="deep")(x)
        for level in (1, 0):
            x = layers.Concatenate()([layers.UpSampling2D()(x), skips[level]])
            x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"up{level}")(x)
        return keras.Model(inputs, layers.Conv2D(3, 1)(x))

    assert sorted(paired(u_net(8), u_net(4))) == [("deep", "deep"), ("up0", "up0"), ("up1", "up1")]


def test_where_operations_end_a_stage_the_layer_before_is_compared():
    models = Subclassed(8), Subclassed(4)
    for model in models:
        model(samples(2)[0])
    assert [path.split("_")[0] for pair in paired(*models) for path in pair] == ["conv2d"] * 4


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_teacher_has_the_same_stages(frozen):
    one = network(8)
    one.trainable = not frozen
    assert paired(one, network(4)) == [("relu0", "relu0"), ("relu1", "relu1")]
