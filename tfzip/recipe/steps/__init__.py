"""The verbs of a recipe: one step per file."""
