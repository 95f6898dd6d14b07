"""What widths cost in time on a device: measured, file against file, since it is not what one expects.

On x86 with XNNPACK a convolution with 4-bit weights takes several times as long as one with 8 bits.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from tfzip.bench import BenchmarkReport, benchmark
from tfzip.conversion.export import export
from tfzip.errors import OptionError
from tfzip.files import write_text
from tfzip.graph import flatten
from tfzip.precision.sizes import NARROW
from tfzip.quantization.weighted import weight_groups
from tfzip.schemes import Scheme, mixed_scheme
from tfzip.tables import table
from tfzip.tflite import read


@dataclass(frozen=True)
class LayerCost:
    """What 4 instead of 8 bits do to the time of a run, for one layer.

    Attributes:
        layer: Path of the layer.
        change_ms: Median of the file with this layer alone in 4 bits, less that of the file in 8 bits.
        low_ms: Lower end of the interval of the change.
        high_ms: Upper end.
    """

    layer: str
    change_ms: float
    low_ms: float
    high_ms: float

    @property
    def is_slower(self) -> bool:
        """Whether 4 bits are slower beyond the noise."""
        return self.low_ms > 0


@dataclass(frozen=True)
class CostTable:
    """Times of a model on a device.

    Attributes:
        device: What it was measured on, in words.
        base_ms: Median of a run with all weights in 8 bits.
        layers: Cost of narrowing each layer that LiteRT takes in 4 bits.
    """

    device: str
    base_ms: float
    layers: tuple[LayerCost, ...]

    @property
    def changes_ms(self) -> dict[str, float]:
        """Change of the time by layer."""
        return {cost.layer: cost.change_ms for cost in self.layers}

    def predict_ms(self, widths: Mapping[str, int]) -> float:
        """Returns the time of a run for the bits of each layer, as if layers did not influence each other."""
        changes = self.changes_ms
        return self.base_ms + sum(changes.get(path, 0.0) for path, bits in widths.items() if bits == NARROW)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the table as JSON and returns where."""
        return write_text(Path(path), json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "CostTable":
        """Reads what `save` wrote.

        Raises:
            OptionError: The file is missing or no such table.
        """
        try:
            fields = json.loads(Path(path).read_text())
            costs = tuple(LayerCost(**cost) for cost in fields.pop("layers"))
            return cls(**fields, layers=costs)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise OptionError(f"{path} is no table of costs as `save` writes them: {error}.") from error

    def __rich__(self) -> object:
        title = f"4 instead of 8 bits on {self.device}; a run in 8 bits takes {self.base_ms:.3g} ms"
        rows = [(c.layer, f"{c.change_ms:+.3g}", f"{c.low_ms:+.2g} to {c.high_ms:+.2g}") for c in self.layers]
        return table(("layer", ">change in ms", "interval"), rows, folding=("layer",), title=title)


def measure_costs(
    model: keras.Model,
    *,
    scheme: str | Scheme = "int8",
    calibration: Any = None,
    bench: Mapping[str, Any] | None = None,
    **options: Any,
) -> CostTable:
    """Measures what 4 bits cost each layer: a file with that layer alone in 4 bits against one in 8 bits.

    All files take turns in one paired benchmark. It takes an export and some seconds of runs for each layer.

    Args:
        model: A built model.
        scheme: Scheme of the file around the widths. Defaults to "int8".
        calibration: As for `export`. Defaults to None.
        bench: Arguments of `benchmark`: device, threads (one number), runs and so on. Defaults to None.
        **options: Further ones of `export`: batch, io, observer.

    Raises:
        ConversionError: The model cannot become a file.
        SandboxError: A file crashed the device's runtime.
    """
    paths = list(dict.fromkeys(group.path for group in weight_groups(flatten(model, batch=1))))
    with tempfile.TemporaryDirectory(prefix="tfzip-") as folder:
        files, narrowed = [Path(folder) / "base.tflite"], []
        export(model, files[0], scheme=mixed_scheme(scheme, {}), calibration=calibration, **options)
        for index, path in enumerate(paths):
            file = Path(folder) / f"{index}.tflite"
            mixed = mixed_scheme(scheme, {path: NARROW})
            export(model, file, scheme=mixed, calibration=calibration, **options)
            if any(tensor.dtype == "int4" for graph in read(file).subgraphs for tensor in graph.tensors):
                files.append(file)
                narrowed.append(path)
        return _table(benchmark(files, **(bench or {})), narrowed)


def _table(report: BenchmarkReport, narrowed: list[str]) -> CostTable:
    threads = report.plan.threads
    if len(threads) != 1:
        raise OptionError(f"Costs are measured with one number of threads. Received: {threads}.")
    base_ms = report.latencies[0].p50_ms
    costs = tuple(
        LayerCost(
            path, (verdict.ratio - 1) * base_ms, (verdict.low - 1) * base_ms, (verdict.high - 1) * base_ms
        )
        for path, verdict in zip(narrowed, report.verdicts, strict=True)
    )
    facts = report.environment
    many = f"{threads[0]} thread" + ("s" if threads[0] > 1 else "")
    device = f"{facts['cpu']}, {facts['runtime']} {facts['runtime_version']}, {many}"
    return CostTable(device, base_ms, costs)
