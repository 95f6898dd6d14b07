"""Runs recipes in a child process: a run makes TensorFlow deterministic in its whole process."""

from pathlib import Path

TINY = """
name = "tiny"
seed = 5
model = "tfzip.recipe.demo:digits_model"
data = "sklearn:digits"

[[steps]]
step = "train"
epochs = 3
batch_size = 128
learning_rate = 0.01

[[steps]]
step = "prune"
epochs = 3
batch_size = 128
schedule = { name = "polynomial", sparsity = 0.5 }

[[steps]]
step = "export"
scheme = "int8"
calibration_samples = 32

[[steps]]
step = "evaluate"

[[steps]]
step = "compare"
samples = 100
"""


def write_recipe(path, text=TINY):
    Path(path).write_text(text)
    return str(path)


def run(recipe, folder, **options):
    """Returns the report and the lines of progress."""
    from tfzip.recipe.running import run_recipe

    lines = []
    return run_recipe(recipe, folder, say=lines.append, **options), lines


def facts_of(report):
    """Returns what must not depend on interruptions: figures and digests, without times."""
    return [(record.step, record.content, record.facts) for record in report.steps]
