"""What every registered strategy has to do; a new entry inherits these tests."""

import dataclasses
import inspect
import re

import numpy as np
import pytest

from tfzip.bench.devices import devices
from tfzip.distillation.losses import distillation_losses
from tfzip.errors import OptionError, UnknownNameError
from tfzip.nas.strategies import strategies
from tfzip.pruning.criteria import WeightCriterion, criteria
from tfzip.pruning.patterns import patterns
from tfzip.pruning.schedules import schedules
from tfzip.quantization.observers import observers
from tfzip.recipe.augmentations import augmentations
from tfzip.recipe.steps import steps
from tfzip.registry import Registry
from tfzip.runtime.runtimes import runtimes
from tfzip.sources.datasets import datasets

REGISTRIES: list[Registry] = [
    augmentations,
    criteria,
    datasets,
    devices,
    distillation_losses,
    observers,
    patterns,
    runtimes,
    schedules,
    steps,
    strategies,
]
REQUIRED = {"dataset": "digits", "epochs": 1, "function": "package.module:load", "path": "data"}
ENTRIES = [(registry, name) for registry in REGISTRIES for name in registry]

every_entry = pytest.mark.parametrize(
    ("registry", "name"), ENTRIES, ids=[f"{registry.kind}-{name}" for registry, name in ENTRIES]
)
SHAPES = [(7,), (5, 4), (3, 3, 2, 8), (1, 1)]


def entries_of(registry):
    return pytest.mark.parametrize("strategy", [registry.get(name) for name in registry], ids=list(registry))


def fields_of(registry, name):
    return [field.name for field in dataclasses.fields(registry.type_of(name))]


def build(registry, name):
    """Returns a strategy with its defaults, and an example in fields that have none."""
    fields = dataclasses.fields(registry.type_of(name))
    required = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    return registry.get({"name": name} | {field: REQUIRED[field] for field in required})


@every_entry
def test_a_configuration_makes_an_equal_strategy(registry, name):
    strategy = build(registry, name)
    config = registry.config_of(strategy)
    assert config["name"] == name
    assert set(config) == {"name", *fields_of(registry, name)}
    assert registry.get(config) == strategy


@every_entry
def test_a_strategy_is_frozen_and_hashable(registry, name):
    strategy = build(registry, name)
    assert hash(strategy) == hash(build(registry, name))
    with pytest.raises(dataclasses.FrozenInstanceError):
        strategy.anything = 1


@every_entry
def test_an_unknown_field_is_refused_with_the_near_name(registry, name):
    known = fields_of(registry, name)
    wrong = f"{known[0]}x" if known else "anything"
    expected = f"Did you mean '{known[0]}'" if known else "Its fields: none"
    with pytest.raises(OptionError, match=expected):
        registry.get({"name": name, wrong: 1})


@every_entry
def test_an_unknown_name_is_refused_with_the_near_name(registry, name):
    with pytest.raises(UnknownNameError, match=f"Did you mean {name!r}"):
        registry.get(f"{name}_")


@every_entry
def test_the_docstring_tells_every_field_and_its_default(registry, name):
    cls = registry.type_of(name)
    documented = "\n".join(inspect.cleandoc(base.__doc__ or "") for base in cls.__mro__)
    for field in dataclasses.fields(cls):
        entry = re.search(rf"^    {field.name}: (.*(?:\n {{8}}.*)*)", documented, re.MULTILINE)
        assert entry, f"{name} does not document {field.name}"
        if isinstance(field.default, int | float | str) and field.default != "":
            assert str(field.default) in entry[1], f"{name} does not tell the default of {field.name}"
        elif field.default is not dataclasses.MISSING:
            assert "Defaults to" in entry[1], f"{name} does not tell the default of {field.name}"


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_names_are_class_names_without_the_role(registry):
    for name in registry:
        stem = registry.type_of(name).__name__.removesuffix(registry.kind)
        assert stem.lower() == name.replace("_", "")


@entries_of(schedules)
def test_a_schedule_never_falls_and_ends_at_its_target(strategy):
    sparsities = [strategy(progress) for progress in np.linspace(0.0, 1.0, 101)]
    assert sparsities == sorted(sparsities)
    assert sparsities[-1] == strategy.sparsity
    assert 0.0 <= sparsities[0] <= sparsities[-1] < 1.0


@pytest.mark.parametrize(
    "strategy",
    [criteria.get(name) for name in criteria if issubclass(criteria.type_of(name), WeightCriterion)],
    ids=criteria.name_of,
)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_scores_are_numbers_and_shaped_like_the_kernel_and_a_zero_scores_lowest(strategy, shape, dtype):
    weights = np.random.default_rng(0).normal(size=shape).astype(dtype)
    before = weights.copy()
    weights.flat[0] = before.flat[0] = 0
    start = np.random.default_rng(1).normal(size=shape).astype(dtype)
    scores = strategy.score_moved(weights, start)
    assert scores.shape == shape
    assert np.isfinite(scores.flat[1:]).all()
    assert scores.flat[0] == scores.min()
    np.testing.assert_array_equal(weights, before)
    zeros = np.zeros(shape, dtype)
    assert not np.isnan(strategy.score_moved(zeros, zeros)).any()
    if strategy.needs != "start":
        np.testing.assert_array_equal(strategy.score(weights), scores)
        assert np.isfinite(scores).all()
        assert scores.min() >= 0.0


@entries_of(patterns)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.9])
def test_a_mask_removes_the_exact_count_and_leaves_the_scores_alone(strategy, shape, sparsity):
    try:
        strategy.check(shape, sparsity)
    except OptionError:
        with pytest.raises(OptionError):  # what does not fit is never masked otherwise
            strategy.mask(np.ones(shape), sparsity)
        return
    unit = strategy.unit(shape)
    scores = np.random.default_rng(0).integers(0, 3, shape).astype(np.float32)  # many ties
    before = scores.copy()
    mask = strategy.mask(scores, sparsity)
    assert mask.shape == shape
    assert mask.dtype == np.bool_
    assert np.count_nonzero(~mask) == unit * min(round(sparsity * mask.size / unit), mask.size // unit - 1)
    np.testing.assert_array_equal(mask, strategy.mask(scores, sparsity))
    np.testing.assert_array_equal(scores, before)
