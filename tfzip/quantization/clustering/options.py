"""What weight sharing is asked for."""

from dataclasses import dataclass

from tfzip.errors import OptionError, UnknownNameError
from tfzip.quantization.clustering.centroids import INITIALIZATIONS

_FEWEST, _MOST = 3, 256


@dataclass(frozen=True)
class Sharing:
    """How weights are shared.

    Attributes:
        clusters: The most different codes, zero included.
        per_channel: Whether each output channel has codes of its own, not each kernel.
        initialization: Where k-means begins: a name in `INITIALIZATIONS`.
        seed: Of the draws of k-means++.

    Raises:
        OptionError: `clusters` is out of range.
        UnknownNameError: `initialization` is no known name.
    """

    clusters: int
    per_channel: bool
    initialization: str
    seed: int

    def __post_init__(self) -> None:
        if not isinstance(self.clusters, int) or not _FEWEST <= self.clusters <= _MOST:
            raise OptionError(
                f"clusters is a whole number from {_FEWEST} to {_MOST}. Received: {self.clusters!r}."
            )
        if self.initialization not in INITIALIZATIONS:
            raise UnknownNameError("initialization", self.initialization, INITIALIZATIONS)
