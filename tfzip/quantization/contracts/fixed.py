"""Grids that LiteRT's kernels prescribe for their results."""

from tfzip.schemes import Range

PROBABILITY: Range = (0.0, 255 / 256)
"""Softmax and logistic: step 1/256, zero point at the lowest integer."""
SYMMETRIC_ONE: Range = (-1.0, 127 / 128)
"""Tanh and L2 normalization: step 1/128, zero point 0."""
