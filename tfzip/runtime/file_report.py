"""What `inspect` finds: tensors, operations and the file as a whole."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tfzip.artifact import Finding
from tfzip.runtime.json_ready import json_ready
from tfzip.tflite.file_graph import Signature


@dataclass(frozen=True)
class TensorReport:
    """A tensor of a file.

    Attributes:
        index: Its number in its subgraph.
        name: As in the file.
        shape: Dimensions; -1 where the file leaves one open.
        dtype: NumPy-style name, also `"int4"`.
        scale: Value of one step of an integer tensor, the largest where channels differ; 0.0 when not
            quantized.
        zero_point: Integer that stands for 0.0 in the first channel.
        num_scales: How many scales it has: one for each channel, one, or none.
        size_bytes: Bytes in the file for constants, in memory for the others.
        is_constant: Whether its values are in the file.
        sparsity: Fraction of a constant's values that are zero; 0.0 for the others.
        is_sparse: Whether a constant is stored without its zeros; `size_bytes` are then of the values alone.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    num_scales: int
    size_bytes: int
    is_constant: bool
    sparsity: float
    is_sparse: bool = False


@dataclass(frozen=True)
class OpReport:
    """An operation of a file.

    Attributes:
        subgraph: Number of its subgraph; 0 is the main one.
        index: Its number in the subgraph, which is the order of execution.
        op: Its name, for example `"CONV_2D"`.
        layer: Path of the Keras layer it came from; empty when unknown.
        inputs: Numbers of the tensors it reads, without constants.
        outputs: Numbers of the tensors it writes.
        weights: Numbers of the constants it reads, through a DENSIFY that unpacks them too.
        weights_bytes: Their bytes in the file.
        macs: Multiply-accumulates of one inference, in the body of a loop over all its turns.
        sparsity: Fraction of zeros in its largest constant.
        runs_on: `"xnnpack"`, `"builtin"`, or empty when the runtime did not say (bodies of loops).
        options: Numeric options, as the schema calls them.
    """

    subgraph: int
    index: int
    op: str
    layer: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    weights: tuple[int, ...]
    weights_bytes: int
    macs: int
    sparsity: float
    runs_on: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FileReport:
    """All that can be said of a file without its model.

    Attributes:
        path: The file.
        size_bytes: Its size on the device.
        deflate_bytes: Its size to download: in an APK, which compresses with DEFLATE.
        sha256: Its digest.
        scheme: Name of the scheme that its metadata give; empty for files that tfzip did not export.
        metadata: What tfzip wrote into it, without the list of layers.
        signatures: Entry points with the numbers of their tensors.
        tensors: Tensors of each subgraph.
        ops: Operations of all subgraphs, the main one's first.
        weights_bytes: Bytes of all constants in the file.
        macs: Multiply-accumulates of one inference, with 1 for dimensions left open.
        arena_bytes: Memory the runtime plans for values between operations; None when it did not say.
        xnnpack_macs_fraction: Fraction of `macs` that XNNPACK is known to take; of the bodies of loops
            nothing is known, so they count as not taken. None when the runtime did not say or there are no
            `macs`.
        findings: What the audit found, for the scheme of the metadata.
        num_sparse: Constants stored in a sparse encoding.
        sparse_bytes: What these take in the file, with their indices.
        unpacked_bytes: What they take in memory, where DENSIFY unpacks them.
        runtime: What was asked about XNNPACK and memory: package and version.
        refusal: Why the runtime does not run the file; empty when it does.
    """

    path: str
    size_bytes: int
    deflate_bytes: int
    sha256: str
    scheme: str
    metadata: Mapping[str, str]
    signatures: tuple[Signature, ...]
    tensors: tuple[tuple[TensorReport, ...], ...]
    ops: tuple[OpReport, ...]
    weights_bytes: int
    macs: int
    findings: tuple[Finding, ...]
    num_sparse: int = 0
    sparse_bytes: int = 0
    unpacked_bytes: int = 0
    arena_bytes: int | None = None
    xnnpack_macs_fraction: float | None = None
    runtime: str = ""
    refusal: str = ""

    @property
    def has_open_shapes(self) -> bool:
        """Whether dimensions are left open; what depends on shapes is then told for 1 in their places."""
        return any(-1 in tensor.shape for tensors in self.tensors for tensor in tensors)

    def to_json(self) -> str:
        """Returns everything as a JSON object, keys as the fields here."""
        return json.dumps(json_ready(dataclasses.asdict(self)), indent=2, allow_nan=False)
