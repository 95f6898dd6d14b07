"""`tfzip devices`: where files can be measured from here, and what is missing for the rest."""

from typing import Any

import click


@click.group(invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the devices that answer, and what is missing for the others."""
    if context.invoked_subcommand is None:
        from rich.console import Console

        from tfzip.tables import table

        rows = _rows()
        Console(highlight=False).print(table(("device", "state", "what"), rows, folding=("what",)))


@command.command()
@click.argument("name")
@click.option("--url", help="Where benchmark_model is.  [default: LiteRT's own place]")
@click.option("--sha256", help="Of benchmark_model.  [default: what comes, which is then kept to]")
def setup(name: str, url: str | None, sha256: str | None) -> None:
    """Build and fetch what NAME needs: qemu, android, ssh, or benchmark_model for LiteRT's own tool."""
    from tfzip.bench.devices.setup import set_up

    set_up(name, click.echo, url=url, sha256=sha256)


def _rows() -> list[tuple[Any, ...]]:
    from tfzip.bench.devices import devices

    return [
        (found.spec, found.state, found.what)
        for name in devices
        for found in devices.type_of(name).found_here()
    ]
