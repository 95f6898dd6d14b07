"""k-means on numbers: the few values that stand for many."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
_MOST_ROUNDS = 100


def choose_centroids(
    values: NDArray[np.floating],
    clusters: int,
    *,
    initialization: str = "kmeans++",
    pinned: tuple[float, ...] = (),
    seed: int = 0,
) -> Values:
    """Returns the centroids of k-means on numbers (Lloyd 1982), in ascending order.

    On a line a cluster is an interval, so that a round takes one search in the sorted values.

    Args:
        values: Finite numbers, any shape, at least one.
        clusters: The most centroids.
        initialization: A name in `INITIALIZATIONS`. Defaults to "kmeans++".
        pinned: Centroids that do not move, counted in `clusters`. Defaults to none.
        seed: Of the draws of k-means++. Defaults to 0.

    Returns:
        At most `clusters` centroids; fewer where there are fewer different values.
    """
    ordered = np.sort(np.asarray(values, np.float64).reshape(-1))
    fixed = np.array(sorted(pinned), np.float64)
    different = np.union1d(ordered, fixed)
    if len(different) <= clusters:
        return different
    start = INITIALIZATIONS[initialization](ordered, clusters, fixed, np.random.default_rng(seed))
    is_fixed = np.arange(clusters) < len(fixed)
    return _lloyd(ordered, np.concatenate([fixed, start]), is_fixed)


def _lloyd(ordered: Values, centroids: Values, is_fixed: NDArray[np.bool_]) -> Values:
    """Moves centroids to the means of their intervals until they stand still; empty ones stay."""
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    for _ in range(_MOST_ROUNDS):
        order = np.argsort(centroids, kind="stable")  # means may cross a fixed one
        centroids, is_fixed = centroids[order], is_fixed[order]
        inner = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2, side="right")
        borders = np.concatenate([[0], inner, [len(ordered)]])
        counts = np.diff(borders)
        means = np.diff(sums[borders]) / np.maximum(counts, 1)
        moved = np.where(is_fixed | (counts == 0), centroids, means)
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return np.sort(centroids)


def _kmeans_plus_plus(ordered: Values, clusters: int, fixed: Values, rng: np.random.Generator) -> Values:
    """Draws each with a probability in proportion to the squared distance (Arthur and Vassilvitskii 2007)."""
    chosen = list(fixed) or [float(rng.choice(ordered))]
    drawn = chosen[len(fixed) :]
    distance = np.min([(ordered - centre) ** 2 for centre in chosen], axis=0)
    while len(drawn) < clusters - len(fixed):
        drawn.append(float(rng.choice(ordered, p=distance / distance.sum())))
        distance = np.minimum(distance, (ordered - drawn[-1]) ** 2)
    return np.array(drawn)


def _density(ordered: Values, clusters: int, fixed: Values, rng: np.random.Generator) -> Values:  # noqa: ARG001
    """Takes quantiles at equal distances: many centroids where there are many values (Han et al. 2016)."""
    count = clusters - len(fixed)
    return np.quantile(ordered, (np.arange(count) + 0.5) / count)


def _linear(ordered: Values, clusters: int, fixed: Values, rng: np.random.Generator) -> Values:  # noqa: ARG001
    """Spaces centroids evenly over the range: large weights, which are few, keep theirs (Han et al. 2016)."""
    spaced = np.linspace(ordered[0], ordered[-1], clusters)
    for centre in fixed:
        spaced = np.delete(spaced, np.abs(spaced - centre).argmin())
    return spaced


INITIALIZATIONS: Mapping[str, Callable[[Values, int, Values, np.random.Generator], Values]] = {
    "kmeans++": _kmeans_plus_plus,
    "density": _density,
    "linear": _linear,
}
