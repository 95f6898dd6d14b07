"""`tfzip groups`: which channels of a model go together, and which cannot go."""

import json
from dataclasses import asdict
from typing import Any

import click

from tfzip.tables import table


@click.command()
@click.argument("model")
@click.option("--unsafe", is_flag=True, help="Allow code inside the model file (Lambda layers).")
@click.option("--json", "as_json", is_flag=True, help="Print every slice of every weight as JSON.")
def command(model: str, *, unsafe: bool, as_json: bool) -> None:
    """List the groups of channels of MODEL that can only be removed together."""
    from tfzip.sandbox import run_isolated

    report = run_isolated("tfzip.recipe.narrowing:groups_spec", model, unsafe=unsafe)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
        return
    _print(report)


def _print(report: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    rows = [
        (group.name, str(group.size), _paths(group, "out"), _paths(group, "in")) for group in report.groups
    ]
    columns = ("group", ">channels", "made by", "read by")
    console.print(table(columns, rows, folding=columns[2:], title=f"{report.name}: channels that can go"))
    for path, reason in report.barriers.items():
        console.print(f"stopped at {path}: {reason}", soft_wrap=True)
    returned = [group.name for group in report.fixed if group.reason == "the model returns them"]
    if returned:
        console.print(f"returned by the model: {', '.join(returned)}", soft_wrap=True)


def _paths(group: Any, role: str) -> str:
    return ", ".join(dict.fromkeys(one.path for one in group.slices if one.role == role))
