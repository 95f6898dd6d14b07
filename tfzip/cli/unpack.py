"""`tfzip unpack`: the .tflite that `tfzip pack` packed."""

import click

from tfzip.units import format_bytes


@click.command()
@click.argument("file", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="What to write. Defaults to FILE with .tflite.")
def command(file: str, output: str | None) -> None:
    """Write the .tflite that FILE holds, the same in every byte."""
    from tfzip.packing import unpack

    target = unpack(file, output)
    click.echo(f"Written to {target}, {format_bytes(target.stat().st_size)}")
