"""What a search found: the best, the front, every trial; as text, JSON, CSV, a page and a picture."""

import csv
import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfzip.errors import OptionError
from tfzip.files import check_target, write_text
from tfzip.nas.page import axes_of, figure, page, told_choices
from tfzip.nas.trial import Goal, Trial
from tfzip.picture import drawn
from tfzip.scan_file import ScanFile
from tfzip.tables import table

_INCHES = (7.0, 5.0)
_SHOWN = 12


@dataclass(frozen=True)
class SearchResult(ScanFile):
    """The outcome of a search.

    Attributes:
        maximize: Names of what was wanted; a minus in front asked for small values.
        constraints: Largest value by metric.
        trials: Every trial, in the order in which they ended.
    """

    maximize: tuple[str, ...]
    constraints: Mapping[str, float]
    trials: tuple[Trial, ...]
    kind = "result of a search"
    row = Trial

    @property
    def goal(self) -> Goal:
        """What was wanted."""
        return Goal(self.maximize, self.constraints)

    @property
    def front(self) -> tuple[Trial, ...]:
        """Trials within the constraints that no other is better than in everything, best first."""
        return tuple(self.goal.front(self.trials))

    @property
    def best(self) -> Trial:
        """The best trial within the constraints, by the first of `maximize`.

        Raises:
            OptionError: No trial is within the constraints; the nearest and what it breaks are named.
        """
        if self.front:
            return self.front[0]
        raise OptionError(self.unmet())

    def unmet(self) -> str:
        """Returns why no trial will do: the reason of the last that could not be built, or the nearest."""
        built = [trial for trial in self.trials if not trial.reason]
        if not built:
            last = self.trials[-1].reason if self.trials else "nothing was tried"
            return f"None of {len(self.trials)} trials could be built. The last: {last}"
        nearest = min(built, key=self.goal.key)
        broken = {name: value for name, value in self.goal.excess(nearest).items() if value > 0}
        said = ", ".join(
            f"{name} {nearest.metrics[name]:.6g} of at most {self.constraints[name]:.6g}" for name in broken
        )
        return (
            f"None of {len(self.trials)} trials keeps the constraints. The nearest, {dict(nearest.choices)},"
            f" has {said}. Allow more, widen the space towards cheaper choices, or search longer."
        )

    def __rich__(self) -> object:
        names = list(dict.fromkeys(name for trial in self.front for name in trial.metrics))
        rows = [
            (str(trial.number), *(figure(trial, name) for name in names), told_choices(trial))
            for trial in self.front[:_SHOWN]
        ]
        failed = sum(bool(trial.reason) for trial in self.trials)
        shown = f"the best {len(rows)} of {len(self.front)} on the front"
        title = f"{len(self.trials)} trials, {failed} of them not built; {shown}"
        return table(
            (">trial", *(f">{name}" for name in names), "choices"), rows, folding=("choices",), title=title
        )

    def to_json(self) -> str:
        """Returns everything as JSON; `front` lists numbers of trials."""
        fields = asdict(self) | {"front": [trial.number for trial in self.front]}
        return json.dumps(fields, indent=2)

    @classmethod
    def from_json(cls, text: str) -> "SearchResult":
        """Returns what `to_json` wrote.

        Raises:
            OptionError: It is no such text.
        """
        try:
            fields = json.loads(text)
            trials = tuple(cls.row(**trial) for trial in fields["trials"])
            return cls(tuple(fields["maximize"]), dict(fields["constraints"]), trials)
        except (ValueError, KeyError, TypeError) as error:
            raise OptionError(f"This is no {cls.kind}: {error}.") from error

    def to_csv(self) -> str:
        """Returns a line for each trial: choices, metrics, whether it is on the front, what is predicted."""
        choices = list(dict.fromkeys(name for trial in self.trials for name in trial.choices))
        metrics = list(dict.fromkeys(name for trial in self.trials for name in trial.metrics))
        on_front = {trial.number for trial in self.front}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["trial", *choices, *metrics, "front", "predicted", "reason"])
        for trial in self.trials:
            writer.writerow(
                [
                    trial.number,
                    *(trial.choices.get(name, "") for name in choices),
                    *(trial.metrics.get(name, "") for name in metrics),
                    int(trial.number in on_front),
                    " ".join(trial.predicted),
                    trial.reason,
                ]
            )
        return text.getvalue()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes a .json, .csv, .html, or a picture (.svg, .png, .pdf), by the ending of the path.

        Raises:
            OptionError: The ending names none of these.
            MissingDependencyError: A picture needs Matplotlib: `pip install "tfzip[plot]"`.
        """
        suffix = Path(path).suffix
        if suffix == ".json":
            return super().save(path)
        if suffix not in (".csv", ".html"):
            return drawn(Path(path), _INCHES, self._draw)
        target = check_target(path)
        text = self.to_csv() if suffix == ".csv" else page(self.goal, self.trials, self.front)
        return write_text(target, text)

    def _draw(self, axes: Any) -> None:
        other, first = axes_of(self.goal)
        built = [trial for trial in self.trials if first in trial.metrics]

        def across(trial: Trial) -> float:
            return trial.metrics[other] if other else trial.number

        axes.scatter(
            [across(t) for t in built], [t.metrics[first] for t in built], s=12, alpha=0.4, label="trials"
        )
        front = sorted(self.front, key=across)
        axes.plot([across(t) for t in front], [t.metrics[first] for t in front], "o-", label="front")
        if other in self.constraints:
            axes.axvline(self.constraints[other], linestyle="--", color="gray", label="constraint")
        axes.set_xlabel(other or "trial")
        axes.set_ylabel(first)
        axes.legend(fontsize="small")
