"""Tables as people read them: words to the left, numbers to the right and never broken."""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, folding: Collection[str] = (), title: str = ""
) -> "Table":
    """Returns a `rich` table.

    Args:
        columns: Headings; `>` in front marks a column of numbers.
        rows: Cells as plain text.
        folding: Columns that may be broken into lines where there is too little room. Defaults to none.
        title: What stands above the table. Defaults to nothing.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=Text(title, "table.title") if title else None,
        title_justify="left",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column in columns:
        made.add_column(
            column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            no_wrap=column not in folding,
        )
    for row in rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    return made


def printable(text: str) -> str:
    """Replaces what a terminal would obey; names come from files of unknown origin."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
