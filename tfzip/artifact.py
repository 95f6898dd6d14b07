"""A .tflite file with its facts: what export returns and what compare and benchmark take."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class TensorSpec:
    """The name, shape and number format of an input or output of a file.

    Attributes:
        name: Name in the signature, as the Keras model calls it.
        shape: Dimensions; -1 where the file leaves one open.
        dtype: NumPy name, for example `"int8"`.
        scale: Value of one step of an integer tensor; 0.0 for floats.
        zero_point: Integer that stands for 0.0.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    def fits(self, shape: Sequence[int], *, any_rows: bool = False) -> bool:
        """Whether an array of a shape can be held; a dimension left open holds any size.

        Args:
            shape: Dimensions of the array.
            any_rows: Whether the first dimension does not matter, since rows are cut into batches later.
                Defaults to False.
        """
        first = 1 if any_rows else 0
        pairs = zip(self.shape[first:], shape[first:], strict=False)
        return len(shape) == len(self.shape) and all(want in (-1, have) for want, have in pairs)


@dataclass(frozen=True)
class Finding:
    """Something in a file that costs speed or did not follow the scheme.

    Attributes:
        kind: `"float_island"`, `"flex_op"`, `"custom_op"`, `"unquantized_weight"`, `"kept_wider"` (weights
            in 8 bits where the scheme has 4 and LiteRT no kernel), `"huge_step"`, `"wrong_bias"`, or, of
            files exported sparse, `"left_dense"` (a kernel of many zeros stored with them) or `"not_sparse"`
            (no kernel has many).
        op: Name of the operation in the file, for example `"EXP"`.
        layer: Path of the Keras layer it came from, or its tensor's name when no layer matches.
        cost: What it costs, in words with units.
    """

    kind: str
    op: str
    layer: str
    cost: str


@dataclass(frozen=True)
class Artifact:
    """A file on disk and what is known about it.

    Attributes:
        path: Where it is.
        scheme: Name of the scheme it was exported with; empty when the file does not say.
        size_bytes: Size of the file.
        sha256: Digest of the file.
        inputs: Inputs in the order of the signature.
        outputs: Outputs in the order of the signature.
        findings: What the audit found.
        metadata: What the file says of itself: version, scheme, recipe, source digest.
    """

    path: Path
    scheme: str
    size_bytes: int
    sha256: str
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    findings: tuple[Finding, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __fspath__(self) -> str:
        return str(self.path)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Returns the hexadecimal SHA-256 of a file, or of a folder's files in order of their relative names."""
    root, digest = Path(path), hashlib.sha256()
    files = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
    for file in files:
        if root.is_dir():
            digest.update(str(file.relative_to(root)).encode() + b"\0")
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
