"""Converts a few small models once."""

import pytest

from tests.bench.files import convert, convolutions, loop, two_inputs


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="session")
def small(folder):
    return convert(convolutions(8), folder / "small.tflite")


@pytest.fixture(scope="session")
def large(folder):
    return convert(convolutions(48, repeats=3), folder / "large.tflite")


@pytest.fixture(scope="session")
def int16(folder):
    return convert(convolutions(8), folder / "int16.tflite", "int16")


@pytest.fixture(scope="session")
def int8(folder):
    return convert(convolutions(8), folder / "int8.tflite", "int8")


@pytest.fixture(scope="session")
def pair(folder):
    return convert(two_inputs(), folder / "pair.tflite")


@pytest.fixture(scope="session")
def lstm(folder):
    return convert(loop(), folder / "lstm.tflite")
