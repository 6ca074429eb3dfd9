"""Writing the records of runs into a store: some in one transaction, which holds only so many points."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from runsync.contract.source import Histories, Source
from runsync.errors import ITEM_ERRORS
from runsync.model.experiment import DELETED
from runsync.model.identity import COPY, ORIGIN_EXPERIMENT, SOURCE, origin_of
from runsync.model.lost_points import readable_points
from runsync.model.progress import Progress
from runsync.model.provenance import Provenance, kept_originals, key_of, originals, surplus
from runsync.model.run import Batch, Problem, Run
from runsync.model.times import now
from runsync.workspaces.arrival.copy import Copy, counted
from runsync.workspaces.direct.links import DirectLinks
from runsync.workspaces.direct.misfits import Misfit, Refusal, without
from runsync.workspaces.direct.store import Arrival, Change, DirectStore
from runsync.workspaces.remembered import time_of

if TYPE_CHECKING:
    import pyarrow as pa

POINTS_A_WRITE = 200_000
"""Points that are held until they are written together. A run that has more is written alone, as it is read."""
RUNS_A_WRITE = 200


class RecordWriter:
    """Writes the records of one transfer: all of runs but their artifacts."""

    def __init__(
        self, store: DirectStore, links: DirectLinks, origin_of_experiment: Callable[[str], str], *, is_tagged: bool
    ) -> None:
        self.came_from = ""
        """The address of the workspace that the runs come from."""
        self.repeated = 0
        """Points that stood more than once in a history, and are stored once."""
        self._store = store
        self._links = links
        self._origin_of_experiment = origin_of_experiment
        self._is_tagged = is_tagged

    def write(self, copies: Sequence[Copy], batch: Batch, source: Source, pool: Executor, progress: Progress) -> None:
        """Writes what is new and what has changed; why one was refused is noted on it."""
        wanted = tuple(copy.run for copy in copies if not copy.has_same("points"))
        with source.histories(replace(batch, runs=wanted), pool) as histories:
            held: list[_Record] = []
            for copy in copies:
                again = _Again(source, batch, copy, pool)
                try:
                    record = self._record(copy, histories, again)
                except ITEM_ERRORS as error:
                    copy.fail(error)
                    continue
                count = sum(one.count for one in held) + record.count
                if held and (not record.is_through or count > POINTS_A_WRITE or len(held) == RUNS_A_WRITE):
                    self._write(held, progress)
                    held = []
                held.append(record)
                if not record.is_through:
                    self._write(held, progress)
                    held = []
            self._write(held, progress)

    def arriving(self, copy: Copy) -> Run:
        """A run as it is to be written."""
        return self._arriving(copy, [], iter(()), is_through=True).run

    def note_misfits(self, copy: Copy, misfits: Sequence[Misfit]) -> None:
        """What runsync repeats of a tag is no piece of its own."""
        repeated = {SOURCE + misfit.name for misfit in misfits if misfit.kind == "tag"}
        for misfit in misfits:
            if misfit.name not in repeated:
                copy.note(_problem(misfit))

    def _record(self, copy: Copy, histories: Histories, again: "_Again") -> "_Record":
        """The run as it is to be written, with as many points as are held, and the stream of the others."""
        if copy.has_same("points"):
            return self._arriving(copy, [], iter(()), is_through=True)
        history = counted(copy, histories.of(copy.run.run_id))
        if copy.present is not None:
            return self._arriving(copy, self._lacking(copy.present, history), iter(()), is_through=True)
        points = self._storable(history, again)
        held, is_through = _first(points, POINTS_A_WRITE)
        return replace(self._arriving(copy, held, points, is_through), again=again)

    def _storable(self, history: "Iterator[pa.RecordBatch]", again: "_Again") -> "Iterator[pa.RecordBatch]":
        """With each point as often as the store may have it."""
        from runsync.model.duplicates import without_duplicates

        return history if self._store.keeps_duplicates else without_duplicates(history, again)

    def _lacking(self, there: Run, history: "Iterator[pa.RecordBatch]") -> "list[pa.RecordBatch]":
        from runsync.model.duplicates import lacking, repeated
        from runsync.model.points import as_table

        wanted = as_table(history)
        with self._store.histories([there.run_id]) as histories:
            present = as_table(histories.of(there.run_id))
        self.repeated += max(0, repeated(wanted) - repeated(present))
        return lacking(wanted, present)

    def _arriving(
        self, copy: Copy, held: "list[pa.RecordBatch]", rest: "Iterator[pa.RecordBatch]", is_through: bool
    ) -> "_Record":
        run, there = copy.run, copy.present
        tags = self._links.tags(run, copy.target_id, there.tags if there is not None else {})
        tags |= self._own_tags(copy, tags)
        arriving = replace(
            run,
            run_id=copy.target_id,
            experiment_id=copy.experiment_id,
            name=run.name or (there.name if there is not None else ""),
            deleted_time=_deleted_time(run, there),
            artifact_uri=copy.artifact_uri,
            tags=tags,
        )
        return _Record(copy, arriving, held, rest, is_through, self._surplus(copy, tags))

    def _own_tags(self, copy: Copy, tags: Mapping[str, str]) -> dict[str, str]:
        """Those of ours that a run with these tags is to have: one, and what its id and its links do not tell."""
        is_copy = copy.present is None or copy.was_copy
        kept = kept_originals(copy.run, copy.target_id, tags) if is_copy else {}
        told = self._provenance(copy) if self._is_tagged else ""
        return kept | ({COPY: told} if told else {})

    def _provenance(self, copy: Copy) -> str:
        """The tag's value. A copy that is not whole keeps its old mark; a run that is at home gets a mark alone, which
        makes it no copy."""
        there, run = copy.there, copy.run
        complete = there.complete if copy.problems else str(copy.mark)
        if copy.present is not None and not there.is_copy:
            return complete
        home = there.home
        if copy.present is None:
            home = originals(run)[ORIGIN_EXPERIMENT]
        elif copy.present.experiment_id != copy.experiment_id:
            home = self._origin_of_experiment(run.experiment_id)
        return str(Provenance(complete, True, key_of(self.came_from), home, origin_of(run)))

    def _surplus(self, copy: Copy, tags: Mapping[str, str]) -> tuple[str, ...]:
        """Without tags, only those from here are taken away: another source's may still need its own."""
        if copy.present is None:
            return ()
        is_from_here = copy.there.came_from in ("", key_of(self.came_from))
        return surplus(copy.present.tags, tags) if self._is_tagged or is_from_here else ()

    def _write(self, records: Sequence["_Record"], progress: Progress) -> None:
        changed = [record for record in records if record.is_change]
        refused = self._written([record.arrival() for record in changed])
        less: list[_Record] = []
        for record in changed:
            refusal = refused.get(record.copy.target_id)
            if refusal is None:
                self._note_written(record, progress)
            elif refusal.is_of_more_than(record.misfits):
                try:
                    less.append(self._without(record, refusal.misfits))
                except ITEM_ERRORS as error:
                    record.copy.fail(error)
            else:
                record.copy.error = str(refusal)
        if less:
            self._write(less, progress)

    def _note_written(self, record: "_Record", progress: Progress) -> None:
        copy = record.copy
        copy.is_touched = True
        copy.points = record.count
        if copy.present is None and not record.misfits and copy.mark.points.isdecimal():
            self.repeated += int(copy.mark.points) - record.count
        self._links.written(copy.run, copy.target_id, record.run.tags)
        progress.advance(points=record.count)
        if COPY in record.run.tags and record.run.tags[COPY] != (told := self._provenance(copy)):
            self._store.change_runs([Change(copy.target_id, tags={COPY: told})])

    def _without(self, record: "_Record", misfits: Sequence[Misfit]) -> "_Record":
        """The run without what the store has no place for, which is noted.

        Of two names of one dataset the second may be in the store by now, brought by a run that was written meanwhile:
        then the first one is left out instead, once.
        """
        from runsync.model.points import without_keys

        copy, left_out = record.copy, record.misfits
        back = [one for one in left_out if one.gives_way and not record.has_second_choice]
        has_second_choice = bool(back) and any(one.gives_way for one in misfits)
        if has_second_choice:
            left_out = tuple(one for one in left_out if one not in back)
            copy.problems = [one for one in copy.problems if one not in map(_problem, back)]
        all_of_them = (*left_out, *misfits)
        self.note_misfits(copy, all_of_them)
        keys = {misfit.name for misfit in all_of_them if misfit.kind == "metric"}
        held, rest, is_through = record.held, record.rest, record.is_through
        if record.again is not None and not is_through:
            rest = without_keys(self._storable(record.again(), record.again), keys)
            held, is_through = _first(rest, POINTS_A_WRITE)
        elif keys:
            held = list(without_keys(held, keys))
        less = self._arriving(copy, held, rest, is_through)
        return replace(
            less,
            run=without(less.run, all_of_them, copy.present),
            again=record.again,
            misfits=all_of_them,
            has_second_choice=has_second_choice or record.has_second_choice,
        )

    def _written(self, arrivals: Sequence[Arrival]) -> Mapping[str, Refusal]:
        """Why runs were refused, by id. What spoils a whole transaction is looked for run by run."""
        if not arrivals:
            return {}
        try:
            return self._store.write_runs(arrivals)
        except ITEM_ERRORS as error:
            if len(arrivals) == 1:
                return {arrivals[0].run.run_id: Refusal(error)}
        return {id: why for arrival in arrivals for id, why in self._written([arrival]).items()}


@dataclass(slots=True)
class _Record:
    """A run as it is to be written. `held` are its first points, `rest` gives those after them."""

    copy: Copy
    run: Run
    held: "list[pa.RecordBatch]"
    rest: "Iterator[pa.RecordBatch]"
    is_through: bool
    untagged: tuple[str, ...] = ()
    again: "_Again | None" = None
    misfits: tuple[Misfit, ...] = ()
    """What the run is without, as the store has no place for it."""
    has_second_choice: bool = False
    """Whether pieces are left out so that others, which were left out before, may come."""
    count: int = 0

    def __post_init__(self) -> None:
        self.count = sum(len(points) for points in self.held)

    @property
    def is_change(self) -> bool:
        return bool(self.copy.present is None or self.count or self.untagged or _differs(self.run, self.copy.present))

    def arrival(self) -> Arrival:
        points = self.held if self.is_through else chain(self.held, self._counting(self.rest))
        return Arrival(self.run, self.copy.present is None, points, self.untagged)

    def _counting(self, points: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        for some in points:
            self.count += len(some)
            yield some


@dataclass(frozen=True, slots=True)
class _Again:
    """The history of one run, read anew."""

    source: Source
    batch: Batch
    copy: Copy
    pool: Executor

    def __call__(self) -> "Iterator[pa.RecordBatch]":
        run = self.copy.run
        with self.source.histories(replace(self.batch, runs=(run,)), self.pool) as histories:
            yield from readable_points(histories.of(run.run_id), self.copy.note)


def _problem(misfit: Misfit) -> Problem:
    return Problem(misfit.kind, misfit.name, misfit.why)


def _first(points: "Iterator[pa.RecordBatch]", most: int) -> "tuple[list[pa.RecordBatch], bool]":
    """The first so many points, a few more, or all; and whether that is all."""
    taken: list[pa.RecordBatch] = []
    count = 0
    for some in points:
        taken.append(some)
        count += len(some)
        if count > most:
            return taken, False
    return taken, True


def _deleted_time(run: Run, there: Run | None) -> int | None:
    if run.lifecycle_stage != DELETED:
        return None
    told = run.deleted_time if run.deleted_time is not None else time_of(run.tags)
    if told is None and there is not None and there.lifecycle_stage == DELETED:
        told = there.deleted_time
    return now() if told is None else told


def _differs(run: Run, there: Run) -> bool:
    """Whether the run that is there lacks anything of the one to be written, or has it otherwise."""
    return (
        _fields(run) != _fields(there)
        or any(there.params.get(key) != value for key, value in run.params.items())
        or any(there.tags.get(key) != value for key, value in run.tags.items())
        or not {(d.name, d.digest) for d in run.dataset_inputs} <= {(d.name, d.digest) for d in there.dataset_inputs}
        or not {m.model_id for m in run.model_inputs} <= {m.model_id for m in there.model_inputs}
        or not {m.model_id for m in run.model_outputs} <= {m.model_id for m in there.model_outputs}
    )


def _fields(run: Run) -> tuple[object, ...]:
    started = run.start_time or 0
    return (
        run.experiment_id,
        run.name,
        run.user_id,
        run.status,
        started,
        run.end_time,
        run.lifecycle_stage,
        run.deleted_time,
    )
