"""Tables show names as they are and never obey them."""

import io

import pytest
from rich.console import Console

from tfzip.tables import print_table, printable, table


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


@pytest.mark.parametrize("width", [10, 30, 44, 80, 200])
def test_a_table_wider_than_the_console_becomes_several_and_no_cell_is_cut(width):
    buffer = io.StringIO()
    figures = ["0.00108 to 0.00109", "12.1", "1234567", "12.1234"]
    columns = ("file", ">threads", ">interval", ">max", ">p99", ">scalar")
    rows = [["some/long/path/of/a/model.tflite", "1", *figures]]
    console = Console(file=buffer, width=width)
    print_table(console, columns, rows, keys=2, folding=("file",), title="Latency")
    text = buffer.getvalue()
    assert all(figure in text for figure in figures)
    assert all(column.removeprefix(">") in text for column in columns)
    heads = [line for line in text.splitlines() if "threads" in line]
    assert all(line.split()[0] == "file" for line in heads)
    assert len(heads) == {10: 4, 30: 4, 44: 3}.get(width, 1)
    if width >= 44:
        assert max(map(len, text.splitlines())) <= width
