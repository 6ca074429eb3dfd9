"""Which runs of a target are copies of the source's runs, wherever in the target they are."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from runsync.contract.source import Source
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.identity import ORIGIN, origin_of
from runsync.model.lineage import came_from, is_copy, origin_of_experiment
from runsync.model.pairing import Pairs
from runsync.model.provenance import Provenance, key_of
from runsync.model.run import Batch, Run
from runsync.model.selection import Selection
from runsync.workspaces.arrival.copy import address_of

_COPIES = f"tags.`{ORIGIN}` LIKE '%'"


@dataclass(frozen=True, slots=True)
class Seen:
    """A run, in which experiment it is, and its state."""

    experiment_id: str
    run_id: str
    is_whole: bool
    is_active: bool


class Index:
    """Which runs of one side have which origin id."""

    def __init__(self) -> None:
        self._runs: dict[str, tuple[Seen, ...]] = {}
        self._origins: dict[str, str] = {}

    def add(self, batches: Iterable[Batch], wanted: frozenset[str] | None = None) -> None:
        """Takes in the runs; only those of the origins that are wanted (None: all)."""
        for batch in batches:
            for run in batch.runs:
                origin = origin_of(run)
                if run.run_id not in self._origins and (wanted is None or origin in wanted):
                    self._origins[run.run_id] = origin
                    is_whole = bool(Provenance.of(run.tags).complete)
                    seen = Seen(run.experiment_id, run.run_id, is_whole, run.lifecycle_stage == ACTIVE)
                    self._runs[origin] = (*self._runs.get(origin, ()), seen)

    def all(self, origin: str) -> Sequence[Seen]:
        """All runs of that origin, whole ones first."""
        return sorted(self._runs.get(origin, ()), key=lambda seen: not seen.is_whole)

    def has_origin(self, origin: str) -> bool:
        """Whether a run of that origin id is there, in whatever experiment."""
        return origin in self._runs

    def origin(self, run_id: str) -> str:
        """The origin id of a run of this side; its own id when it is not there."""
        return self._origins.get(run_id, run_id)


class Copies:
    """The runs of a target, by those of a source: first in the experiments that are paired, and only for runs that are
    not there in the others too."""

    def __init__(self, target: Source, pairs: Pairs, others: Sequence[Experiment]) -> None:
        self.index = Index()
        self._target = target
        self._here = key_of(address_of(target.place))
        self._pairs = pairs.found
        self._others = others
        paired = [*pairs.found.values(), *(there for _, there in pairs.repeated)]
        self._experiments = {e.experiment_id: e for e in [*paired, *others]}
        self._beside: dict[str, list[Experiment]] = defaultdict(list)
        """Experiments by the id they were born with: a copy beside its original has the same."""
        for experiment in [*pairs.found.values(), *others]:
            self._beside[origin_of_experiment(experiment)].append(experiment)
        if paired:
            self.index.add(target.batches(paired, Selection()))

    def of(self, runs: Sequence[Run]) -> Mapping[str, Seen]:
        """Where the runs are, by their ids in the source; those that are nowhere are left out."""
        self._look_elsewhere([run for run in runs if not self._all(run)])
        return {run.run_id: found[0] for run in runs if (found := self._all(run))}

    def further(self, run: Run, seen: Seen) -> list[Seen]:
        """The other runs of its origin that are active."""
        return [each for each in self._all(run) if each.run_id != seen.run_id and each.is_active]

    def read(self, places: Collection[Seen]) -> Batch:
        """These runs as they are."""
        homes = sorted({seen.experiment_id for seen in places})
        return self._target.batch([seen.run_id for seen in places], [self._experiments[id] for id in homes])

    def _all(self, run: Run) -> list[Seen]:
        """All runs of its origin, those where it belongs first. Runs of a copy beside the original are not among
        them."""
        found = self.index.all(origin_of(run))
        home = self._pairs.get(run.experiment_id)
        if home is None:
            return list(found)
        born_so = self._beside[origin_of_experiment(home)]
        beside = {each.experiment_id for each in born_so if self._is_beside(each, home)}
        found = [seen for seen in found if seen.experiment_id not in beside]
        return sorted(found, key=lambda seen: seen.experiment_id != home.experiment_id)

    def _is_beside(self, other: Experiment, home: Experiment) -> bool:
        """Whether two experiments born with one id are two copies, or a copy and its original. Ids such as “1” are the
        same in many workspaces: one of the target's own is only the original of what was copied within the target."""
        if other is home:
            return False
        return is_copy(other) == is_copy(home) or self._here in (came_from(other), came_from(home))

    def _look_elsewhere(self, runs: Sequence[Run]) -> None:
        if not runs or not self._others:
            return
        wanted = frozenset(origin_of(run) for run in runs)
        self.index.add(self._target.batches(self._others, Selection(runs=tuple(sorted(wanted)))), wanted)
        starts = [run.start_time or 0 for run in runs]
        copies = Selection(filter=_COPIES, since=min(starts), until=max(starts))
        self.index.add(self._target.batches(self._others, copies), wanted)
