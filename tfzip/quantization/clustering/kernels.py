"""Kernels that share weights, from putting the constraint on to taking it off."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfzip.errors import ModelError, OptionError
from tfzip.graph import flatten
from tfzip.graph.walk import LayerSelection
from tfzip.pruning.kernels import Kernel, LeftOut, find_kernels
from tfzip.quantization.clustering import assign
from tfzip.quantization.clustering.constraint import SharedConstraint, attach, detach, mask_of, sharing_of
from tfzip.quantization.clustering.options import Sharing
from tfzip.quantization.clustering.rows import Rows
from tfzip.quantization.weighted import WeightGroup, weight_groups


class SharedKernel:
    """A kernel whose weights are shared.

    Args:
        kernel: The variable and its path.
        group: What the file holds of it, where that is known.
        sharing: How weights are shared.
        owner: What identifies the fit; two callbacks of one fit may not meet on a kernel.

    Raises:
        OptionError: Another callback of this fit shares the kernel's weights already.
    """

    def __init__(self, kernel: Kernel, group: WeightGroup | None, sharing: Sharing, owner: Any) -> None:
        previous = sharing_of(kernel.variable)
        if previous is not None:
            if previous.owner is owner:
                raise OptionError(
                    f"Two ClusteringCallbacks share the weights of {kernel.path!r}."
                    " Give them layers= that do not overlap."
                )
            detach(kernel.variable)  # left over from a fit that was interrupted
        self.path = kernel.path
        self.variable = kernel.variable
        self.sharing = sharing
        self._group = group
        self.rows = rows_of(kernel, group)
        self.constraint = SharedConstraint(
            self.variable, self.rows, sharing.clusters, per_channel=sharing.per_channel, owner=owner
        )
        attach(self.variable, self.constraint)

    def begin(self) -> None:
        """Assigns codes: those that the weights share already, or new ones by k-means."""
        if self.constraint.inner is not None:
            self.variable.assign(self.constraint.inner(self.variable))
        rows = self._read()
        index = self._recovered(rows)
        self._write(rows, self._chosen(rows) if index is None else index)

    def end(self) -> None:
        """Takes the constraint off; weights that averaging has parted are shared again before."""
        rows = self._read()
        if self._recovered(rows) is None:
            self._write(rows, np.asarray(self.constraint.alive_index()))
        detach(self.variable)

    def count_codebooks(self) -> int:
        """Returns how many codebooks there are."""
        return self.rows.channels if self.sharing.per_channel else 1

    def count_values(self) -> int:
        """Returns how many different values the largest codebook has now, zero included."""
        index = np.asarray(self.constraint.alive_index())
        return max(len(np.unique(book)) for book in index.reshape(self.count_codebooks(), -1))

    def _chosen(self, rows: NDArray[np.float32]) -> NDArray[np.int32]:
        options: dict[str, Any] = {
            "initialization": self.sharing.initialization,
            "seed": self.sharing.seed,
            "spare": mask_of(self.variable) is not None,
        }
        if self.sharing.per_channel:
            return assign.assign_by_channel(rows, self.sharing.clusters, **options)
        return assign.assign_by_kernel(rows, self.sharing.clusters, self._signs(), **options)

    def _recovered(self, rows: NDArray[np.float32]) -> NDArray[np.int32] | None:
        spare = mask_of(self.variable) is not None
        if self.sharing.per_channel:
            return assign.recover_by_channel(rows, self.sharing.clusters, spare=spare)
        return assign.recover_by_kernel(rows, self.sharing.clusters, self._signs(), spare=spare)

    def _signs(self) -> NDArray[np.float32]:
        factor = self._group.factor() if self._group is not None else None
        return np.ones(self.rows.channels, np.float32) if factor is None else factor

    def _read(self) -> NDArray[np.float32]:
        rows = np.asarray(self.rows.of(keras.ops.cast(self.variable, "float32")))
        if not np.isfinite(rows).all():
            raise ModelError(
                f"Training has diverged: {self.path!r} holds weights that are not finite, so they cannot be"
                " shared. Lower the learning rate or clip the gradients."
            )
        return rows

    def _write(self, rows: NDArray[np.float32], index: NDArray[np.int32]) -> None:
        self.variable.assign(self.constraint.shared(rows, index))


def shared_kernels(
    model: keras.Model, layers: LayerSelection, sharing: Sharing, owner: Any = None
) -> tuple[list[SharedKernel], list[LeftOut]]:
    """Puts sharing on the kernels of a model.

    Args:
        model: A built model that can be flattened.
        layers: Which layers, as everywhere.
        sharing: How weights are shared.
        owner: What identifies the fit. Defaults to none.

    Returns:
        The kernels, whose codes are not assigned yet, and what is left out for which reason.
    """
    found, left_out = find_kernels(model, layers, verb="clustered")
    groups: dict[int, WeightGroup] = {}
    for one in weight_groups(flatten(model, batch=1)):
        groups.setdefault(id(one.kernel), one)
    kernels = []
    for kernel in found:
        group = groups.get(id(kernel.variable))
        rows = rows_of(kernel, group)
        book = rows.per_channel if sharing.per_channel else rows.per_channel * rows.channels
        if book <= sharing.clusters:
            what = "channel" if sharing.per_channel else "kernel"
            reason = f"has {book} weights in a {what}, no more than clusters={sharing.clusters}"
            left_out.append(LeftOut(kernel.path, tuple(kernel.variable.shape), reason))
        else:
            kernels.append(SharedKernel(kernel, group, sharing, owner))
    return kernels, left_out


def rows_of(kernel: Kernel, group: WeightGroup | None) -> Rows:
    """Returns the channels of a kernel as the file has them; one where it has a single scale."""
    return Rows(tuple(kernel.variable.shape), group.axes if group is not None else ())
