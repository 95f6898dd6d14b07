"""Tables of trained networks as objectives: NAS-Bench-Macro, and NAS-Bench-201 with measured latencies."""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from common import data_file

import tfzip
from tfzip.nas.trial import Trial

Choices = Mapping[str, Any]


class Macro:
    """6,561 networks of eight MobileNet blocks on CIFAR-10 (Su et al., CVPR 2021): accuracy and FLOPs."""

    blocks = tuple(f"block{index}" for index in range(8))
    space = tfzip.Space({name: tfzip.Choice([0, 1, 2]) for name in blocks})
    reference = (85.0, 110e6)  # accuracy and FLOPs of the corner that hypervolumes are counted from

    def __init__(self) -> None:
        self.accuracy = np.zeros((3,) * 8, np.float32)
        self.flops = np.zeros((3,) * 8, np.float32)
        for key, row in json.loads(data_file("nas_bench_macro.json").read_text()).items():
            place = tuple(map(int, key))
            self.accuracy[place], self.flops[place] = row["mean_acc"], row["flops"]

    def __call__(self, choices: Choices) -> dict[str, float]:
        """Returns what the table has of a network."""
        place = tuple(choices[name] for name in self.blocks)
        return {"accuracy": float(self.accuracy[place]), "flops": float(self.flops[place])}

    def expected(self, shares: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the expectation over independent choices, exact since the table is a tensor."""
        import tensorflow as tf

        found = {"accuracy": tf.constant(self.accuracy), "flops": tf.constant(self.flops)}
        for name in self.blocks:
            found = {metric: tf.tensordot(shares[name], one, 1) for metric, one in found.items()}
        return found

    def best(self, cap: float = np.inf) -> float:
        """Returns the best accuracy within a cap of FLOPs."""
        return float(self.accuracy[self.flops <= cap].max())

    @cached_property
    def hypervolume(self) -> float:
        """The area that all networks dominate together."""
        return self._area(zip(self.accuracy.ravel().tolist(), self.flops.ravel().tolist(), strict=True))

    def share(self, trials: Iterable[Trial]) -> float:
        """Returns the area that trials dominate, as a share of that of all networks."""
        return self._area((t.metrics["accuracy"], t.metrics["flops"]) for t in trials) / self.hypervolume

    def _area(self, points: Iterable[tuple[float, float]]) -> float:
        least, most = self.reference
        area, reached = 0.0, least
        for accuracy, flops in sorted(points, key=lambda point: point[1]):
            if flops < most and accuracy > reached:
                area += (accuracy - reached) * (most - flops)
                reached = accuracy
        return area


class Cells:
    """15,625 cells of NAS-Bench-201 (Dong and Yang, ICLR 2020) after 12 epochs, with latencies by HELP.

    Args:
        device: Whose measured latency in milliseconds is the cost.
    """

    edges = tuple(f"edge{index}" for index in range(6))
    space = tfzip.Space({name: tfzip.Choice([0, 1, 2, 3, 4]) for name in edges})

    def __init__(self, device: str) -> None:
        with np.load(data_file("nas_bench_201_devices.npz")) as stored:
            self.ops = stored["ops"]
            self.validation, self.test = stored["c10_val"], stored["c10_test"]
            self.latency = stored[device]
        self._place = {tuple(ops): index for index, ops in enumerate(self.ops.tolist())}

    def __call__(self, choices: Choices) -> dict[str, float]:
        """Returns what the table has of a cell; the test accuracy is not looked at by a search."""
        place = self._place[tuple(choices[name] for name in self.edges)]
        names = {"accuracy": self.validation, "latency_ms": self.latency, "test": self.test}
        return {name: float(values[place]) for name, values in names.items()}

    def cap(self, share: float) -> float:
        """Returns the latency that a share of all cells keeps."""
        return float(np.quantile(self.latency, share))
