"""Tables show names as they are and never obey them."""

import io

from rich.console import Console

from tfzip.tables import printable, table


def lines_of(made, width):
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(made)
    return [line.strip() for line in buffer.getvalue().splitlines() if line.strip()]


def test_brackets_are_no_markup_and_controls_are_replaced():
    made = table(("name", ">bytes"), [("m[red]x\x1b[2J", "7")], title="Files")
    assert lines_of(made, 60)[0] == "Files"
    assert lines_of(made, 60)[-1].split() == ["m[red]x\N{REPLACEMENT CHARACTER}[2J", "7"]
    assert printable("a\tb\n") == "a\N{REPLACEMENT CHARACTER}b\n"


def test_folding_columns_give_way_and_numbers_stay_whole():
    made = table(("name", ">bytes"), [("a" * 40, "1234567890")], folding=("name",))
    lines = lines_of(made, 30)
    assert any(line.endswith("1234567890") for line in lines)
    assert sum(line.count("a") for line in lines[2:]) == 40
