"""Where data comes from: one source per file."""

from tfzip.sources.datasets import folder, function, keras, npz, sklearn
from tfzip.sources.datasets.dataset import Dataset, Inputs, datasets

__all__ = ["Dataset", "Inputs", "datasets", "folder", "function", "keras", "npz", "sklearn"]
