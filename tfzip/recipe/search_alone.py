"""The search step of a recipe by itself, which several processes may share."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfzip.errors import RecipeError
from tfzip.recipe.digests import digest_of
from tfzip.recipe.recipe import Recipe, config_of
from tfzip.recipe.running import data_of, is_from_here
from tfzip.recipe.searching import RECIPE, searched
from tfzip.recipe.steps.search import SearchStep
from tfzip.recipe.steps.step import MODEL_FILE, Work
from tfzip.sources.models import load_model


def search_recipe(
    recipe: Recipe,
    *,
    storage: str = "",
    folder: str = "",
    trials: int | None = None,
    unsafe: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Runs the search step of a recipe, or goes on with it.

    Args:
        recipe: With a search step.
        storage: Of the trials, instead of the recipe's. Defaults to that, or a journal in the folder.
        folder: Where the result goes. Defaults to `runs/NAME-search`.
        trials: How many, instead of what the recipe says.
        unsafe: Whether code inside the model file may run. Defaults to False.
        say: Takes one line of progress at a time. Defaults to `print`.

    Returns:
        What was found, and the paths `model`, `recipe` and `page`.

    Raises:
        RecipeError: The recipe has no search step.
        TfzipError: Model, data and space do not fit, or nothing keeps the constraints.
    """
    step = next((one for one in recipe.steps if isinstance(one, SearchStep)), None)
    if step is None:
        raise RecipeError(f'{recipe.path} has no step = "search". Add one, or use tfzip run.')
    if trials is not None:
        step = replace(step, trials=trials)
    place = Path(folder) if folder else Path("runs") / f"{recipe.name}-search"
    place.mkdir(parents=True, exist_ok=True)
    model, trusted = load_model(recipe.model, unsafe=unsafe), unsafe or is_from_here(recipe)
    model.save(place / "given.keras")
    data = data_of(recipe, model)
    key = digest_of(config_of(replace(step, trials=1, storage="")))
    work = Work(recipe.name, place, place / "given.keras", data, (), key, recipe.seed, trusted, say)
    facts, summary = searched(step, work, storage or step.storage or str(place / "search.journal"))
    paths = {"model": MODEL_FILE, "recipe": RECIPE, "page": "search.html"}
    return {"summary": summary, **facts, **{name: str(place / file) for name, file in paths.items()}}
