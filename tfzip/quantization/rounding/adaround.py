"""Rounding kernels so that results change least, instead of weights."""

from typing import Any

import keras
import numpy as np

from tfzip.errors import OptionError
from tfzip.graph.signature import input_tree
from tfzip.quantization.biases import has_shift, shift
from tfzip.quantization.copies import copy_of, copy_with_grids
from tfzip.quantization.revision import Change, Revision
from tfzip.quantization.rounding.learn import Learning, learned_integers
from tfzip.quantization.rounding.product import Array, product_of
from tfzip.quantization.rounding.refit import refitted
from tfzip.quantization.rounding.unfold import Unfolding, can_unfold
from tfzip.quantization.scales import least_squares_scales
from tfzip.quantization.tap import Tapped, by_kernel
from tfzip.quantization.weighted import WeightGroup
from tfzip.quantization_record import QuantizationRecord, attach_record, record_of
from tfzip.schemes import Scheme, TensorFormat, get_scheme
from tfzip.sources.batches import calibration_samples

_STEP = "round"
_FULL_BITS = 8


def adaround(
    model: keras.Model,
    scheme: str | Scheme,
    *,
    calibration: Any,
    reference: keras.Model | None = None,
    learning: Learning | None = None,
    seed: int = 0,
) -> Revision:
    """Returns a model whose kernels of few bits lie on their grids, rounded up or down as it was learned.

    Operation by operation in order of execution, the rounding is learned that brings the result, after its
    fused activation, nearest to that of the float model, given what the operations already rounded feed it
    (Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization"). Then each channel's
    step and bias are fitted to the integers found.

    Args:
        model: A built model; it is left as it was.
        scheme: Says the width of each layer's weights. Layers of 8 bits and more keep float kernels.
        calibration: A few hundred unlabelled inputs in any form that `export` takes.
        reference: The float model whose results count; of the same graph. Defaults to None: `model`.
        learning: How long and how fast. Defaults to None: `Learning()`.
        seed: Of the places that are drawn. Defaults to 0.

    Returns:
        A model of the same kind, with the steps of its kernels in its record, and the error of each operation
        beside that of rounding to the nearest.

    Raises:
        OptionError: The weights of the scheme are not integers.
        DataError: The calibration data do not fit the model.
        ModelError: The model cannot be flattened.
    """
    scheme = get_scheme(scheme)
    if scheme.weights.kind != "int":
        raise OptionError(
            f"Rounding needs integer weights, such as 'int4_weights'. Received: {scheme.name!r}."
        )
    copy, scheme, old = copy_with_grids(model, scheme, record_of(model))
    rounding = _Rounding(copy_of(reference or model), copy, calibration, np.random.default_rng(seed))
    scales: dict[str, Array] = {}
    changes = []
    for groups in by_kernel(rounding.rounded.groups):
        form, reason = scheme.weights_of(groups[0].path), _reason_to_leave(groups, scheme)
        if reason:
            changes.append(Change(_STEP, groups[0].path, skipped=reason))
            continue
        steps, detail = rounding.run(groups, form, learning or Learning())
        scales |= {group.key: steps for group in groups}
        changes.append(Change(_STEP, groups[0].path, detail))
    ranges = (old.ranges, old.inner) if old is not None and old.scheme == scheme else ({}, {})
    attach_record(copy, QuantizationRecord(scheme, ranges[0], scales, ranges[1]))
    return Revision(copy, tuple(changes))


class _Rounding:
    """A float model, the copy that is rounded step by step, and the data."""

    def __init__(
        self, reference: keras.Model, copy: keras.Model, calibration: Any, rng: np.random.Generator
    ) -> None:
        self.rounded = Tapped(copy)
        self._float = Tapped(reference)
        self._samples = calibration_samples(calibration, keras.tree.flatten(input_tree(copy)))
        self._rng = rng

    def run(self, groups: list[WeightGroup], form: TensorFormat, learning: Learning) -> tuple[Array, str]:
        """Rounds a kernel and returns its steps and what was gained."""
        group, bias = groups[0], groups[0].folded_bias()
        product = product_of(groups, (self._float, self.rounded), self._samples, self._rng)
        kernel, unfolding = group.folded_kernel(), Unfolding(group)
        rows = group.by_channel(kernel)
        steps = least_squares_scales(rows if form.per_channel else rows.reshape(1, -1), form)
        weights, grid = unfolding.columns(kernel), _spread(group, unfolding, steps)
        nearest = np.clip(np.rint(weights / grid), *form.limits).astype(np.float32)
        before = product.error(nearest * grid, bias)
        integers = learned_integers(
            product, weights / grid, grid, bias, limits=form.limits, learning=learning, rng=self._rng
        )
        if form.per_channel:
            keep = not has_shift(group)
            factor, new_bias = refitted(product, integers * grid, bias, keep_bias=keep)
            steps = (steps * factor).astype(np.float32)
            grid = _spread(group, unfolding, steps)
            if not keep:
                shift(group, new_bias - bias)
                bias = new_bias
        group.set_folded_kernel(unfolding.kernel(integers * grid))
        return steps, _gain(before, product.error(integers * grid, bias))


def _spread(group: WeightGroup, unfolding: Unfolding, steps: Array) -> Array:
    """Returns the step of each weight, in the unfolded shape."""
    each = group.along_channels(np.broadcast_to(steps, group.channels).astype(np.float32))
    return unfolding.columns(np.ascontiguousarray(np.broadcast_to(each, group.kernel.shape)))


def _gain(before: float, after: float) -> str:
    return f"error {after:.3g}, to the nearest {before:.3g}"


def _reason_to_leave(groups: list[WeightGroup], scheme: Scheme) -> str:
    form = scheme.weights_of(groups[0].path)
    if form.kind != "int" or form.bits >= _FULL_BITS:
        return f"at {form.bits} bits, rounding to the nearest is good enough"
    kind = type(groups[0].layer).__name__
    if groups[0].form(scheme) != form:
        beside = f" beside {scheme.activations.kind} activations" if can_unfold(groups[0]) else ""
        return f"LiteRT has no kernel of {form.bits} bits for {kind}{beside}"
    if not can_unfold(groups[0]):
        return f"rounding is not learned for {kind}"
    if len(groups) > 1 and any(group.in_kernel for group in groups):
        return "the layer is called more than once and its results are normalized or scaled"
    return ""
