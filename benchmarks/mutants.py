"""Damages .tflite files in the ways that disks, networks and attackers do, reproducibly from a seed."""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tfzip.tflite.flat import Bytes
from tfzip.tflite.reader import parse

HOSTILE = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class _Recorder(Bytes):
    """Remembers every place from which a number that steers the reader was read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.places: dict[int, int] = {}

    def unpack(self, form: struct.Struct, position: int) -> int:
        self.places[position] = form.size
        return super().unpack(form, position)


def steering_places(data: bytes) -> list[tuple[int, int]]:
    """Returns (position, size) of offsets, lengths, layouts and indices of a whole file."""
    recorder = _Recorder(data)
    parse(Path("original"), recorder)
    return sorted(recorder.places.items())


def mutants(originals: Mapping[str, bytes], count: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """Yields (name of the original, kind of damage, damaged bytes), the kinds and originals in turn."""
    rng = np.random.default_rng(seed)
    names = list(originals)
    places = {name: steering_places(data) for name, data in originals.items()}
    for number in range(count):
        name = names[number % len(names)]
        kind = list(_KINDS)[number // len(names) % len(_KINDS)]
        other = originals[names[int(rng.integers(len(names)))]]
        yield name, kind, bytes(_KINDS[kind](rng, bytearray(originals[name]), other, places[name]))


def _bit_flips(rng: np.random.Generator, data: bytearray, _: bytes, __: list) -> bytearray:
    for position in rng.integers(len(data), size=rng.integers(1, 9)):
        data[position] ^= 1 << int(rng.integers(8))
    return data


def _byte_run(rng: np.random.Generator, data: bytearray, _: bytes, __: list) -> bytearray:
    size = int(rng.integers(1, 257))
    begin = int(rng.integers(len(data)))
    fill = (bytes(size), b"\xff" * size, rng.bytes(size))[int(rng.integers(3))]
    data[begin : begin + size] = fill[: len(data) - begin]
    return data


def _truncation(rng: np.random.Generator, data: bytearray, _: bytes, __: list) -> bytearray:
    return data[: int(rng.integers(len(data)))]


def _splice(rng: np.random.Generator, data: bytearray, other: bytes, _: list) -> bytearray:
    size = int(rng.integers(4, max(5, len(data) // 4)))
    begin, source = int(rng.integers(len(data))), int(rng.integers(len(other)))
    replaced = size if rng.integers(2) else 0
    data[begin : begin + replaced] = other[source : source + size]
    return data


def _steering(rng: np.random.Generator, data: bytearray, _: bytes, places: list) -> bytearray:
    """Replaces one or two offsets, lengths or indices by extreme, random or nearly right numbers."""
    for choice in rng.integers(len(places), size=rng.integers(1, 3)):
        position, size = places[choice]
        old = int.from_bytes(data[position : position + size], "little")
        candidates = (HOSTILE[int(rng.integers(len(HOSTILE)))], int(rng.integers(1 << 32)), old + 1, old - 1)
        new = candidates[int(rng.integers(4))] % (1 << 8 * size)
        data[position : position + size] = new.to_bytes(size, "little")
    return data


_KINDS = {
    "bit flips": _bit_flips,
    "byte run": _byte_run,
    "truncation": _truncation,
    "splice": _splice,
    "steering field": _steering,
}
