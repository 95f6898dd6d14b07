"""The base of all costs, and the network that they are asked of."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfzip.registry import Registry

if TYPE_CHECKING:
    import keras

    from tfzip.bench.devices import Device
    from tfzip.bench.report import BenchmarkReport
    from tfzip.graph.profile import ModelProfile
    from tfzip.runtime.file_report import FileReport


@dataclass
class Candidate:
    """A network, and its file as soon as a cost asks for it.

    Args:
        model: A built model.
        folder: Where its file may lie.
        scheme: Number formats of the file. Defaults to `"float32"`.
        device: Where the file is measured, as for `tfzip.benchmark`. Defaults to `"host"`.
        calibration: Samples for schemes that need them. Defaults to none.
        bench: Fields of `BenchPlan`. Defaults to none.
    """

    model: "keras.Model"
    folder: Path
    scheme: str = "float32"
    device: "str | Mapping[str, Any] | Device" = "host"
    calibration: Any = None
    bench: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def profile(self) -> "ModelProfile":
        """What its graph says."""
        from tfzip.graph.profile import profile

        return profile(self.model)

    @cached_property
    def path(self) -> Path:
        """The exported file."""
        from tfzip.conversion.export import export

        given = {} if self.calibration is None else {"calibration": self.calibration}
        return Path(export(self.model, self.folder / "candidate.tflite", scheme=self.scheme, **given).path)

    @cached_property
    def report(self) -> "FileReport":
        """What the file says."""
        from tfzip.runtime.inspect import inspect

        return inspect(self.path)

    @cached_property
    def measured(self) -> "BenchmarkReport":
        """What the file costs on the device."""
        from tfzip.bench import benchmark

        return benchmark(self.path, device=self.device, **self.bench)


class Cost(ABC):
    """A figure of a network; its registered name is that of the metric."""

    @abstractmethod
    def of(self, candidate: Candidate) -> float:
        """Returns the figure, in the unit that its name ends in."""


costs: Registry[Cost] = Registry("Cost")


def costs_of(
    model: "keras.Model",
    names: Sequence[str],
    *,
    scheme: str = "float32",
    device: "str | Mapping[str, Any] | Device" = "host",
    calibration: Any = None,
    **bench: Any,
) -> dict[str, float]:
    """Returns what a network costs, for the objective of a search; what needs a file is asked of the file.

    Args:
        model: A built model.
        names: Which costs: `"macs"`, `"parameters"`, `"file_bytes"`, `"arena_bytes"`, `"latency_ms"`,
            `"instructions"`.
        scheme: Number formats of the file. Defaults to `"float32"`.
        device: Where times and instructions are measured. Defaults to `"host"`.
        calibration: Samples for schemes that need them. Defaults to none.
        **bench: Fields of `BenchPlan`, such as `runs`.

    Returns:
        Figure by name.

    Raises:
        UnknownNameError: There is no such cost.
        TfzipError: The model cannot be exported or measured.

    Example:
        >>> tfzip.costs_of(model, ["macs", "latency_ms"], scheme="int8", device="android", calibration=images)
    """
    asked = {name: costs.get(name) for name in names}
    with tempfile.TemporaryDirectory(prefix="tfzip-") as folder:
        candidate = Candidate(model, Path(folder), scheme, device, calibration, bench)
        return {name: float(cost.of(candidate)) for name, cost in asked.items()}
