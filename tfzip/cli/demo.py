"""`tfzip demo`: the packaged recipe on scikit-learn's digits."""

import click


@click.command()
@click.option("--output", help="Folder of the run.  [default: runs/digits_demo]")
@click.option("--fresh", is_flag=True, help="Start over instead of showing what is there.")
def command(output: str | None, fresh: bool) -> None:
    """Train, prune, convert, check and measure a small network on real digits, in about a minute."""
    from tfzip.cli.run import run_and_print
    from tfzip.recipe.demo import DIGITS_RECIPE

    run_and_print(DIGITS_RECIPE, output=output, fresh=fresh)
