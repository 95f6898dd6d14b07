"""How many bytes a file has for any choice of widths, measured on two files of the model."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tfzip.conversion.export import export
from tfzip.schemes import Scheme, mixed_scheme
from tfzip.tflite import FileGraph, read
from tfzip.tflite.naming import layer_of_operator

FULL, NARROW = 8, 4
_ALIGNMENT = 16


@dataclass(frozen=True)
class SizeModel:
    """Bytes of the file by widths.

    Attributes:
        wide_bytes: Size of the file with all weights in 8 bits.
        narrow_bytes: Size with all weights in 4 bits that LiteRT takes in 4: the smallest there is.
        saved: Bytes that 4 instead of 8 bits save, by layer; layers that stay in 8 bits are not in it.
    """

    wide_bytes: int
    narrow_bytes: int
    saved: Mapping[str, int]

    def predict(self, widths: Mapping[str, int]) -> int:
        """Returns the size of the file for the bits of each layer; layers without a width have 8."""
        return self.wide_bytes - sum(self.saved.get(p, 0) for p, bits in widths.items() if bits == NARROW)


def measure_sizes(model: keras.Model, scheme: Scheme, layers: Sequence[str], **options: Any) -> SizeModel:
    """Exports the model twice, with all layers wide and with all narrow, and reads what that saves.

    Args:
        model: A built model.
        scheme: What the files have in common.
        layers: Paths of the layers with weights.
        **options: As for `export`: calibration, batch, io and so on.
    """
    with tempfile.TemporaryDirectory(prefix="tfzip-") as folder:
        sizes = []
        for bits in (FULL, NARROW):
            path = Path(folder) / f"{bits}.tflite"
            mixed = mixed_scheme(scheme, dict.fromkeys(layers, bits))
            sizes.append(export(model, path, scheme=mixed, **options).size_bytes)
        return SizeModel(sizes[0], sizes[1], _saved(read(path), layers))


def _saved(graph: FileGraph, layers: Sequence[str]) -> dict[str, int]:
    """Returns what each layer's 4-bit tensors save; one that several operations share counts once."""
    saved: dict[str, int] = {}
    seen: set[int] = set()
    for subgraph in graph.subgraphs:
        for operator in subgraph.operators:
            for tensor in subgraph.tensors_of(operator.inputs):
                if tensor.dtype != "int4" or tensor.data_offset in seen:
                    continue
                seen.add(tensor.data_offset)
                layer = layer_of_operator(graph, subgraph, operator, layer_paths=layers)
                if layer is not None:
                    gain = _aligned(tensor.num_elements) - _aligned(tensor.size_bytes)
                    saved[layer] = saved.get(layer, 0) + gain
    return saved


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
