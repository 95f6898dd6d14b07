"""The width of each layer's weights that costs least accuracy within a budget."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfzip.conversion.export import export
from tfzip.errors import OptionError
from tfzip.precision.budget import LatencyBudget, SizeBudget
from tfzip.precision.costs import CostTable
from tfzip.precision.report import SensitivityReport
from tfzip.precision.sensitivity import sensitivity
from tfzip.precision.sizes import FULL, NARROW, SizeModel, measure_sizes
from tfzip.precision.solver import Options, choose
from tfzip.schemes import Scheme, get_scheme, mixed_scheme
from tfzip.tables import table
from tfzip.units import format_bytes, format_ms

_MOST_TRIES = 16
_UNMEASURED = (
    "4-bit weights save bytes and may cost time: on x86 such convolutions run several times slower. Measure:"
    " tfzip bench, or tfzip.measure_costs."
)


@dataclass(frozen=True)
class PrecisionReport:
    """The widths chosen, and what they cost.

    Attributes:
        scheme: What to export with: `tfzip.export(model, path, scheme=report.scheme, ...)`.
        budget: The budget, in words.
        widths: Bits by layer.
        change: Summed sensitivity of these widths, in the metric of the scan.
        size_bytes: Size of the file, exported and measured.
        predicted_bytes: What the model of sizes predicted.
        latency_ms: Predicted median of a run; `None` without a table of costs.
        kept: Layers that stay in 8 bits, since LiteRT has no kernel for fewer.
        warnings: What a reader should know, in sentences.
        scan: The sensitivities.
    """

    scheme: Scheme
    budget: str
    widths: Mapping[str, int]
    change: float
    size_bytes: int
    predicted_bytes: int
    latency_ms: float | None
    kept: tuple[str, ...]
    warnings: tuple[str, ...]
    scan: SensitivityReport

    def __str__(self) -> str:
        narrow = [path for path, bits in self.widths.items() if bits == NARROW]
        time = "" if self.latency_ms is None else f", {format_ms(self.latency_ms)} a run"
        head = (
            f"{len(narrow)} of {len(self.widths)} layers in 4 bits: {format_bytes(self.size_bytes)}{time};"
            f" the budget is {self.budget}."
        )
        return "\n".join((head, *self.warnings))

    def __rich__(self) -> object:
        rows = []
        for path, bits in self.widths.items():
            row = self.scan.of(path, bits)
            note = "no 4-bit kernel" if path in self.kept else ""
            rows.append((path, str(bits), format_bytes(row.size_bytes), f"{row.change:.3g}", note))
        return table(("layer", ">bits", ">weights", ">change", ""), rows, folding=("layer",), title=str(self))


def assign_precision(
    model: keras.Model,
    data: Any,
    budget: SizeBudget | LatencyBudget | int | str,
    *,
    scheme: str | Scheme = "int8",
    scan: SensitivityReport | None = None,
    **options: Any,
) -> PrecisionReport:
    """Chooses 4 or 8 bits for each layer's weights: the least summed sensitivity within a budget, exactly.

    The sum stands for the change of all layers together (Dong et al. 2019, HAWQ, arXiv:1905.03696, rank
    layers by such a sum), and the multiple-choice knapsack over it is solved to the optimum. A budget of
    bytes is one of the finished file: sizes are measured on exported files, and so is the result.

    Args:
        model: A built model; it is left as it was.
        data: Calibration samples, in any form that `export` takes; never those of a test set.
        budget: `SizeBudget("65KB")`, also as a number of bytes or as text, or `LatencyBudget(ms, costs)`.
        scheme: What the file is apart from the widths: "int8", or "int8_weights" for float activations.
            Defaults to "int8".
        scan: From `tfzip.sensitivity`, with bits 4 and 8. Defaults to None: measured on `data`.
        **options: As for `export`: batch, io, observer, recipe. Sizes are those of files made with them.

    Returns:
        The widths with a scheme to export with.

    Raises:
        OptionError: No choice of widths meets the budget; the message has the smallest that can be reached.
        ModelError, DataError, ConversionError: As for `sensitivity` and `export`.

    Example:
        >>> found = tfzip.assign_precision(model, x_train[:256], "65KB")
        >>> tfzip.export(model, "small.tflite", scheme=found.scheme, calibration=x_train[:256])
    """
    if not isinstance(budget, SizeBudget | LatencyBudget):
        budget = SizeBudget(budget)
    scheme = get_scheme(scheme)
    scan = scan or sensitivity(model, data, scheme=scheme)
    if scheme.needs_calibration:
        options = {"calibration": data, **options}
    sizes = measure_sizes(model, scheme, scan.layers, **options)
    search = _Search(model, scheme, scan, sizes, options)
    if isinstance(budget, LatencyBudget):
        widths = search.within_ms(budget)
        size_bytes = search.exported_bytes(widths)
    else:
        widths, size_bytes = search.within_bytes(budget)
    costs = budget.costs
    return PrecisionReport(
        scheme=mixed_scheme(scheme, widths),
        budget=str(budget),
        widths=widths,
        change=sum(scan.of(path, bits).change for path, bits in widths.items()),
        size_bytes=size_bytes,
        predicted_bytes=sizes.predict(widths),
        latency_ms=None if costs is None else costs.predict_ms(widths),
        kept=tuple(path for path in scan.layers if path not in sizes.saved),
        warnings=tuple(_warnings(widths, costs)),
        scan=scan,
    )


@dataclass(frozen=True)
class _Search:
    """One model's choice of widths."""

    model: keras.Model
    scheme: Scheme
    scan: SensitivityReport
    sizes: SizeModel
    options: Mapping[str, Any]

    def within_bytes(self, budget: SizeBudget) -> tuple[dict[str, int], int]:
        """Returns the widths and the size of their file, which is exported to be sure."""
        most, least = budget.limit_bytes, self.sizes.narrow_bytes
        if most < least:
            raise OptionError(
                f"No choice of 4 and 8 bits makes the file as small as {budget}. The smallest is"
                f" {format_bytes(least)} ({least:,} bytes)."
            )
        gains = [self.sizes.saved.get(path, 0) for path in self.scan.layers]
        limit = most - self.sizes.wide_bytes
        for _ in range(_MOST_TRIES):
            widths = self._chosen([-float(gain) for gain in gains], limit)
            if widths is None:
                break
            size_bytes = self.exported_bytes(widths)
            if size_bytes <= most:
                return widths, size_bytes
            limit = min(limit - 1, most - self.sizes.wide_bytes - (size_bytes - self.sizes.predict(widths)))
        return {path: NARROW if path in self.sizes.saved else FULL for path in self.scan.layers}, least

    def within_ms(self, budget: LatencyBudget) -> dict[str, int]:
        """Returns the widths whose predicted time is within the budget."""
        changes = budget.costs.changes_ms
        costs = [changes.get(path, 0.0) for path in self.scan.layers]
        widths = self._chosen(costs, budget.limit_ms - budget.costs.base_ms)
        if widths is None:
            least = budget.costs.base_ms + sum(min(cost, 0.0) for cost in costs)
            raise OptionError(
                f"No choice of 4 and 8 bits runs in {budget} on {budget.costs.device}. The shortest that can"
                f" be reached is {format_ms(least)}."
            )
        return widths

    def exported_bytes(self, widths: Mapping[str, int]) -> int:
        """Returns the size of the file with these widths."""
        with tempfile.TemporaryDirectory(prefix="tfzip-") as folder:
            path = Path(folder) / "mixed.tflite"
            scheme = mixed_scheme(self.scheme, widths)
            return export(self.model, path, scheme=scheme, **self.options).size_bytes

    def _chosen(self, narrow_costs: Sequence[float], limit: float) -> dict[str, int] | None:
        """Returns the best widths; costs are those of 4 instead of 8 bits, by layer."""
        groups, widths = [], []
        for path, cost in zip(self.scan.layers, narrow_costs, strict=True):
            choice = [FULL, NARROW] if path in self.sizes.saved else [FULL]
            losses = [self.scan.of(path, bits).change for bits in choice]
            groups.append(Options(np.array([0.0, cost][: len(choice)]), np.array(losses)))
            widths.append(choice)
        picked = choose(groups, limit)
        if picked is None:
            return None
        chosen = zip(self.scan.layers, widths, picked, strict=True)
        return {path: choice[index] for path, choice, index in chosen}


def _warnings(widths: Mapping[str, int], costs: CostTable | None) -> list[str]:
    narrow = [path for path, bits in widths.items() if bits == NARROW]
    if costs is None:
        return [_UNMEASURED] if narrow else []
    slower = [cost for cost in costs.layers if cost.layer in narrow and cost.is_slower]
    if not slower:
        return []
    names = ", ".join(repr(cost.layer) for cost in slower[:3]) + (" and others" if len(slower) > 3 else "")
    total = format_ms(sum(cost.change_ms for cost in slower))
    return [f"4 bits are slower than 8 on {costs.device} for {names}: {total} in all."]
