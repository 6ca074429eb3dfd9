"""What a transfer does in a target about runs that were deleted at the source.

An import replays: each run arrives in the state it had. A sync leaves runs that are active in the target as they are,
and tells which are deleted at the source, or no longer there. Asked to, it deletes them, but only copies that came
from this very source, only those that were gone when it began, and none at all when they are too many. What cannot be
read at the source is not gone; what is gone beside it goes.

A run that was moved to another experiment at the source cannot be moved on a server. Where deletions are followed it is
made anew where it belongs, and the old copy is deleted once the new one is whole.

A copy that is made of a deleted run is deleted once it is whole, in every case: it says so in a tag from the start, so
that a transfer that takes up an interrupted one does the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum, auto
from threading import Lock

from runsync.contract.editor import Editor
from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, TooManyDeletions, may_pass
from runsync.kinds.left_behind import changed
from runsync.model.deletions import DeletionPolicy
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import origin_of
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import FAILED, Outcome
from runsync.model.run import UNTOLD, Run, Unreadable
from runsync.model.selection import Selection
from runsync.model.times import now
from runsync.model.wording import many
from runsync.workspaces.arrival.experiments import ExperimentMap
from runsync.workspaces.arrival.lookup import Lookup
from runsync.workspaces.arrival.present import Present, There, Where


class _Fate(Enum):
    """What is known of a copy of which nothing was met at the source."""

    GONE = auto()
    UNREAD = auto()
    """The source has it, or its experiment, and cannot read it."""
    UNSURE = auto()
    """It may be among what cannot be read there."""
    OTHER = auto()
    """It did not come from the source's experiment."""


class Deletions:
    """The deletions of one transfer."""

    def __init__(
        self,
        policy: DeletionPolicy,
        present: Present,
        experiments: ExperimentMap,
        editor: Editor,
        *,
        moves_runs: bool,
        by_ids: bool = False,
    ) -> None:
        """`by_ids`: a run that has the id of one at the source is its copy, whatever its tags tell."""
        self._policy = policy
        self._present = present
        self._lookup = Lookup(present, experiments)
        self._moves_runs = moves_runs
        self._by_ids = by_ids
        self._same: set[str] = set()
        """Ids of the runs in the target that are copies for their ids."""
        self.at_source: set[str] = set()
        """Ids of all runs of the source, where those tell."""
        self._moved: dict[str, Run] = {}
        """Runs of the source by the id of the old copy, which is in another experiment."""
        self._experiments = experiments
        self._editor = editor
        self._going: dict[str, str] = {}
        """Names of copies that are to be deleted, by their ids in the target."""
        self._left: dict[str, str] = {}
        self._met: set[Where] = set()
        self._unread: dict[str, set[str]] = {"run": set(), "experiment": set()}
        """Ids of what is at the source, and cannot be read there, by kind."""
        self._told_unread: set[str] = set()
        """Those that were met among what is carried."""
        self._is_done = False
        self._tells_gone = False
        self._lock = Lock()

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> None:
        """Finds what is to be deleted. Raises TooManyDeletions before anything is."""
        self._tells_gone = not self._policy.replays and selection.state == "all" and not selection.names_runs
        if self._tells_gone:
            self._note(source.unreadable_experiments())
        if self._policy.brake is None:
            return
        self._present.look(self._experiments.gone_ids())
        states: dict[Where, str] = {}
        moved: dict[str, Run] = {}
        for run in self._met_at(source, selection, experiments):
            there = self._lookup.find(run)
            if there is not None and self._lookup.is_moved(run, there) and not self._moves_runs:
                moved[there.run_id] = run
                there = None
            place = self._lookup.belongs_in(run) if there is None else there.experiment_id
            states[place, origin_of(run)] = run.lifecycle_stage
        copies = [(place, there) for place, there in self._present.all() if self._is_active_copy(there)]
        self._going = {
            there.run_id: there.name
            for place, there in copies
            if states.get(place) == DELETED or (place not in states and self._fate(place, there) is _Fate.GONE)
        }
        self._experiments.losing = {place[0] for place, there in copies if there.run_id in self._going}
        self._moved = {id: run for id, run in moved.items() if id in self._going}
        if not self._policy.brake.allows(len(self._going), len(copies)):
            going = len(self._going)
            raise TooManyDeletions(
                f"{going} of {many(len(copies), 'active copy')} from {source.place.address} would be deleted, more "
                f"than --max-delete {self._policy.brake} allows: nothing was written; if the source is as it "
                f"should be, say --max-delete {going}"
            )

    def note_unread(self, unreadable: Sequence[Unreadable]) -> None:
        """What the source has, and cannot be read there, is not gone. Pieces of what can be read say nothing of it."""
        told = self._note(unreadable)
        with self._lock:
            self._told_unread |= told

    def _note(self, unreadable: Sequence[Unreadable]) -> set[str]:
        with self._lock:
            for kind, ids in self._unread.items():
                ids.update(one.id for one in unreadable if one.kind == kind)
        return {one.id for one in unreadable if one.kind in self._unread}

    def _met_at(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> Iterator[Run]:
        """The runs of the source; where ids tell, those of the target that have the same are looked for."""
        for batch in source.batches(experiments, selection):
            self.note_unread(batch.unreadable)
            if self._by_ids:
                self._lookup.look(batch.runs)
                found = (self._lookup.find(run) for run in batch.runs)
                self._same |= {there.run_id for there in found if there is not None}
                self.at_source |= {run.run_id for run in batch.runs} | {one.id for one in batch.unreadable}
            yield from batch.runs

    def wanted(self, run: Run, there: There | None) -> Run:
        """The run as it is to be in the target: one that is active there may have to stay so."""
        if self._policy.replays or there is None:
            return run
        with self._lock:
            self._met.add((there.experiment_id, origin_of(run)))
        if run.lifecycle_stage != DELETED or there.was_deleted or self._goes(there):
            return run
        with self._lock:
            self._left[there.run_id] = there.name
        return replace(run, lifecycle_stage=ACTIVE)

    def may_make_anew(self, there: There) -> bool:
        """Whether that is done with a copy in another experiment where deletions are followed."""
        is_from_here = there.came_from == self._experiments.key
        return not self._policy.replays and is_from_here and self._is_of_this((there.experiment_id, ""), there)

    def makes_anew(self, there: There) -> bool:
        """Whether a copy in another experiment is to be deleted, and the run made where it belongs."""
        return there.run_id in self._moved

    def finish(self) -> list[Outcome]:
        """Deletes the copies of runs that are no longer at the source at all, or that were made anew elsewhere."""
        self._is_done = True
        failed = []
        made = {(self._lookup.belongs_in(run), origin_of(run)) for run in self._moved.values()}
        self._present.look(sorted({place for place, _ in made} - {""}))
        self._met |= made  # the source has them: they are not gone
        for (_, origin), there in self._gone():
            if there.run_id in self._going and self._may_go(there):
                try:
                    # A store, where runs can be moved, keeps the time of a deletion without a tag.
                    self._editor.delete_run(there.run_id, None if self._moves_runs else now())
                except ITEM_ERRORS as error:
                    told = (origin, there.name, FAILED, there.run_id)
                    failed.append(Outcome("run", *told, error=str(error), retry=may_pass(error)))
        return failed

    def left(self) -> list[NotCarried]:
        """Deletions that were not followed."""
        left = dict(self._left)
        left.update({t.run_id: t.name for _, t in self._gone() if t.run_id not in self._going})
        if self._policy.replays:
            told = {"experiments that the snapshot does not have": self._experiments.left_active()}
        else:
            told = {"deletions of runs": left, "deletions of experiments": self._experiments.left_active()}
        return [
            changed(what, len(names), self._why_left, tuple(_listed(names)[:NAMED]))
            for what, names in told.items()
            if names
        ]

    @property
    def are_due(self) -> bool:
        """Whether any are to be followed."""
        return bool(self._going or self._experiments.followed())

    def notes(self) -> list[str]:
        """Deletions that were, or would be, followed."""
        gone = {id: name for id, name in self._going.items() if id not in self._moved}
        told = {"run": gone, "experiment": self._experiments.followed()}
        done = "deleted in the target, as at the source" if self._is_done else "would be deleted in the target"
        notes = [f"{many(len(names), kind)} {done}: {_shown(names)}" for kind, names in told.items() if names]
        if self._moved:
            names = {id: self._going[id] for id in self._moved}
            done = ("was" if len(names) == 1 else "were") + " created" if self._is_done else "would be created"
            notes.append(
                f"{many(len(names), 'run')} {done} again in the experiment they were moved to at the source, and their "
                f"old copies deleted: {_shown(names)}"
            )
        if self._tells_gone and self._told_unread:
            count = many(len(self._told_unread), "item")
            notes.append(f"{count} cannot be read at the source: not taken for deleted there")
        return notes + self._unsure()

    def _unsure(self) -> list[str]:
        """What is left as nobody can tell whether it is gone."""
        runs = {there.run_id: there.name for _, there in self._unmet(_Fate.UNSURE)}
        told = {"run": runs, "experiment": self._experiments.unsure() if self._tells_gone else {}}
        return [
            f"{many(len(names), kind)} no longer found at the source, and left active: what cannot be read there may "
            f"be {'it' if len(names) == 1 else 'among them'}: {_shown(names)}"
            for kind, names in told.items()
            if names
        ]

    @property
    def _why_left(self) -> str:
        if self._policy.replays:
            return "left as they are: an import deletes nothing"
        if self._policy.brake is None:
            return "deleted at the source, or no longer there; active in the target, and left so without --delete"
        return "deleted at the source, or no longer there; in the target they did not come from there: left active"

    def _may_go(self, there: There) -> bool:
        """Whether nothing is lost with it."""
        run = self._moved.get(there.run_id)
        if run is None:
            return True
        anew = self._present.get(self._lookup.belongs_in(run), origin_of(run))
        return anew is not None and bool(anew.complete)

    def _goes(self, there: There) -> bool:
        return there.run_id in self._going or (there.arrives == DELETED and not there.complete)

    def _gone(self) -> list[tuple[Where, There]]:
        """Active copies from the source of which it knows nothing any more."""
        return self._unmet(_Fate.GONE)

    def _unmet(self, fate: _Fate) -> list[tuple[Where, There]]:
        if not self._tells_gone:
            return []
        return [
            (place, there)
            for place, there in self._present.all()
            if place not in self._met and self._is_active_copy(there) and self._fate(place, there) is fate
        ]

    def _fate(self, place: Where, there: There) -> _Fate:
        """Of a copy of which nothing was met at the source.

        A run that cannot be read tells only its id, if that: it is the one it was born with if its experiment was born
        there too. It is in an experiment that is still there.
        """
        if not self._is_of_this(place, there):
            return _Fate.OTHER
        runs, home = self._unread["run"], self._experiments.source_id(place[0])
        if place[1] in runs or (home or there.home) in self._unread["experiment"]:
            return _Fate.UNREAD
        if not runs or self._experiments.is_gone(place[0]):
            return _Fate.GONE
        was_born_there = home in ("", self._experiments.origin(place[0]))
        return _Fate.UNSURE if UNTOLD in runs or not was_born_there else _Fate.GONE

    def _is_active_copy(self, there: There) -> bool:
        is_ours = there.came_from == self._experiments.key or there.run_id in self._same
        return there.lifecycle_stage == ACTIVE and is_ours

    def _is_of_this(self, place: Where, there: There) -> bool:
        """Whether the source's experiment is where the run was born. Else it may have been merged in from another."""
        return there.home == self._experiments.origin(place[0])


def _listed(names: dict[str, str]) -> list[str]:
    return sorted(f"{name} ({id})" for id, name in names.items())


def _shown(names: dict[str, str]) -> str:
    listed = _listed(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
