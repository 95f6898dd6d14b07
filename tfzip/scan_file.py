"""What measured reports have in common: text, JSON and a file."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

from tfzip.errors import OptionError
from tfzip.files import check_target, write_text


class ScanFile:
    """Mixed into a dataclass that has `rows`, and whose `__rich__` is its table.

    Attributes:
        kind: What it is, in messages.
        row: The dataclass of a row.
    """

    kind: ClassVar[str]
    row: ClassVar[Callable[..., Any]]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns the report that `to_json` wrote.

        Raises:
            OptionError: The text is no such report.
        """
        try:
            fields = json.loads(text)
            fields["rows"] = tuple(cls.row(**row) for row in fields["rows"])
            return cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise OptionError(f"This is no {cls.kind} as `to_json` writes them: {error}.") from error

    def to_json(self) -> str:
        """Returns the report as JSON."""
        fields: Any = self
        return json.dumps(asdict(fields), indent=2)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report as JSON and returns where."""
        target = check_target(path)
        return write_text(target, self.to_json() + "\n")

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=120, highlight=False)
        with console.capture() as capture:
            console.print(self)
        return capture.get().rstrip()
