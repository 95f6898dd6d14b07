"""The step that writes a .tflite."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from tfzip.artifact import Artifact
from tfzip.errors import OptionError
from tfzip.precision.budget import parse_bytes
from tfzip.recipe.steps.step import Outcome, Step, Work, steps
from tfzip.schemes import get_scheme
from tfzip.sources.data import num_rows, take_rows
from tfzip.units import format_bytes

if TYPE_CHECKING:
    import keras


@steps.register
@dataclass(frozen=True)
class ExportStep(Step):
    """Writes the model as a .tflite and audits it.

    Args:
        scheme: Number formats of the file. Defaults to `"float32"`.
        calibration_samples: Training rows that integer schemes take their ranges from. Defaults to 256.
        batch: Fixed batch size of the file. Defaults to 1.
        io: Type of inputs and outputs, where it differs from the scheme's own. Defaults to the scheme's own.
        max_size: Largest file, for example `"65KB"`: weights of an integer scheme get 4 or 8 bits by layer,
            and learned rounding, as the training rows say. Defaults to no limit.
        sparse: Whether kernels that are at least two thirds zeros are stored without them. Defaults to False.
    """

    scheme: Literal[
        "float32",
        "float16",
        "int8_weights",
        "int4_weights",
        "int8",
        "int8_per_tensor",
        "uint8",
        "w4a8",
        "int16x8",
    ] = "float32"
    calibration_samples: int = 256
    batch: int = 1
    io: Literal["float32", "int8", "uint8", "int16"] | None = None
    max_size: str | None = None
    sparse: bool = False

    exports: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("calibration_samples", "batch"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is at least 1. Received: {getattr(self, name)}.")
        if self.max_size is not None:
            parse_bytes(self.max_size)
            if get_scheme(self.scheme).weights.kind != "int":
                raise OptionError(f"max_size needs a scheme of integer weights. Received: {self.scheme!r}.")
            if self.sparse:
                raise OptionError("sparse and max_size do not go together: leave out one of them.")

    def run(self, work: Work) -> Outcome:
        """Converts in a child process."""
        model = work.load_model()
        artifact = self._exported(model, work)
        scheme, file = artifact.scheme, artifact.path.name
        facts = {
            "scheme": scheme,
            "size_bytes": artifact.size_bytes,
            "sha256": artifact.sha256,
            "sparsity": kernel_sparsity(model),
            "findings": [asdict(finding) for finding in artifact.findings],
        }
        line = f"{file}, {format_bytes(artifact.size_bytes)}, {len(artifact.findings)} findings"
        return Outcome(facts, line, exported=file, scheme=scheme)

    def _exported(self, model: "keras.Model", work: Work) -> Artifact:
        options: dict[str, Any] = {"batch": self.batch, "io": self.io, "recipe": work.name}
        rows, scheme = self._rows(work), get_scheme(self.scheme)
        if self.max_size is not None:
            from tfzip.precision.mixed import export_within

            path = work.folder / f"{work.name}_mixed.tflite"
            return export_within(model, path, self.max_size, calibration=rows, scheme=scheme, **options)
        from tfzip.conversion.export import export

        if scheme.needs_calibration:
            options["calibration"] = rows
        options["sparse"] = self.sparse
        return export(model, work.folder / f"{work.name}_{scheme.name}.tflite", scheme=scheme, **options)

    def _rows(self, work: Work) -> Any:
        count = num_rows(work.data.x_train)
        chosen = np.random.default_rng(work.seed).permutation(count)[: self.calibration_samples]
        return take_rows(work.data.x_train, np.sort(chosen))


def kernel_sparsity(model: "keras.Model") -> float:
    """Returns the share of zeros over all weights of two or more dimensions."""
    kernels = [np.asarray(weight) for weight in model.weights if len(weight.shape) > 1]
    total = sum(kernel.size for kernel in kernels)
    return sum(int(np.sum(kernel == 0)) for kernel in kernels) / total if total else 0.0
