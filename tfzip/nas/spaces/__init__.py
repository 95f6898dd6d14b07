"""Spaces that are ready: one family of networks per file."""

from tfzip.nas.spaces.mobilenet import mobilenet
from tfzip.nas.spaces.model_space import ModelSpace
from tfzip.nas.spaces.resnet import resnet
from tfzip.nas.spaces.sequence import sequence

__all__ = ["ModelSpace", "mobilenet", "resnet", "sequence"]
