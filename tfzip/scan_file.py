"""What measured reports have in common: text, JSON and a file."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfzip.files import check_target, written_beside


class ScanFile:
    """Mixed into a dataclass whose `__rich__` is its table."""

    def to_json(self) -> str:
        """Returns the report as JSON."""
        fields: Any = self
        return json.dumps(asdict(fields), indent=2)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report as JSON and returns where."""
        target = check_target(path)
        with written_beside(target) as partial:
            partial.write_text(self.to_json() + "\n")
        return target

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=120, highlight=False)
        with console.capture() as capture:
            console.print(self)
        return capture.get().rstrip()
