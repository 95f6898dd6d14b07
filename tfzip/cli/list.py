"""`tfzip list`: every name that a recipe or the command line takes, with one line each."""

import json
from importlib import import_module
from typing import Any

import click

from tfzip.errors import UnknownNameError
from tfzip.schemes import SCHEMES

_REGISTRIES = {
    "augmentations": "tfzip.recipe.augmentations",
    "costs": "tfzip.costs",
    "criteria": "tfzip.pruning.criteria",
    "datasets": "tfzip.sources.datasets",
    "devices": "tfzip.bench.devices",
    "distillation_losses": "tfzip.distillation.losses",
    "observers": "tfzip.quantization.observers",
    "patterns": "tfzip.pruning.patterns",
    "runtimes": "tfzip.runtime.runtimes",
    "schedules": "tfzip.pruning.schedules",
    "steps": "tfzip.recipe.steps",
    "stoppers": "tfzip.nas.stoppers",
    "strategies": "tfzip.nas.strategies",
}
KINDS = sorted([*_REGISTRIES, "schemes"])


@click.command()
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print names and descriptions as JSON.")
def command(kind: str | None, as_json: bool) -> None:
    """List the names of KIND, or of all kinds.

    Kinds: augmentations, costs, criteria, datasets, devices, distillation_losses, observers, patterns,
    runtimes, schedules, schemes, steps, stoppers, strategies.
    """
    if kind is not None and kind not in KINDS:
        raise UnknownNameError("kind", kind, KINDS)
    found = {name: names_of(name) for name in ([kind] if kind else KINDS)}
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, entries in found.items():
        click.echo(name)
        width = max(map(len, entries))
        for entry, summary in entries.items():
            click.echo(f"  {entry:{width}}  {summary}")


def names_of(kind: str) -> dict[str, str]:
    """Returns each name of a kind with the first sentence of its description."""
    if kind == "schemes":
        return {scheme.name: scheme.summary for scheme in SCHEMES.values()}
    registry: Any = getattr(import_module(_REGISTRIES[kind]), kind)
    return {name: _first_line(registry.type_of(name)) for name in registry}


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]
