"""`tfzip prune`: a model without the channels that matter least, trained on if wanted, in a child process."""

import json
from dataclasses import asdict
from typing import Any

import click

from tfzip.cli.fit_options import fit_options, in_words_of_options, losses_of


@click.command()
@click.argument("model")
@click.option("-o", "--output", required=True, help="The smaller model, a .keras file.")
@click.option("--fraction", type=float, default=0.5, show_default=True, help="How much to remove.")
@click.option("--criterion", default="magnitude", show_default=True, help="One of `tfzip list criteria`.")
@click.option(
    "--target",
    type=click.Choice(["channels", "macs", "parameters", "bytes"]),
    default="channels",
    show_default=True,
    help="What the fraction is of.",
)
@click.option(
    "--scope",
    type=click.Choice(["layer", "global", "isomorphic", "greedy"]),
    default="layer",
    show_default=True,
    help="Rank channels by layer, all together, with those of layers of their kind, or step by step.",
)
@click.option("--multiple-of", type=int, default=1, show_default=True, help="What widths are multiples of.")
@click.option("--layers", multiple=True, help="Whose channels may go, a glob; repeatable.  [default: all]")
@click.option("--scan", default="", help="A scan by `tfzip sensitivity --prune`, for sensitivity.")
@click.option("--data", help="Training data: .npz, keras:NAME, sklearn:digits, folder, ...")
@click.option("--divide-by", type=float, default=1.0, show_default=True, help="What inputs are divided by.")
@click.option("--finetune-epochs", type=int, default=0, show_default=True, help="Epochs to train on.")
@click.option("--rounds", type=int, default=1, show_default=True, help="Remove and train in so many rounds.")
@click.option(
    "--distill",
    multiple=True,
    callback=losses_of,
    help="Let MODEL teach it, by a loss such as kd or kd:temperature=2; repeatable.",
)
@fit_options
@click.option("--unsafe", is_flag=True, help="Allow code inside the model file (Lambda layers).")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    model: str,
    output: str,
    criterion: str,
    layers: tuple[str, ...],
    data: str | None,
    divide_by: float,
    finetune_epochs: int,
    *,
    unsafe: bool,
    as_json: bool,
    **fields: Any,
) -> None:
    """Write MODEL without the channels that matter least."""
    from tfzip.pruning.criteria import criteria
    from tfzip.recipe.steps.remove_channels import RemoveChannelsStep
    from tfzip.sandbox import run_isolated

    with in_words_of_options():
        step = RemoveChannelsStep(
            epochs=max(finetune_epochs, 1), criterion=criteria.get(criterion), layers=layers, **fields
        )
        report = run_isolated(
            "tfzip.recipe.narrowing:narrow_spec",
            model,
            output,
            step,
            data=data,
            divide_by=divide_by,
            finetune=finetune_epochs > 0,
            unsafe=unsafe,
        )
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2, default=str))
        return
    _print(report)


def _print(report: Any) -> None:
    from tfzip.units import format_fraction

    click.echo(f"Wrote {report.path}")
    for name, (before, after) in (("MACs", report.macs), ("parameters", report.parameters)):
        click.echo(f"  {name}: {before:,} -> {after:,} ({format_fraction(1 - after / before)} gone)")
    for path, reason in report.barriers.items():
        click.echo(f"  channels stay at {path}: {reason}")
    if report.history:
        click.echo("  last epoch: " + ", ".join(f"{k} {v:.4g}" for k, v in report.history[-1].items()))
    else:
        click.echo("  Train it on: what is left has to make up for what is gone.")
