"""Spaces that are ready: one family of networks per file."""

from collections.abc import Callable

from tfzip.nas.spaces.mobilenet import mobilenet
from tfzip.nas.spaces.model_space import ModelSpace
from tfzip.nas.spaces.resnet import resnet
from tfzip.nas.spaces.sequence import sequence

READY: dict[str, Callable[..., ModelSpace]] = {"mobilenet": mobilenet, "resnet": resnet, "sequence": sequence}
"""By name: from the shape of an input and the number of outputs to a `ModelSpace`."""

__all__ = ["READY", "ModelSpace", "mobilenet", "resnet", "sequence"]
