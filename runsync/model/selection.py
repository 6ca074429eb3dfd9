"""Which experiments and runs are meant: the same options on every command."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from runsync.errors import NothingSelected, WrongUsage
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.named import meant
from runsync.model.option import Option
from runsync.model.run import Run
from runsync.model.times import parse_time

STATES = (ACTIVE, DELETED, "all")
RUNS = "runs"
_ADDED_LATER = ("models", "kinds")
"""What documents of the first manifests do not have."""


def _time(text: str) -> int | None:
    return parse_time(text) if text else None


def _parted(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for text in texts for part in text.split(",") if (name := part.strip()))


@dataclass(frozen=True, slots=True)
class Selection:
    """Everything, unless narrowed.

    `experiments` are names, ids, globs, or `id:ID` and `name:NAME` where a name is another's id; `runs` are ids, unique
    beginnings of ids, names, or `EXPERIMENT/NAME` (`transfer.find` makes ids of them); `filter` is written in the
    language of docs/filters.md (MLflow's, and more); `since` and `until` (both inclusive) bound the start time in epoch
    milliseconds; `state` is one of active, deleted, all. `min_runs` and `expect_runs` say how many runs that should
    mean, at least and exactly: export, import, sync and verify stop with OtherRunsSelected (exit code 4) when it is
    otherwise. `models` are registered models as NAME, NAME/VERSION or NAME@ALIAS: then only those and what they link to
    are meant (`transfer.find` makes versions and run ids of them). `kinds` are the kinds that are meant, among them
    RUNS; empty: all. `logged_models` are ids of logged models that are meant with their experiments, whoever made them;
    with `only_these_models` no others that runs made or used are.

    Raises WrongUsage for a filter that cannot be read.
    """

    experiments: Annotated[
        tuple[str, ...],
        Option(
            "Only this experiment: a name, id or glob (name:NAME or id:ID if ambiguous).",
            "NAME",
            flag="--experiment",
            repeatable=True,
        ),
    ] = ()
    runs: Annotated[
        tuple[str, ...],
        Option(
            "Only this run: an id or its beginning, a name, or EXPERIMENT/NAME.", "RUN", flag="--run", repeatable=True
        ),
    ] = ()
    filter: Annotated[
        str,
        Option(
            "Only runs that match, such as \"metrics.r2 > 0.3 AND NOT tags.team = 'x'\" (see docs/filters.md).", "EXPR"
        ),
    ] = ""
    since: Annotated[
        int | None,
        Option(
            "Only runs started at or after this time: 2026-11-01, 2026-11-01T12:00Z, or 7d (days ago).",
            "TIME",
            parse=_time,
        ),
    ] = None
    until: Annotated[int | None, Option("Only runs started at or before this time.", "TIME", parse=_time)] = None
    state: Annotated[str, Option("Lifecycle stage of the runs.", choices=STATES, shows_default=True)] = "all"
    min_runs: Annotated[
        int,
        Option("Fail with exit code 4, before writing anything, if fewer than N runs match.", "N", between=(0, None)),
    ] = field(default=0, compare=False)
    expect_runs: Annotated[
        int | None, Option("Fail the same way unless exactly N runs match.", "N", between=(0, None))
    ] = field(default=None, compare=False)
    models: Annotated[
        tuple[str, ...],
        Option(
            "Only this registered model, with its runs and files: NAME, NAME/VERSION or NAME@ALIAS.",
            "MODEL",
            flag="--model",
            repeatable=True,
        ),
    ] = ()
    kinds: Annotated[
        tuple[str, ...],
        Option("Only these kinds of objects, such as runs,registered-models.", "KINDS", repeatable=True, parse=_parted),
    ] = ()
    logged_models: tuple[str, ...] = ()
    only_these_models: bool = False

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Selection":
        """Of a manifest."""
        names = (*cls().to_document(), *_ADDED_LATER)
        values: dict[str, Any] = {name: document[name] for name in names if name in document}
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**values)

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise WrongUsage(f"state “{self.state}” is none of {', '.join(STATES)}")
        if self.filter:
            from runsync.model.filter.parse import parse

            parse(self.filter)

    @property
    def names_runs(self) -> bool:
        """Whether it is about certain runs: then experiments without any of them are not meant."""
        return bool(self.runs or self.filter or self.models) or self.since is not None or self.until is not None

    @property
    def has_runs(self) -> bool:
        """Whether runs are meant at all: not so where only other kinds are, or only models that no run made."""
        return (RUNS in self.kinds or not self.kinds) and bool(self.runs or not self.models)

    def has(self, kind: str) -> bool:
        """Whether a kind of entities is meant."""
        return kind in self.kinds or not self.kinds

    @property
    def is_narrow(self) -> bool:
        """Whether only some experiments or runs are meant."""
        return bool(self.experiments) or self.names_runs or self.state != "all"

    def having_runs(self, experiments: Iterable[Experiment], runs: Iterable[Run]) -> list[Experiment]:
        """The experiments of the runs found. Raises NothingSelected for a run id that is not among them."""
        homes = {run.run_id: run.experiment_id for run in runs}
        missing = [run_id for run_id in self.runs if run_id not in homes]
        if missing:
            raise self.absent(missing[0])
        found = set(homes.values())
        return [e for e in experiments if e.experiment_id in found]

    def absent(self, run_id: str) -> NothingSelected:
        """The error for a run that is not among those found."""
        advice = "" if self.state == "all" else "; --state all takes active and deleted runs"
        where = " (in the experiments and state selected)" if self.experiments or advice else ""
        return NothingSelected(f"there is no run {run_id}{where}{advice}")

    def choose(self, experiments: Iterable[Experiment]) -> list[Experiment]:
        """The experiments meant, in the order given. Raises NothingSelected for a name that matches none, Ambiguous
        for one that is the id of another."""
        everything = list(experiments)
        experiments = [e for e in everything if self.state != ACTIVE or e.lifecycle_stage == ACTIVE]
        if not self.experiments:
            return experiments
        chosen: dict[str, Experiment] = {}
        for wanted in self.experiments:
            chosen.update((e.experiment_id, e) for e in meant(experiments, wanted, everything))
        return [e for e in experiments if e.experiment_id in chosen]

    def takes(self, run: Run) -> bool:
        """Whether a run is meant, the filter apart: see `model.filter.evaluate.chooser`."""
        started = run.start_time or 0
        return (
            (not self.runs or run.run_id in self.runs)
            and (self.state == "all" or run.lifecycle_stage == self.state)
            and (self.since is None or started >= self.since)
            and (self.until is None or started <= self.until)
        )

    def to_document(self) -> dict[str, Any]:
        """As it stands in a manifest: what is meant, not how many there should be."""
        return {
            "experiments": list(self.experiments),
            "runs": list(self.runs),
            "filter": self.filter,
            "since": self.since,
            "until": self.until,
            "state": self.state,
            **{name: list(value) for name in _ADDED_LATER if (value := getattr(self, name))},
        }
