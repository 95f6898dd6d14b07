"""`tfzip search`: the search of a recipe, alone or together with other machines."""

import json

import click

from tfzip.cli.run import import_quietly


@click.command()
@click.argument("recipe")
@click.option("--storage", default="", help="Of the trials: a database (postgresql://...) or a journal.")
@click.option("--output", default="", help="Folder of the result.  [default: runs/NAME-search]")
@click.option("--trials", type=int, help="How many, instead of what the recipe says.")
@click.option("--unsafe", is_flag=True, help="Allow code inside the model file (Lambda layers).")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON; progress goes to stderr.")
def command(
    recipe: str, *, storage: str, output: str, trials: int | None, unsafe: bool, as_json: bool
) -> None:
    """Run the search step of RECIPE, a TOML file, or continue it.

    The same command with one --storage on several machines shares the trials.
    """
    from tfzip.recipe.loading import load_recipe

    loaded = load_recipe(recipe)
    import_quietly()
    from tfzip.recipe.search_alone import search_recipe

    found = search_recipe(
        loaded,
        storage=storage,
        folder=output,
        trials=trials,
        unsafe=unsafe,
        say=lambda line: click.echo(line, err=True),
    )
    if as_json:
        click.echo(json.dumps(found, indent=2, default=str))
        return
    click.echo(found["summary"])
    for name, option in found["choices"].items():
        click.echo(f"  {name}: {option}")
    click.echo(f"Model:  {found['model']}")
    click.echo(f"Recipe: {found['recipe']}, which trains it from scratch")
    click.echo(f"Trials: {found['page']}")
