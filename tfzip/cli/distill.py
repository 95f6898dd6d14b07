"""`tfzip distill`: a student that learns from a teacher, trained in a child process."""

import json
from typing import Any

import click

from tfzip.cli.fit_options import fit_options, in_words_of_options, losses_of


@click.command()
@click.argument("teacher")
@click.option("-o", "--output", required=True, help="The trained student, a .keras file.")
@click.option("--student", default="", help="A .keras file, or package.module:function that makes it.")
@click.option("--width", type=float, default=0.5, show_default=True, help="Else it keeps so many channels.")
@click.option("--depth", type=float, default=1.0, show_default=True, help="And so many residual blocks.")
@click.option("--fresh", is_flag=True, help="Draw the weights of a student that is cut anew.")
@click.option("--data", required=True, help="Training data: .npz, keras:NAME, sklearn:digits, folder, ...")
@click.option("--divide-by", type=float, default=1.0, show_default=True, help="What inputs are divided by.")
@click.option(
    "--distill",
    multiple=True,
    default=("kd",),
    show_default=True,
    callback=losses_of,
    help="A loss, with fields as in kd:temperature=2; repeatable.",
)
@click.option("--label-weight", type=float, default=1.0, show_default=True, help="Weight of the labels.")
@click.option("--epochs", type=int, default=10, show_default=True, help="How often every row is seen.")
@fit_options
@click.option("--unsafe", is_flag=True, help="Allow code inside model files (Lambda layers).")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    teacher: str,
    output: str,
    data: str,
    divide_by: float,
    *,
    fresh: bool,
    unsafe: bool,
    as_json: bool,
    **fields: Any,
) -> None:
    """Train a student with TEACHER, a .keras file, and write it."""
    from tfzip.recipe.steps.distill import DistillStep
    from tfzip.sandbox import run_isolated

    with in_words_of_options():
        step = DistillStep(inherit=not fresh, **fields)
        facts = run_isolated(
            "tfzip.recipe.teaching:distill_spec",
            teacher,
            output,
            step,
            data=data,
            divide_by=divide_by,
            unsafe=unsafe,
        )
    if as_json:
        click.echo(json.dumps(facts, indent=2, default=str))
        return
    click.echo(f"Wrote {facts['path']}")
    for name in ("macs", "parameters"):
        click.echo(f"  {name}: {facts[name]['teacher']:,} -> {facts[name]['student']:,}")
    click.echo("  last epoch: " + ", ".join(f"{k} {v:.4g}" for k, v in facts["history"][-1].items()))
