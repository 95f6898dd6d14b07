"""Every sample of the spaces that are ready is a network that runs, trains and becomes a file."""

import keras
import numpy as np
import pytest

import tfzip
from tfzip.errors import OptionError
from tfzip.nas.spaces import mobilenet, resnet, sequence

READY = {
    "mobilenet": (mobilenet((32, 32, 3), 10), (32, 32, 3), 10),
    "resnet": (resnet((32, 32, 1), 4), (32, 32, 1), 4),
    "sequence": (sequence((40, 6), 3), (40, 6), 3),
}


@pytest.mark.parametrize("name", READY)
def test_samples_are_networks(name):
    networks, shape, outputs = READY[name]
    rng = np.random.default_rng(1)
    sizes = set()
    for _ in range(4):
        model = networks.build(networks.space.sample(rng))
        assert model(np.zeros((2, *shape), "float32")).shape == (2, outputs)
        sizes.add(tfzip.profile(model).macs)
    assert len(sizes) > 2


@pytest.mark.parametrize(
    "name", ["sequence", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mobilenet", "resnet"))]
)
def test_a_sample_trains_and_becomes_an_int8_file(name, tmp_path):
    networks, shape, outputs = READY[name]
    rng = np.random.default_rng(2)
    keras.utils.set_random_seed(0)
    model = networks.build(networks.space.sample(rng))
    x = rng.normal(size=(32, *shape)).astype("float32")
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, rng.integers(0, outputs, 32), verbose=0)
    artifact = tfzip.export(model, tmp_path / "m.tflite", scheme="int8", calibration=x)
    assert artifact.size_bytes > 0


def test_wider_and_deeper_choices_cost_more():
    networks = READY["mobilenet"][0]
    options = {name: list(one.options) for name, one in networks.space.parameters.items()}
    least = {name: values[0] for name, values in options.items()}
    for name in options:
        if name != "activation":
            more = networks.build({**least, name: options[name][-1]})
            assert tfzip.profile(more).macs > tfzip.profile(networks.build(least)).macs, name


def test_stages_that_do_not_exist_have_no_choices():
    space = READY["sequence"][0].space
    rng = np.random.default_rng(0)
    for _ in range(50):
        choices = space.sample(rng)
        stages = {name.split("_")[0] for name in choices if name.startswith("stage")}
        assert len(stages) == choices["depth"]
        for name, kind in choices.items():
            if name.endswith("_kind"):
                assert (name.replace("kind", "kernel") in choices) == (kind in ("convolution", "separable"))


def test_sizes_that_make_no_sense_are_refused():
    with pytest.raises(OptionError, match="multiple of 8"):
        sequence((40, 6), 3, widest=12)
