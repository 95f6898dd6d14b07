"""Parts of a long measurement, kept in a working folder: a script that was ended goes on where it was."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from common import RESULTS

from tfzip.files import written_beside


class Parts:
    """What is measured already.

    Args:
        name: Of the working folder, below `results/work/`.
    """

    def __init__(self, name: str) -> None:
        self.folder = RESULTS / "work" / name
        self.folder.mkdir(parents=True, exist_ok=True)

    def made(self, name: str, plan: Any, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Returns a part, made unless it was made with the same plan already."""
        part = self.read(name, plan)
        if part is None:
            print(f"{name} ...", flush=True)
            part = {"plan": _facts(plan), **make()}
            with written_beside(self.folder / f"{name}.json") as partial:
                partial.write_text(json.dumps(part, indent=2))
        return part

    def read(self, name: str, plan: Any) -> dict[str, Any] | None:
        """Returns a part, or None if it is missing or was made with another plan."""
        path = self.folder / f"{name}.json"
        part = json.loads(path.read_text()) if path.exists() else {}
        return part if part.get("plan") == _facts(plan) else None

    def forget(self, name: str) -> None:
        """Lets a part be made again."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)


def _facts(plan: Any) -> dict[str, Any]:
    return {name: value for name, value in asdict(plan).items() if name != "data"}
