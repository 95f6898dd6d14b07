"""Which channels of a model have to go together, and the smaller model without them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.graph.channel_trace import ChannelTrace, WeightAxis
from tfzip.graph.flat_graph import FlatGraph
from tfzip.graph.flatten import flatten
from tfzip.graph.positions import Kept, Labels
from tfzip.graph.rules import rule_of
from tfzip.graph.shrink import shrink


@dataclass(frozen=True)
class ChannelSlice:
    """Where the channels of a group stand along one axis of one weight.

    Attributes:
        path: Of the layer.
        kind: Class name of the layer.
        weight: Name of the weight.
        axis: Counted from the front.
        offset: Where the first channel of the group stands.
        repeat: At how many places a channel stands.
        role: `"out"` where the weight makes the channels, `"in"` where it reads them, `"channel"` where it
            does something to each of them.
    """

    path: str
    kind: str
    weight: str
    axis: int
    offset: int
    repeat: int
    role: str


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that are coupled with the same weights in the same way.

    Attributes:
        name: Path of the layer that makes them; of further groups of that layer with `#2` and so on.
        units: Number of each channel, in order; what carries the same number goes together.
        slices: Where they stand.
        reason: Why they have to stay; empty if they may go.
    """

    name: str
    units: tuple[int, ...]
    slices: tuple[ChannelSlice, ...]
    reason: str = ""

    @property
    def size(self) -> int:
        """How many channels there are."""
        return len(self.units)


class Channels:
    """The channels of a model.

    Args:
        model: A built model, or its flat graph.

    Attributes:
        graph: The flat graph.
        groups: Channels that may go, in the order in which the model makes them.
        fixed: Those that have to stay, with the reason.
        barriers: Reason by path of every call at which channels have to stay that the model does not return.

    Raises:
        ModelError: The model is not built.
    """

    def __init__(self, model: keras.Model | FlatGraph) -> None:
        self.graph = model if isinstance(model, FlatGraph) else flatten(model)
        self._trace = ChannelTrace(self.graph, rule_of)
        self._units = self._trace.positions.resolve()
        self.barriers = self._barriers()
        found = self._grouped()
        self.groups = tuple(group for group in found if not group.reason)
        self.fixed = tuple(group for group in found if group.reason)

    def weight_axes(self) -> list[tuple[WeightAxis, Labels]]:
        """Returns every axis of a weight that has channels, with the unit of each position."""
        known = self._trace.weights.values()
        return [(one, self._units.unit_of[one.labels]) for one in known if one.labels is not None]

    def places(self) -> list[list[tuple[WeightAxis, Labels]]]:
        """Returns, for each of `groups`, the axes of weights it stands along, and where.

        Positions have the shape (channels of the group, times that each stands there).
        """
        number = np.full(len(self._units.unit_of), -1, np.int64)
        for index, group in enumerate(self.groups):
            number[list(group.units)] = index
        found: list[list[tuple[WeightAxis, Labels]]] = [[] for _ in self.groups]
        for axis, units in self.weight_axes():
            order = np.lexsort((units, number[units]))
            order = order[np.searchsorted(number[units][order], 0) :]
            for part in np.split(order, np.flatnonzero(np.diff(number[units][order])) + 1):
                if len(part):
                    index = int(number[units[part[0]]])
                    found[index].append((axis, part.reshape(self.groups[index].size, -1)))
        return found

    def read(self) -> list[tuple[int, int, Labels]]:
        """Returns tensors with channels that a weight reads: id, axis, and the unit of each position."""
        readers = {id(one.variable) for one, _ in self.weight_axes() if one.role == "in"}
        seen: dict[tuple[int, int], Labels] = {}
        for node in self.graph.nodes:
            if not node.is_layer or not any(id(weight) in readers for weight in node.operation.weights):
                continue
            for tensor in node.inputs:
                for axis, labels in enumerate(self._trace.axes[tensor]):
                    if labels is not None:
                        seen[tensor, axis] = self._units.unit_of[labels]
        return [(tensor, axis, units) for (tensor, axis), units in seen.items()]

    def sizes(self, tensor: int, kept: Kept) -> tuple[int, ...]:
        """Returns the shape of a tensor when a choice is made, with 1 for what is only known at run time."""
        known = zip(self.graph.tensors[tensor].sizes, self._trace.axes[tensor], strict=True)
        return tuple(size if labels is None else kept.count(labels) for size, labels in known)

    def kept(self, removed: Iterable[int]) -> Kept:
        """Returns the choice of all units but some."""
        return Kept(~np.isin(self._units.unit_of, np.fromiter(removed, np.int64)))

    def without(self, removed: Iterable[int]) -> keras.Model:
        """Returns a flat model of the same layers without some units, those of `groups` only."""
        return shrink(self._trace, self.kept(removed))

    def zeroed(self, removed: Iterable[int]) -> list[tuple[Any, NDArray[Any]]]:
        """Returns the weights with zeros in place of some units, without writing them anywhere.

        A model with these weights computes what the model without the units computes, but where something
        other than zero is made of them, by a sigmoid or a bias, and a sum or a normalization counts it.
        """
        kept = self.kept(removed)
        values: dict[int, tuple[Any, NDArray[Any]]] = {}
        for one in self._trace.weights.values():
            if one.labels is None:
                continue
            variable = one.variable
            array = values[id(variable)][1] if id(variable) in values else np.asarray(variable.numpy())
            shape = [-1 if axis == one.axis else 1 for axis in range(array.ndim)]
            values[id(variable)] = variable, array * kept.mask(one.labels).reshape(shape)
        return list(values.values())

    def _barriers(self) -> dict[str, str]:
        is_returned = np.zeros(len(self._units.unit_of), np.bool_)
        for labels in self._trace.returned:
            is_returned[self._units.unit_of[labels]] = True
        stops = self._trace.stops
        return self._trace.closed | {
            path: reason
            for path, reason, labels in stops
            if not is_returned[self._units.unit_of[labels]].all()
        }

    def _grouped(self) -> list[ChannelGroup]:
        """Puts units together that stand at equally many places of the same axes of weights."""
        axes = self.weight_axes()
        kind = np.zeros(len(self._units.unit_of), np.int64)
        count = 1
        places: list[tuple[Labels, Labels, Labels]] = []
        for _, units in axes:
            own, first, repeats = np.unique(units, return_index=True, return_counts=True)
            places.append((own, first, repeats))
            _, inverse = np.unique(np.stack([kind[own], repeats]), axis=1, return_inverse=True)
            kind[own] = count + inverse.reshape(-1)
            count += len(own)
        for number, reason in enumerate(dict.fromkeys(self._units.reasons.values()), 1):
            stays = [unit for unit, one in self._units.reasons.items() if one == reason]
            kind[stays] += count * number * (kind[stays] > 0)
        return self._described(kind, axes, places)

    def _described(self, kind: Labels, axes: Any, places: Any) -> list[ChannelGroup]:
        used = np.flatnonzero(kind)
        if not len(used):
            return []
        order = used[np.argsort(kind[used], kind="stable")]
        bounds = np.flatnonzero(np.diff(kind[order])) + 1
        members = np.split(order, bounds)
        number = np.zeros(len(kind), np.int64)
        for index, units in enumerate(members):
            number[units] = index
        slices: list[list[ChannelSlice]] = [[] for _ in members]
        for (one, _), (own, first, repeats) in zip(axes, places, strict=True):
            _, start = np.unique(number[own], return_index=True)
            for at in start:
                group = slices[number[own[at]]]
                group.append(
                    ChannelSlice(
                        one.path, one.kind, one.name, one.axis, int(first[at]), int(repeats[at]), one.role
                    )
                )
        groups = [
            ChannelGroup(
                _maker(own),
                tuple(int(unit) for unit in units),
                tuple(own),
                self._units.reasons.get(int(units[0]), ""),
            )
            for units, own in zip(members, slices, strict=True)
        ]
        return _told_apart(sorted(groups, key=lambda group: group.units[0]))


def _told_apart(groups: list[ChannelGroup]) -> list[ChannelGroup]:
    """Returns groups of which each has a name of its own, as parts of one layer's channels have none."""
    seen: Counter[str] = Counter()
    found = []
    for group in groups:
        seen[group.name] += 1
        count = seen[group.name]
        found.append(replace(group, name=f"{group.name}#{count}") if count > 1 else group)
    return found


def _maker(slices: list[ChannelSlice]) -> str:
    return next((one.path for one in slices if one.role == "out"), slices[0].path)
