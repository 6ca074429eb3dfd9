"""The runs that a store has: by id in all its experiments, for there an id is taken once and for all."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

from runsync.model.experiment import ACTIVE
from runsync.model.identity import origin_of
from runsync.model.provenance import Provenance
from runsync.model.run import Run
from runsync.workspaces.arrival.present import Bounds
from runsync.workspaces.direct.store import DirectStore, Query


@dataclass(frozen=True, slots=True)
class Known:
    """A run that is in the store: where, and which one it is."""

    run_id: str
    experiment_id: str
    origin: str
    start_time: int | None
    deleted_time: int | None
    is_active: bool

    def is_same(self, run: Run) -> bool:
        """Whether it is that run: of the same origin and, as MLflow never changes that, of the same start."""
        return self.origin == origin_of(run) and (self.start_time or 0) == (run.start_time or 0)


class DirectRuns:
    """See `arrival.present.TargetRuns`; keeps in mind which runs it met."""

    def __init__(self, store: DirectStore) -> None:
        self._store = store
        self._by_id: dict[str, Known] = {}
        self._by_origin: dict[str, str] = {}
        self._asked: set[str] = set()
        self._experiment_ids: tuple[str, ...] = ()
        self._lock = Lock()

    def begin(self, experiment_ids: Iterable[str]) -> None:
        """These are all experiments of the store."""
        self._experiment_ids = tuple(experiment_ids)

    def copies(self, experiment_ids: Sequence[str], between: Bounds | None = None) -> Iterator[Run]:
        """See `TargetRuns`."""
        since, until = between or (None, None)
        query = Query(tuple(experiment_ids), since=since or None, until=until)
        return (run for run in self._met(query) if Provenance.of(run.tags).is_copy)

    def of_ids(self, experiment_ids: Sequence[str], run_ids: Sequence[str]) -> Iterator[Run]:
        """See `TargetRuns`."""
        return self._met(Query(tuple(experiment_ids), tuple(run_ids)))

    def everywhere(self, run_ids: Iterable[str]) -> Iterator[Run]:
        """The runs of these ids in all experiments, as they are."""
        wanted = tuple(run_ids)
        return self._met(Query(self._experiment_ids, wanted)) if wanted and self._experiment_ids else iter(())

    def look_for(self, run_ids: Iterable[str]) -> None:
        """Looks which of these ids are taken, in all experiments."""
        with self._lock:
            unknown = {run_id for run_id in run_ids if run_id not in self._by_id} - self._asked
            self._asked |= unknown
        for _ in self.everywhere(sorted(unknown)):
            pass

    def look_elsewhere(self, experiment_ids: Sequence[str]) -> None:
        """Finds the copies in all other experiments too."""
        others = [id for id in self._experiment_ids if id not in set(experiment_ids)]
        if others:
            for _ in self.copies(others):
                pass

    def known(self, run_id: str) -> Known | None:
        """The run of that id, if it was met."""
        return self._by_id.get(run_id)

    def active_in(self, experiment_ids: Sequence[str]) -> set[str]:
        """Ids of the runs met in these experiments that were active."""
        return {run.run_id for run in self._by_id.values() if run.is_active and run.experiment_id in experiment_ids}

    def copy_of(self, origin: str) -> str | None:
        """The id of a run of that origin, if one was met."""
        return self._by_origin.get(origin)

    def _met(self, query: Query) -> Iterator[Run]:
        for batch in self._store.batches(query):
            for run in batch.runs:
                is_active = run.lifecycle_stage == ACTIVE
                told = (run.run_id, run.experiment_id, origin_of(run), run.start_time, run.deleted_time, is_active)
                known = Known(*told)
                with self._lock:
                    self._by_id[run.run_id] = known
                    self._by_origin.setdefault(known.origin, run.run_id)
                yield run
