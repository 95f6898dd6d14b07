"""Instructions of an inference."""

from dataclasses import dataclass

from tfzip.costs.cost import Candidate, Cost, costs
from tfzip.errors import OptionError


@costs.register
@dataclass(frozen=True)
class InstructionsCost(Cost):
    """Instructions of an inference on an emulated core, counted."""

    def of(self, candidate: Candidate) -> float:
        """Returns their number; raises `OptionError` for a device that counts none."""
        if not candidate.measured.instructions:
            raise OptionError(
                f"{candidate.measured.device['name']} counts no instructions. Name an emulated core, such as"
                " qemu:cortex-a53."
            )
        return candidate.measured.instructions[0].instructions.total
