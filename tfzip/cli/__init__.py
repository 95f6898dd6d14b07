"""The command line: a lazy group, so that `tfzip --help` loads click and nothing else."""

import sys
from importlib import import_module

import click

from tfzip.errors import TfzipError, did_you_mean, one_line
from tfzip.version import __version__

COMMANDS = {
    "bench": "Measure latency and memory of .tflite files, paired.",
    "compare": "Check that a file computes what its model computes.",
    "convert": "Turn a Keras model into a .tflite and audit it.",
    "demo": "Run the whole path on scikit-learn's digits.",
    "distill": "Train a student with a teacher.",
    "devices": "List where files can be measured, and set it up.",
    "doctor": "Say what is installed and what answers.",
    "groups": "List the channels of a model that go together.",
    "inspect": "Show what is in a .tflite file.",
    "list": "List schemes, criteria, schedules and every other name.",
    "pack": "Make a .tflite small to download.",
    "prune": "Write a model without the channels that matter least.",
    "run": "Run a recipe, or continue an interrupted run.",
    "search": "Look for a network within limits, alone or with other machines.",
    "sensitivity": "Show how much each layer's width costs.",
    "unpack": "Give back the .tflite that was packed.",
}


class LazyGroup(click.Group):
    """A group whose commands live in `tfzip.cli.<name>` and are imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Returns the commands' names in alphabetical order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Imports and returns a command, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"tfzip.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolves a command and suggests the near name for an unknown one."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}.{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Writes the listing from the table above instead of importing every command."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tfzip")
def tfzip() -> None:
    """Compress Keras models and deploy them, with proof on the file."""


def main() -> None:
    """Runs the command line; a `TfzipError` becomes one line on standard error and exit status 1."""
    try:
        tfzip.main(prog_name="tfzip", standalone_mode=True)
    except TfzipError as error:
        click.echo(f"Error: {one_line(error)}", err=True)
        sys.exit(1)
