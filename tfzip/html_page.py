"""Pages that need nothing outside of them."""

import html
from collections.abc import Iterable, Sequence

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 }
td, th { padding: .25em .6em; text-align: right; white-space: nowrap }
td:first-child, th:first-child { text-align: left } th { border-bottom: 1px solid #888 }
td.words, th.words { text-align: left; white-space: normal }
svg text { font: 13px system-ui, sans-serif } .bar { fill: #7aa6d8 } .other { fill: #d8a47a }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } svg text { fill: #ddd } }
"""


def whole_page(title: str, parts: Iterable[str]) -> str:
    """Returns a page of HTML.

    Args:
        title: As plain text.
        parts: As HTML.
    """
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escaped(title)}</title>'
    return f"{head}<style>{_STYLE}</style>{''.join(parts)}</html>\n"


def html_table(names: Sequence[str], rows: Iterable[Sequence[str]], *, words: Sequence[str] = ()) -> str:
    """Returns a table of plain texts.

    Args:
        names: Of the columns.
        rows: Cells.
        words: Names of columns of running text, which may wrap.
    """
    kinds = [' class="words"' if name in words else "" for name in names]
    head = "".join(f"<th{kind}>{escaped(name)}</th>" for kind, name in zip(kinds, names, strict=True))
    lines = (
        "".join(f"<td{kind}>{escaped(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        for row in rows
    )
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def escaped(value: str) -> str:
    """Returns plain text as HTML."""
    return html.escape(value)
