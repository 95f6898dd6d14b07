"""`tfzip compare`: a model and its file on the same data, both in child processes."""

import sys
from typing import TYPE_CHECKING, Any

import click

from tfzip.errors import OptionError
from tfzip.units import format_fraction

if TYPE_CHECKING:
    from tfzip.runtime.parity import ParityReport


@click.command()
@click.argument("model")
@click.argument("file")
@click.option(
    "--data", required=True, help="Inputs and targets: .npz, keras:NAME, sklearn:digits, folder, ..."
)
@click.option("--samples", type=int, help="Rows to draw at random.  [default: all]")
@click.option("--divide-by", type=float, default=1.0, show_default=True, help="Divides every input.")
@click.option("--batch-size", type=int, default=32, show_default=True, help="Samples in a batch.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of rows and bootstrap.")
@click.option(
    "--min-agreement", type=float, help="Exit with status 1 below this fraction of equal decisions."
)
@click.option("--unsafe", is_flag=True, help="Allow code inside the model file (Lambda layers).")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    model: str, file: str, data: str, min_agreement: float | None, as_json: bool, **options: Any
) -> None:
    """Check that FILE computes what MODEL computes, and name the first operation that does not."""
    from tfzip.runtime.session import existing_file
    from tfzip.sandbox import run_isolated

    _check(min_agreement, options["samples"])
    existing_file(file)
    report = run_isolated("tfzip.runtime.compare:compare_spec", model, file, data, **options)
    click.echo(report.to_json() if as_json else str(report))
    if min_agreement is not None:
        _enforce(report, min_agreement)


def _check(min_agreement: float | None, samples: int | None) -> None:
    if min_agreement is not None and not 0.0 < min_agreement <= 1.0:
        raise OptionError(f"--min-agreement is a fraction in (0, 1]. Received: {min_agreement!r}.")
    if samples is not None and samples < 1:
        raise OptionError(f"--samples must be at least 1. Received: {samples}.")


def _enforce(report: "ParityReport", min_agreement: float) -> None:
    if report.agreement is None:
        raise OptionError(
            "--min-agreement needs an output that decides something; this model's are regressions."
        )
    if report.agreement < min_agreement:
        click.echo(
            f"Error: Model and file agree on {format_fraction(report.agreement)} of the decisions;"
            f" --min-agreement asks for {format_fraction(min_agreement)}.",
            err=True,
        )
        sys.exit(1)
