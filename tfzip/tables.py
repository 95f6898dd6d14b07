"""Tables as people read them: words to the left, numbers to the right and never broken."""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_LEAST_FOLDED = 12
_UNLIMITED = 100_000


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


def print_table(
    console: "Console",
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    keys: int = 1,
    folding: Collection[str] = (),
    title: str = "",
) -> None:
    """Prints a table whose cells are all whole: as several tables where it is wider than the console.

    Args:
        console: Where it is printed.
        columns: As for `table`.
        rows: As for `table`.
        keys: How many of the first columns every part repeats. Defaults to 1.
        folding: As for `table`; these keep at least 12 characters.
        title: Stands above the first part. Defaults to nothing.
    """

    def of(part: Sequence[int], title: str = "") -> "Table":
        cells = [[row[place] for place in part] for row in rows]
        made = table([columns[place] for place in part], cells, folding=folding, title=title)
        _keep_whole(made, folding)
        return made

    parts = [list(range(keys))]
    for place in range(keys, len(columns)):
        if len(parts[-1]) > keys and _least_width(console, of([*parts[-1], place])) > console.width:
            parts.append(list(range(keys)))
        parts[-1].append(place)
    for number, part in enumerate(parts):
        made, least = of(part, "" if number else title), _least_width(console, of(part))
        made.width = least if least > console.width else None  # a terminal breaks what is still wider
        console.print(made, crop=False)


def _keep_whole(made: "Table", folding: Collection[str]) -> None:
    """Sets the least width of each column: that of its cells, or little for a column that folds."""
    from rich.cells import cell_len

    for column in made.columns:
        lines = [line for cell in (column.header, *column.cells) for line in str(cell).splitlines()]
        whole = max(map(cell_len, lines), default=0)
        column.min_width = min(whole, _LEAST_FOLDED) if column.header in folding else whole


def _least_width(console: "Console", made: "Table") -> int:
    """Returns how wide a table has to be; it is not printed afterwards."""
    from rich.measure import Measurement

    for column in made.columns:
        column.max_width = column.min_width
    return Measurement.get(console, console.options.update_width(_UNLIMITED), made).minimum


def printable(text: str) -> str:
    """Replaces what a terminal would obey; names come from files of unknown origin."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
