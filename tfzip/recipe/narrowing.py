"""Models named by their files: their groups of channels, and the same models without some of them."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tfzip.errors import DataError, OptionError
from tfzip.explained import explained
from tfzip.graph.channels import ChannelGroup, Channels
from tfzip.pruning.channels.scan_report import ChannelScan
from tfzip.recipe.one_step import target_of, work_in
from tfzip.recipe.steps.remove_channels import RemoveChannelsStep, drawn_rows
from tfzip.recipe.steps.step import MODEL_FILE
from tfzip.recipe.steps.train import TrainStep
from tfzip.sources.data import load_data
from tfzip.sources.models import load_model


@dataclass(frozen=True)
class GroupsReport:
    """The channels of a model.

    Attributes:
        name: Of the model.
        groups: Channels that may go.
        fixed: Channels that stay.
        barriers: Reason by path of every call at which channels have to stay.
    """

    name: str
    groups: tuple[ChannelGroup, ...]
    fixed: tuple[ChannelGroup, ...]
    barriers: dict[str, str]


@dataclass(frozen=True)
class NarrowingReport:
    """What a model without channels saves.

    Attributes:
        path: The new model.
        macs: Multiply-accumulates before and after.
        parameters: Numbers held before and after.
        barriers: Reason by path of every call at which channels had to stay.
        history: Logs of each epoch of the training that followed.
    """

    path: Path
    macs: tuple[int, int]
    parameters: tuple[int, int]
    barriers: dict[str, str]
    history: tuple[dict[str, float], ...]


def groups_spec(model: str, *, unsafe: bool = False) -> GroupsReport:
    """Returns the groups of channels of a model file."""
    loaded = load_model(model, unsafe=unsafe)
    channels = Channels(loaded)
    return GroupsReport(loaded.name, channels.groups, channels.fixed, channels.barriers)


def scan_spec(
    model: str,
    data: str,
    plan: TrainStep,
    *,
    ratios: tuple[float, ...],
    samples: int,
    seed: int = 0,
    divide_by: float = 1.0,
    unsafe: bool = False,
) -> ChannelScan:
    """Returns what a model file is worth without more and more channels of each group.

    Args:
        model: The model file.
        data: Training rows are drawn from it; as for `load_data`.
        plan: Tells the loss.
        ratios: Shares of a group to try.
        samples: Rows to draw from the training split.
        seed: Seed of these.
        divide_by: What inputs are divided by. Defaults to 1.
        unsafe: Whether code inside the model file may run. Defaults to False.

    Raises:
        DataError: The data do not fit or have no targets.
        OptionError: An option is out of range, or the loss does not fit.
    """
    from tfzip.pruning.channels.scan import channel_sensitivity, check_samples

    check_samples(samples)
    loaded = load_model(model, unsafe=unsafe)
    splits = load_data(data, split="train", divide_by=divide_by)
    if splits.y_train is None:
        raise DataError("A scan needs targets, and the data has none. Expected y, or y_train and y_test.")
    with explained("The scan", "Check that the loss and the data fit the model."):
        rows = drawn_rows(loaded, plan, splits, seed, samples)
        return channel_sensitivity(loaded, rows, ratios=ratios, samples=samples)


def narrow_spec(
    model: str,
    output: str,
    step: RemoveChannelsStep,
    *,
    data: str | None = None,
    divide_by: float = 1.0,
    finetune: bool = True,
    unsafe: bool = False,
) -> NarrowingReport:
    """Writes a model without some of its channels.

    Args:
        model: The model file.
        output: Path of the new model, ending in `.keras`.
        step: What to remove and how to train on.
        data: What the criterion looks at and the training takes, as for `load_data`. Defaults to None.
        divide_by: What inputs are divided by. Defaults to 1.
        finetune: Whether to train on. Defaults to True.
        unsafe: Whether code inside the model file may run. Defaults to False.

    Raises:
        OptionError: Training or the criterion needs data that is missing, or nothing can be removed.
    """
    from tfzip.graph import profile

    target = target_of(output, model)
    if not finetune and (step.rounds > 1 or step.distill):
        what = "--rounds" if step.rounds > 1 else "--distill"
        raise OptionError(f"{what} is about the training that follows. Pass --finetune-epochs, too.")
    if data is None and (finetune or step.needs_data):
        what = "--finetune-epochs" if finetune else "this choice"
        raise OptionError(f"{what} needs data: --data keras:cifar10, a .npz, a folder of images.")
    loaded = load_model(model, unsafe=unsafe)
    splits = load_data(data, split="train", divide_by=divide_by) if data is not None else None
    with tempfile.TemporaryDirectory(prefix="tfzip-", dir=target.parent) as folder:
        work = work_in(Path(folder), Path(model), splits, unsafe=unsafe)
        history: list[dict[str, float]] = []
        if finetune:
            history = step.run(work).facts["history"]
            small = load_model(work.folder / MODEL_FILE, unsafe=unsafe)
        else:
            small = step.narrowed(loaded, work)
            small.save(work.folder / MODEL_FILE)
        (work.folder / MODEL_FILE).replace(target)
    before, after = profile(loaded), profile(small)
    return NarrowingReport(
        target,
        (before.macs, after.macs),
        (before.parameters, after.parameters),
        Channels(loaded).barriers,
        tuple(history),
    )
