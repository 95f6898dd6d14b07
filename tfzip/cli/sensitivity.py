"""`tfzip sensitivity`: what each width of each layer costs, measured in a child process."""

from typing import Any

import click

from tfzip.errors import OptionError


@click.command()
@click.argument("model")
@click.option(
    "--data",
    required=True,
    help="Calibration samples, never a test set: .npz, keras:NAME, sklearn:digits, folder, ...",
)
@click.option("--bits", default="4,8", show_default=True, help="Widths to try.")
@click.option("--metric", default="logits", show_default=True, help="logits, kl or loss.")
@click.option(
    "--scheme", default="int8", show_default=True, help="What the rest of the file is: int8, int8_weights."
)
@click.option(
    "--samples", type=int, default=256, show_default=True, help="Rows to draw from the training split."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of rows and intervals.")
@click.option("--unsafe", is_flag=True, help="Allow code inside the model file (Lambda layers).")
@click.option("--plot", help="Draw the scan to this .png, .svg or .pdf.")
@click.option("--output", help="Write the scan as JSON to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print the scan as JSON.")
def command(
    model: str, data: str, bits: str, plot: str | None, output: str | None, as_json: bool, **options: Any
) -> None:
    """Round each layer of MODEL alone and show how far the outputs move."""
    from rich.console import Console

    from tfzip.precision.plot import check_picture
    from tfzip.sandbox import run_isolated

    widths = _widths(bits)
    if plot is not None:
        check_picture(plot)
    report = run_isolated("tfzip.precision.mixed:sensitivity_spec", model, data, bits=widths, **options)
    messages = Console(stderr=True, highlight=False)
    for made in (plot and report.plot(plot), output and report.save(output)):
        if made:
            messages.print(f"Wrote {made}", soft_wrap=True)
    if as_json:
        click.echo(report.to_json())
    else:
        Console(highlight=False).print(report)


def _widths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not parts or not set(parts) <= {"4", "8"}:
        raise OptionError(f"--bits takes 4, 8 or both with a comma. Received: {text!r}.")
    return tuple(sorted({int(part) for part in parts}))
