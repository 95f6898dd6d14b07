"""`tfzip run`: a recipe is run or continued, and the before/after table is printed."""

import json
import os
import sys
import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tfzip.tables import table

if TYPE_CHECKING:
    from tfzip.recipe.report import RunReport

_STOPPED = 130  # what shells give to a program ended by Ctrl-C


@click.command()
@click.argument("recipe")
@click.option("--output", help="Folder of the run.  [default: runs/NAME]")
@click.option("--fresh", is_flag=True, help="Start over instead of continuing.")
@click.option("--unsafe", is_flag=True, help="Allow code inside the model file (Lambda layers).")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON; progress goes to stderr.")
def command(recipe: str, as_json: bool, **options: Any) -> None:
    """Run RECIPE, a TOML file, or continue it after an interruption or a change."""
    run_and_print(recipe, as_json=as_json, **options)


def run_and_print(
    recipe: str | os.PathLike[str],
    *,
    output: str | None = None,
    fresh: bool = False,
    unsafe: bool = False,
    as_json: bool = False,
) -> None:
    """Runs a recipe and prints its progress and its report."""
    from tfzip.recipe.loading import load_recipe

    loaded = load_recipe(recipe)
    import_quietly()
    from tfzip.recipe.running import run_recipe

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    try:
        report = run_recipe(loaded, output, fresh=fresh, unsafe=unsafe, say=say)
    except KeyboardInterrupt:
        click.echo("Stopped. The same command goes on from here.", err=True)
        sys.exit(_STOPPED)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2, default=str))
    else:
        print_report(report)


def import_quietly() -> None:
    """Imports TensorFlow without its start-up lines, which no setting turns off."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")  # Keras' advice is for those who write models
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow as tf  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def print_report(report: "RunReport") -> None:
    """Prints the before/after table and the paths of the file and the report."""
    from rich.console import Console

    from tfzip.recipe.table import turned

    console = Console(highlight=False, markup=False)
    if report.table:
        (first, *others), *rows = turned(report.table)
        columns = (first, *(f">{heading}" for heading in others))
        title = f"\n{report.name}: before and after"
        console.print(table(columns, rows, folding=columns, title=title))
    if report.file is not None:
        console.print(f"File:   {report.file}", soft_wrap=True)
    console.print(f"Report: {report.report_path}", soft_wrap=True)
