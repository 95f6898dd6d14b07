"""What a file says of its layers survives, in old files and new ones, and damage is no error."""

import json

import pytest

from tfzip.schemes import SCHEMES, mixed_scheme
from tfzip.tflite.layer_list import layers_in, packed_layers, packed_widths, scheme_in

PATHS = [f"block_{index}/conv" for index in range(300)]


def test_paths_come_back_and_take_little_room():
    text = packed_layers(PATHS)
    assert layers_in({"layers": text}) == PATHS
    assert len(text) < len(json.dumps(PATHS)) / 3
    assert layers_in({"layers": packed_layers([])}) == []


def test_files_of_earlier_versions_are_read():
    assert layers_in({"layers": json.dumps(PATHS)}) == PATHS
    assert layers_in({}) == []


@pytest.mark.parametrize(
    "text", ["[1, 2", "[" * 100_000, "{}", "no base", packed_layers(PATHS)[:-9], "\u20ac"]
)
def test_damaged_paths_are_none(text):
    assert layers_in({"layers": text}) == []


@pytest.mark.parametrize("base", ["int8", "int8_weights", "w4a8"])
def test_a_mixed_scheme_comes_back(base):
    scheme = mixed_scheme(base, {"stem": 8, "head": 4})
    metadata = {"scheme": "mixed", "widths": packed_widths(scheme)}
    assert scheme_in(metadata) == scheme


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"scheme": "other"},
        {"widths": "?"},
        {"widths": "[]"},
        {"widths": '{"base": "int8", "bits": {"a": 5}}'},
    ],
)
def test_an_unknown_scheme_is_judged_as_float(metadata):
    assert scheme_in(metadata) == SCHEMES["float32"]


def test_a_known_scheme_is_found_by_its_name():
    assert scheme_in({"scheme": "w4a8"}) == SCHEMES["w4a8"]
