"""`tfzip convert`: a model becomes a .tflite in a child process, and the audit is printed."""

import dataclasses
import json
from typing import Any

import click

from tfzip.errors import OptionError
from tfzip.schemes import SCHEMES, get_scheme
from tfzip.tables import table
from tfzip.units import format_bytes

_SCHEMES = "; ".join(f"{scheme.name}: {scheme.summary}" for scheme in SCHEMES.values())


@click.command(
    help=f"Convert MODEL (.keras, .h5, SavedModel folder or package.module:function).\n\n{_SCHEMES}."
)
@click.argument("model")
@click.option("-o", "--output", required=True, help="The .tflite to write.")
@click.option(
    "--scheme", help="Number formats of the file.  [default: those the model was trained for, else float32]"
)
@click.option(
    "--max-size", help="Largest file, for example 65KB: --scheme mixed chooses 4 or 8 bits by layer."
)
@click.option(
    "--base", default="int8", show_default=True, help="Scheme around mixed widths: int8 or int8_weights."
)
@click.option("--calibration", help="Data for integer schemes: .npz, keras:NAME, sklearn:digits, folder, ...")
@click.option(
    "--observer",
    default="percentile",
    show_default=True,
    help="How ranges are chosen: percentile, min_max, moving_average, mse or entropy.",
)
@click.option("--batch", type=int, default=1, show_default=True, help="Fixed batch size of the file.")
@click.option(
    "--io", help="Type of inputs and outputs: float32, int8, uint8 or int16.  [default: the scheme's own]"
)
@click.option(
    "--sparse",
    is_flag=True,
    help="Store kernels of at least two thirds zeros without them, where that is smaller.",
)
@click.option("--strict", is_flag=True, help="Fail when anything is left outside the scheme.")
@click.option("--unsafe", is_flag=True, help="Allow code inside the model file (Lambda layers).")
@click.option("--json", "as_json", is_flag=True, help="Print the artifact as JSON.")
def command(model: str, output: str, as_json: bool, **options: Any) -> None:
    """Runs the export in a child, so that nothing the converter does can take the command along."""
    from tfzip.sandbox import run_isolated

    target, chosen = _target(options["scheme"], options.pop("max_size"), options.pop("base"))
    if options["sparse"] and "max_size" in chosen:
        raise OptionError(
            "--sparse and --max-size do not go together: kernels of 4 bits stay dense. Leave out one of them."
        )
    artifact = run_isolated(target, model, output, **options | chosen)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(artifact), default=str, indent=2))
        return
    _print(artifact)


def _target(scheme: str | None, max_size: str | None, base: str) -> tuple[str, dict[str, Any]]:
    """Returns what to run in the child, and the options that take the place of the scheme."""
    if (scheme == "mixed") != (max_size is not None):
        raise OptionError(
            "--scheme mixed and --max-size go together: tfzip convert MODEL --scheme mixed --max-size 65KB."
        )
    if max_size is not None:
        get_scheme(base)
        return "tfzip.precision.mixed:export_within_spec", {"scheme": base, "max_size": max_size}
    if scheme is not None:
        get_scheme(scheme)
    return "tfzip.conversion.export:export_spec", {}


def _print(artifact: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    console.print(
        f"Wrote {artifact.path}: {artifact.scheme}, {format_bytes(artifact.size_bytes)}", soft_wrap=True
    )
    if "sparse" in artifact.metadata:
        console.print(f"  stored sparse: {artifact.metadata['sparse']}", soft_wrap=True)
    if artifact.scheme == "mixed":
        console.print(_widths(artifact.path), soft_wrap=True)
    for kind, specs in (("input", artifact.inputs), ("output", artifact.outputs)):
        for spec in specs:
            grid = f", scale {spec.scale:.6g}, zero point {spec.zero_point}" if spec.scale else ""
            console.print(f"  {kind} {spec.name}: {spec.dtype} {list(spec.shape)}{grid}", soft_wrap=True)
    if not artifact.findings:
        console.print("Audit: every operation is built in and follows the scheme.")
        return
    rows = [(f.kind, f.op, f.layer, f.cost) for f in artifact.findings]
    columns = ("kind", "operation", "layer", "cost")
    console.print(table(columns, rows, folding=columns, title=_title(artifact)))


def _title(artifact: Any) -> str:
    return "Audit: left outside the scheme" + (", or stored dense" if "sparse" in artifact.metadata else "")


def _widths(path: Any) -> str:
    from tfzip.tflite.layer_list import scheme_in
    from tfzip.tflite.metadata import read_metadata

    layers = scheme_in(read_metadata(path)).layers
    narrow = [layer for layer, form in layers if form.bits == 4]
    if not narrow:
        return "  all weights in 8 bits"
    return (
        f"  4 bits: {', '.join(narrow)}; 8 bits: all others. 4 bits save bytes, and may cost time: measure"
        " with tfzip bench."
    )
