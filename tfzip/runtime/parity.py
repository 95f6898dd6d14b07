"""What a comparison found: per output, per operation, and printed."""

import dataclasses
import io
import json
from dataclasses import dataclass
from typing import Any

from tfzip.runtime.json_ready import json_ready
from tfzip.runtime.scores import Quality

_WIDTH = 110


@dataclass(frozen=True)
class OutputParity:
    """How far an output of the file is from the model's.

    Attributes:
        name: Name of the output in the file.
        dtype: Its type in the file.
        unit: `"LSB"`, steps of the output's own integer grid, or `"ulp"`, floats in between.
        max_difference: Largest distance in `unit`.
        mean_difference: Mean distance in `unit`.
        max_abs: Largest absolute difference of the real values.
        max_relative: `max_abs` as a fraction of the model's largest magnitude.
        cosine: Cosine similarity over all samples; 1.0 for equal directions.
        saturated: Fraction of the model's values outside the output's grid, which count as its nearest end.
        agreement: Fraction of equal decisions (top-1, or yes and no); None for a regression.
        quality: Scores against targets; None without targets.
    """

    name: str
    dtype: str
    unit: str
    max_difference: float
    mean_difference: float
    max_abs: float
    max_relative: float
    cosine: float
    saturated: float = 0.0
    agreement: float | None = None
    quality: Quality | None = None


@dataclass(frozen=True)
class OpParity:
    """How far one operation of the file is from the layers it implements.

    Attributes:
        index: Position of the operation in execution order.
        op: Name of the operation, for example `"CONV_2D"`.
        layers: Paths of the layers between what the file computed before and this value.
        dtype: Type of the value in the file.
        sqnr_db: Signal to noise ratio of this step alone: the layers are given the file's own values.
        accumulated_sqnr_db: The same against the untouched model, with all noise from before.
        rms_lsb: Root mean square error of this step in steps of the integer grid; None for floats.
        saturated: Fraction of the expected values outside the integer grid.
        allowed_db: Least `sqnr_db` that the scheme explains.
        diverges: Whether the step is worse than its scheme allows.
    """

    index: int
    op: str
    layers: tuple[str, ...]
    dtype: str
    sqnr_db: float
    accumulated_sqnr_db: float
    rms_lsb: float | None
    saturated: float
    allowed_db: float
    diverges: bool


@dataclass(frozen=True)
class ParityReport:
    """What `tfzip.compare` found.

    Attributes:
        path: The file.
        scheme: Its scheme, from the types of its tensors.
        samples: Samples compared.
        outputs: One entry for each output of the file.
        ops: One entry for each operation whose value is that of a layer, in execution order.
        ops_total: Operations in the file.
        note: Why there are no operations, when there are none.
    """

    path: str
    scheme: str
    samples: int
    outputs: tuple[OutputParity, ...]
    ops: tuple[OpParity, ...] = ()
    ops_total: int = 0
    note: str = ""

    @property
    def first_divergent_op(self) -> OpParity | None:
        """The first operation whose own error is larger than the scheme allows."""
        return next((op for op in self.ops if op.diverges), None)

    @property
    def agreement(self) -> float | None:
        """Lowest agreement of all outputs that decide something; None when none does."""
        return min((o.agreement for o in self.outputs if o.agreement is not None), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report in types that JSON knows; infinite figures are None."""
        facts = dataclasses.asdict(self) | {"agreement": self.agreement}
        first = self.first_divergent_op
        facts["first_divergent_op"] = dataclasses.asdict(first) if first else None
        cleaned: dict[str, Any] = json_ready(facts)
        return cleaned

    def to_json(self) -> str:
        """Returns the report as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        from rich.console import Console

        from tfzip.runtime.parity_tables import tables

        buffer = io.StringIO()
        console = Console(file=buffer, width=_WIDTH)
        for part in tables(self):
            console.print(part, soft_wrap=isinstance(part, str), markup=False, highlight=False)
        return buffer.getvalue().rstrip()
