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
        freeze_codes: Epoch from whose begin every weight stays with its code. Defaults to None: never.

    Raises:
        OptionError: `clusters` or `freeze_codes` is out of range.
        UnknownNameError: `initialization` is no known name.
    """

    clusters: int
    per_channel: bool
    initialization: str
    seed: int
    freeze_codes: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.clusters, int) or not _FEWEST <= self.clusters <= _MOST:
            raise OptionError(
                f"clusters is a whole number from {_FEWEST} to {_MOST}. Received: {self.clusters!r}."
            )
        if self.initialization not in INITIALIZATIONS:
            raise UnknownNameError("initialization", self.initialization, INITIALIZATIONS)
        epoch = self.freeze_codes
        if epoch is not None and (not isinstance(epoch, int) or epoch < 0):
            raise OptionError(f"freeze_codes counts epochs from 0, or is None. Received: {epoch!r}.")

    def moves_in(self, epoch: int) -> bool:
        """Whether weights may change their codes in an epoch."""
        return self.freeze_codes is None or epoch < self.freeze_codes
