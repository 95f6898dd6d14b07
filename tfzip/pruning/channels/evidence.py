"""From a model and data to what a criterion is shown, and to its scores."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfzip.errors import DataError, OptionError
from tfzip.graph.channels import ChannelGroup, Channels
from tfzip.graph.flat_graph import filled
from tfzip.graph.rebuild import Rebuild
from tfzip.pruning.channels.batches import Batch, batches_of
from tfzip.pruning.channels.loss import Loss
from tfzip.pruning.channels.scan_report import ChannelScan
from tfzip.pruning.channels.view import ChannelView, Rows, rows_of
from tfzip.pruning.criteria import Criterion, criteria

Array = NDArray[Any]
_LOOKS_AT = {
    "activations": "looks at activations on data",
    "gradients": "looks at gradients on data",
    "loss": "looks at the loss on data",
    "start": "looks at the model before training, or at weights while a PruningCallback trains them",
}


def score_groups(
    model: keras.Model,
    channels: Channels,
    criterion: Criterion,
    *,
    data: Any,
    seed: int,
    chosen: Sequence[int],
) -> list[NDArray[np.float64]]:
    """Returns the scores of the channels of some groups.

    Args:
        model: The model; compiled, if the criterion needs a loss.
        channels: Of the model.
        criterion: Scores them.
        data: Inputs, `(inputs, targets)`, or batches of them.
        seed: For what is drawn.
        chosen: Places of the groups in `channels.groups`.

    Raises:
        OptionError: The criterion needs data or a loss, which is missing.
        DataError: The data are empty.
    """
    name = criteria.name_of(criterion)
    if criterion.needs and data is None:
        raise OptionError(f"Criterion {name!r} {_LOOKS_AT[criterion.needs]}. Pass data=.")
    evidence = _Evidence(model, channels, seed)
    if not criterion.needs:
        views: Iterator[list[ChannelView]] = iter([[evidence.view(index) for index in chosen]])
    elif criterion.needs == "start":
        views = iter([evidence.with_start(chosen, data)])
    elif criterion.needs == "loss" and isinstance(data, ChannelScan):
        views = iter([evidence.with_scan(chosen, data)])
    elif criterion.needs == "loss":
        loss = Loss(model, batches_of(data), f"Criterion {name!r}")
        views = iter([evidence.with_loss(chosen, loss)])
    elif criterion.needs == "gradients":
        views = evidence.with_gradients(chosen, batches_of(data), f"Criterion {name!r}")
    else:
        views = evidence.with_activations(chosen, batches_of(data))
    sums = [np.zeros(channels.groups[index].size) for index in chosen]
    count = 0
    for seen in views:
        count += 1
        sums = [total + criterion.score_channels(view) for total, view in zip(sums, seen, strict=True)]
    for index, total in zip(chosen, sums, strict=True):
        if not np.isfinite(total).all():
            raise DataError(
                f"Criterion {name!r} gives {channels.groups[index].name!r} scores that are not finite. Check"
                " weights and data for NaN and infinities."
            )
    return [total / count for total in sums]


class _Evidence:
    """Makes views of groups."""

    def __init__(self, model: keras.Model, channels: Channels, seed: int) -> None:
        self._model = model
        self._channels = channels
        self._places = channels.places()
        self._seed = seed

    def view(
        self,
        index: int,
        gradients: dict[int, Array] | None = None,
        start: dict[int, Array] | None = None,
        **more: Any,
    ) -> ChannelView:
        """Returns a group with the weights it has now."""
        group = self._channels.groups[index]
        rows = []
        for axis, places in self._places[index]:
            gradient = (gradients or {}).get(id(axis.variable))
            before = (start or {}).get(id(axis.variable))
            rows.append(
                Rows(
                    axis.variable.name,
                    axis.role,
                    rows_of(np.asarray(axis.variable.numpy()), axis.axis, places),
                    None if gradient is None else rows_of(gradient, axis.axis, places),
                    None if before is None else rows_of(before, axis.axis, places),
                )
            )
        return ChannelView(group.name, group.size, tuple(rows), seed=self._seed, **more)

    def with_start(self, chosen: Sequence[int], start: Any) -> list[ChannelView]:
        """Returns views with the weights of the model before training."""
        if not isinstance(start, keras.Model):
            raise OptionError(
                "Criterion 'movement' compares the model with the one before training. Pass it as data=."
                f" Received: {type(start).__name__}."
            )
        shapes = [[tuple(one.shape) for one in model.weights] for model in (self._model, start)]
        if shapes[0] != shapes[1]:
            raise OptionError(
                f"Model {start.name!r} has other weights than {self._model.name!r}. Pass the same model, as"
                " it was before training, as data=."
            )
        pairs = zip(self._model.weights, start.weights, strict=True)
        before = {id(one): np.asarray(other.numpy()) for one, other in pairs}
        return [self.view(index, start=before) for index in chosen]

    def with_gradients(
        self, chosen: Sequence[int], batches: Sequence[Batch], asker: str
    ) -> Iterator[list[ChannelView]]:
        """Yields views with the gradients of each batch's loss."""
        variables, loss = self._model.trainable_variables, Loss(self._model, batches, asker)
        for x, y in batches:
            with tf.GradientTape() as tape:
                value = loss.on(x, y)
            found = zip(variables, tape.gradient(value, [one.value for one in variables]), strict=True)
            gradients = {id(one): np.asarray(tf.convert_to_tensor(g)) for one, g in found if g is not None}
            yield [self.view(index, gradients) for index in chosen]

    def with_activations(
        self, chosen: Sequence[int], batches: Sequence[Batch]
    ) -> Iterator[list[ChannelView]]:
        """Yields views with what is read of the channels on each batch."""
        read = self._channels.read()
        rebuild = Rebuild(self._channels.graph, None, share_weights=True)
        rebuild.run()
        tensors = list(dict.fromkeys(tensor for tensor, _, _ in read))
        inputs = filled(self._channels.graph.inputs, rebuild.values)
        probe = keras.Model(inputs, [rebuild.values[tensor] for tensor in tensors])
        for x, _ in batches:
            values = dict(zip(tensors, keras.tree.flatten(probe(x, training=False)), strict=True))
            if not all(np.isfinite(np.asarray(one, np.float32)).all() for one in values.values()):
                raise DataError("The data for choosing channels make NaN or infinities. Check them.")
            yield [self.view(index, activations=self._read(index, read, values)) for index in chosen]

    def with_scan(self, chosen: Sequence[int], scan: ChannelScan) -> list[ChannelView]:
        """Returns views that read the loss without some of their channels from a scan."""

        def without(group: ChannelGroup, places: Array) -> float:
            return scan.rise(group.name, group.size, len(places))

        groups = [(index, self._channels.groups[index]) for index in chosen]
        return [
            self.view(index, loss_without=lambda places, of=group: without(of, places))
            for index, group in groups
        ]

    def with_loss(self, chosen: Sequence[int], loss: Loss) -> list[ChannelView]:
        """Returns views that measure the loss without some of their channels."""
        before = loss.without(self._channels, ())

        def without(index: int, places: Array) -> float:
            units = np.asarray(self._channels.groups[index].units)[places]
            return loss.without(self._channels, units) - before

        return [
            self.view(index, loss_without=lambda places, at=index: without(at, places)) for index in chosen
        ]

    def _read(self, index: int, read: Any, values: dict[int, Any]) -> tuple[Array, ...]:
        """Returns a group's activations, (channels, examples, places), in each tensor that is read."""
        units = np.asarray(self._channels.groups[index].units)
        found = []
        for tensor, axis, unit_of in read:
            at = np.flatnonzero(np.isin(unit_of, units))
            if len(at):
                places = at[np.argsort(unit_of[at], kind="stable")].reshape(len(units), -1)
                maps = np.moveaxis(np.asarray(values[tensor]), axis, 0)[places]
                found.append(maps[:, 0] if maps.shape[1] == 1 else np.moveaxis(maps, 1, -1))
        if not found:
            raise OptionError(
                f"No layer reads the channels of {self._channels.groups[index].name!r} with weights of its"
                " own, so that their activations say nothing. Leave it out with layers=."
            )
        return tuple(found)
