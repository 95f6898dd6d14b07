"""`tfzip sensitivity`: what widths of layers cost, or the loss of channels, measured in a child process."""

from typing import Any, get_args

import click

from tfzip.errors import OptionError
from tfzip.recipe.steps.train import LOSSES

_OF_WIDTHS = ("bits", "metric", "scheme")
_OF_CHANNELS = ("ratios", "loss", "from_logits", "divide_by")
_SAMPLES = {False: 256, True: 2048}


@click.command()
@click.argument("model")
@click.option(
    "--data",
    required=True,
    help="Training or calibration samples, never a test set: .npz, keras:NAME, sklearn:digits, folder, ...",
)
@click.option("--prune", is_flag=True, help="Remove channels of one group at a time, not bits of one layer.")
@click.option("--bits", default="4,8", show_default=True, help="Widths to try.")
@click.option("--metric", default="logits", show_default=True, help="logits, kl or loss.")
@click.option(
    "--scheme", default="int8", show_default=True, help="What the rest of the file is: int8, int8_weights."
)
@click.option(
    "--ratios",
    default="0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",
    show_default=True,
    help="With --prune: shares of a group to try.",
)
@click.option(
    "--loss",
    type=click.Choice(get_args(LOSSES)),
    default="sparse_categorical_crossentropy",
    show_default=True,
    help="With --prune: what is measured.",
)
@click.option("--from-logits", is_flag=True, help="With --prune: the model ends without softmax or sigmoid.")
@click.option(
    "--divide-by",
    type=float,
    default=1.0,
    show_default=True,
    help="With --prune: what inputs are divided by.",
)
@click.option(
    "--samples", type=int, help="Rows to draw from the training split.  [default: 256, 2048 with --prune]"
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of rows and intervals.")
@click.option("--unsafe", is_flag=True, help="Allow code inside the model file (Lambda layers).")
@click.option("--plot", help="Draw the scan to this .png, .svg or .pdf.")
@click.option("--output", help="Write the scan as JSON to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print the scan as JSON.")
@click.pass_context
def command(
    context: click.Context,
    /,
    model: str,
    data: str,
    prune: bool,
    samples: int | None,
    seed: int,
    unsafe: bool,
    plot: str | None,
    output: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Round each layer of MODEL alone, or remove channels of each group, and show what it costs."""
    from rich.console import Console

    from tfzip.files import check_target
    from tfzip.picture import check_picture
    from tfzip.sandbox import run_isolated

    _refuse(context, _OF_WIDTHS if prune else _OF_CHANNELS, prune)
    if plot is not None:
        check_picture(plot)
    if output is not None:
        check_target(output)
    given: dict[str, Any] = {
        "samples": _SAMPLES[prune] if samples is None else samples,
        "seed": seed,
        "unsafe": unsafe,
    }
    if prune:
        given |= {
            "ratios": _numbers(options["ratios"]),
            "divide_by": options["divide_by"],
            "plan": _plan(options["loss"], options["from_logits"]),
        }
        report = run_isolated("tfzip.recipe.narrowing:scan_spec", model, data, **given)
    else:
        given |= {"bits": _widths(options["bits"]), "metric": options["metric"], "scheme": options["scheme"]}
        report = run_isolated("tfzip.precision.mixed:sensitivity_spec", model, data, **given)
    for made in (plot and report.plot(plot), output and report.save(output)):
        if made:
            click.echo(f"Wrote {made}", err=True)
    if as_json:
        click.echo(report.to_json())
    else:
        Console(highlight=False).print(report)


def _refuse(context: click.Context, others: tuple[str, ...], prune: bool) -> None:
    """Raises `OptionError` if an option of the other kind of scan is given."""
    for name in others:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = f"--{name.replace('_', '-')}"
            kind = "widths: leave it or --prune out" if prune else "channels: add --prune, or leave it out"
            raise OptionError(f"{option} is for a scan of {kind}.")


def _plan(loss: str, from_logits: bool) -> Any:
    from tfzip.recipe.steps.train import TrainStep

    fields: Any = {"loss": loss, "from_logits": from_logits}
    return TrainStep(epochs=1, **fields)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(
            f"--ratios takes numbers with commas, such as 0.2,0.5. Received: {text!r}."
        ) from None


def _widths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not parts or not set(parts) <= {"4", "8"}:
        raise OptionError(f"--bits takes 4, 8 or both with a comma. Received: {text!r}.")
    return tuple(sorted({int(part) for part in parts}))
