"""`tfzip pack`: a .tflite in a form that is small to download."""

import json

import click

from tfzip.units import format_bytes, format_fraction


@click.command()
@click.argument("file", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="What to write. Defaults to FILE with .tfzp.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(file: str, output: str | None, as_json: bool) -> None:
    """Write FILE, a .tflite, small to download; `tfzip unpack` gives back the same bytes."""
    from pathlib import Path

    from tfzip.packing import deflate_bytes, pack

    target = pack(file, output)
    sizes = {
        "device_bytes": Path(file).stat().st_size,
        "deflate_bytes": deflate_bytes(file),
        "packed_bytes": target.stat().st_size,
    }
    if as_json:
        click.echo(json.dumps({"path": str(target), **sizes}, indent=2))
        return
    labels = ("On the device", "In an APK", "Packed")
    for label, size in zip(labels, sizes.values(), strict=True):
        share = format_fraction(size / sizes["device_bytes"])
        click.echo(f"{label:<15}{format_bytes(size):>12}{share:>12}")
    click.echo(f"Written to {target}")
