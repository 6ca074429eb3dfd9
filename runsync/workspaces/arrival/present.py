"""Which runs a target has already: copies by the id they were born with, and runs that are at home there."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

from runsync.model import numbers
from runsync.model.experiment import DELETED
from runsync.model.identity import ARRIVES, LINK_TAGS, fingerprint, origin_of
from runsync.model.mark import Mark
from runsync.model.provenance import Provenance
from runsync.model.run import Run

LONGEST_PARAM = 6000
"""Characters. Servers cut longer values short and answer 200 (MLFLOW_TRUNCATE_LONG_VALUES): they take no part."""

Where = tuple[str, str]
"""A target experiment's id and the id a run was born with."""
Bounds = tuple[int, int]
"""The first and the last start time (epoch milliseconds)."""


@dataclass(frozen=True, slots=True)
class There:
    """A run that is in the target: its mark, the fingerprint of what a search tells of it, and its links.

    Of a copy `came_from` is the key of the workspace that it was last brought from (see `model.provenance`) and `home`
    the id of the experiment where it was born; both are "" for a run that is at home here. `was_deleted` tells of the
    state in which it was first met.
    """

    run_id: str
    experiment_id: str
    name: str
    complete: str
    state: str
    lifecycle_stage: str
    links: Mapping[str, str]
    came_from: str
    home: str
    arrives: str
    was_deleted: bool

    @property
    def mark(self) -> Mark | None:
        """What it was made from, once it is whole."""
        return Mark.parse(self.complete)

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """Of twins the least stays; one that somebody deleted does not come back for it."""
        return (not self.complete, self.lifecycle_stage == DELETED, self.run_id)


class TargetRuns(Protocol):
    """The runs that a target has."""

    def copies(self, experiment_ids: Sequence[str], between: Bounds | None = None) -> Iterator[Run]:
        """The runs of these experiments that imports made: they tell where they were born. `between` bounds their
        start times, as far as that is cheap."""

    def of_ids(self, experiment_ids: Sequence[str], run_ids: Sequence[str]) -> Iterator[Run]:
        """Those of these ids that are in these experiments."""


class Present:
    """The runs of a target that were found so far."""

    def __init__(self, runs: TargetRuns) -> None:
        self._runs = runs
        self._there: dict[Where, There] = {}
        self._place: dict[str, str] = {}
        """An experiment in which there is a run of an origin."""
        self._more_places: dict[str, set[str]] = defaultdict(set)
        """All of them, where there is more than one."""
        self.twins: set[Where] = set()
        """Where there is more than one copy of a run: imports at the same time, or killed ones, made them."""
        self._deleted: set[str] = set()
        self._lock = Lock()

    def look(self, experiment_ids: Sequence[str]) -> None:
        """Finds the copies in these experiments. What was known of them before is forgotten."""
        if experiment_ids:
            with self._lock:
                self._there = {place: there for place, there in self._there.items() if place[0] not in experiment_ids}
            for run in self._runs.copies(experiment_ids):
                self._remember(run, origin_of(run))

    def look_for_natives(self, experiment_ids: Sequence[str], wanted: Iterable[Where]) -> None:
        """Runs may come home: then the target has them under their origin id, without any tag of ours."""
        unknown = [origin for experiment_id, origin in wanted if (experiment_id, origin) not in self._there]
        if experiment_ids and unknown:
            for run in self._runs.of_ids(experiment_ids, unknown):
                self._remember(run, run.run_id)

    def look_elsewhere(self, experiment_ids: Sequence[str], wanted: Mapping[str, int]) -> None:
        """Finds runs of these origins (with their start times) in other experiments: copies, and what is at home."""
        if not experiment_ids or not wanted:
            return
        for run in self._runs.of_ids(experiment_ids, list(wanted)):
            self._remember(run, run.run_id)
        left = {origin: start for origin, start in wanted.items() if origin not in self._place}
        if left:
            between = min(left.values()), max(left.values())
            for run in self._runs.copies(experiment_ids, between):
                if origin_of(run) in left:
                    self._remember(run, origin_of(run))

    def get(self, experiment_id: str, origin: str) -> There | None:
        """The run of that origin in that experiment."""
        return self._there.get((experiment_id, origin))

    def others(self, origin: str) -> list[There]:
        """All runs of that origin, the one that stays first."""
        places = self._more_places.get(origin) or {self._place.get(origin, "")}
        found = (self._there.get((place, origin)) for place in tuple(places))
        return sorted((there for there in found if there is not None), key=lambda there: there.rank)

    def all(self) -> Iterator[tuple[Where, There]]:
        """All that were found."""
        yield from tuple(self._there.items())

    def _remember(self, run: Run, origin: str) -> None:
        """Notes a run that is there; of twins, the one that stays (see `rest.twins`)."""
        place = (run.experiment_id, origin)
        told = Provenance.of(run.tags)
        with self._lock:
            if run.lifecycle_stage == DELETED:
                self._deleted.add(run.run_id)
            there = There(
                run.run_id,
                run.experiment_id,
                run.name,
                told.complete,
                fingerprint(visible(run)),
                run.lifecycle_stage,
                {tag: run.tags[tag] for tag in LINK_TAGS if tag in run.tags},
                told.came_from,
                told.home,
                run.tags.get(ARRIVES, "") if told.is_copy else "",
                run.run_id in self._deleted,
            )
            known = self._place.setdefault(origin, run.experiment_id)
            if known != run.experiment_id:
                self._more_places[origin] |= {known, run.experiment_id}
            known_run = self._there.get(place)
            if known_run is not None and known_run.run_id != there.run_id and known_run.home and there.home:
                self.twins.add(place)
            if known_run is None or there.rank < known_run.rank:
                self._there[place] = there


def visible(run: Run) -> Run:
    """The run as a target can show it, links apart (they are compared when all runs are in). Servers have the start
    time 0 for none."""
    metrics = (metric._replace(value=numbers.stored(metric.value)) for metric in run.latest_metrics)
    params = {key: value for key, value in run.params.items() if len(value) <= LONGEST_PARAM}
    tags = {key: value for key, value in run.tags.items() if key not in LINK_TAGS}
    start, latest = run.start_time or 0, tuple(metrics)
    return replace(
        run, start_time=start, params=params, tags=tags, latest_metrics=latest, model_inputs=(), model_outputs=()
    )
