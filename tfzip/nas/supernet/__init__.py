"""Many networks with shared weights in one: a layer with options, their training, and what each is worth."""

from tfzip.nas.supernet.choice_layer import ChoiceLayer
from tfzip.nas.supernet.one_shot import OneShot
from tfzip.nas.supernet.supernet import Supernet

__all__ = ["ChoiceLayer", "OneShot", "Supernet"]
