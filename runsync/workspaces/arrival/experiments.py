"""Experiments in a target: which one a source experiment becomes, and in what state."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Protocol

from runsync.errors import RequestRefused
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.import_options import ImportOptions
from runsync.model.lineage import came_from, is_copy, origin_of_experiment, source_id
from runsync.model.naming import Names
from runsync.model.outcome import FAILED, Outcome
from runsync.model.pairing import Pairs, SharesRuns, is_named_so, pair
from runsync.model.provenance import key_of
from runsync.model.run import Unreadable
from runsync.workspaces import remembered
from runsync.workspaces.arrival.counterpart import Counterpart
from runsync.workspaces.arrival.renaming import Move, Renaming

NOT_THERE = "its experiment is not in the target: bring that too"


class ExperimentWriter(Protocol):
    """Makes and changes experiments of a target. Each raises RequestRefused."""

    @property
    def keeps_state(self) -> bool:
        """Whether an experiment is kept as it is given, with its times and deleted where it is, and a deleted one takes
        runs and tags. Else it is made active, and deleted when all is in."""

    @property
    def deleted_keep_names(self) -> bool:
        """Whether no other experiment may have the name of a deleted one."""

    @property
    def left_out(self) -> Mapping[str, Mapping[str, str]]:
        """Why tags were left out in making and changing, by key and the experiment's id in the target: those that it
        has no place for."""

    def foresee(self, experiment: Experiment) -> Mapping[str, str]:
        """Why tags would be left out, by key, as far as that shows without writing. It is one to be made, or what is to
        change of one: "" where its name is not."""

    def create(self, experiment: Experiment) -> str:
        """Makes it, once, and gives its id: the given one where the target lets that be told and it is free."""

    def restore(self, experiment: Experiment) -> None:
        """Makes a deleted one active again, with its runs."""

    def change(self, experiment: Experiment, tags: Mapping[str, str], untagged: Sequence[str] = ()) -> None:
        """Sets and takes away these tags; where its state is kept, its times too. Tags are taken away only there."""

    def rename(self, experiment: Experiment, name: str) -> None:
        """Gives it another name; a deleted one stays deleted."""

    def delete(self, experiment: Experiment, deleted_before: Sequence[str] | None = None) -> None:
        """Marks it and all its runs as deleted; the runs that were deleted before it are remembered, where given."""

    def deleted_runs(self, experiment_id: str) -> tuple[str, ...]:
        """Ids of the runs in it that are deleted now."""

    def remember(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """Notes on one that is to be deleted, before any of its runs is, which were deleted already."""

    def forget(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """Takes that away again."""

    def is_deleted(self, experiment_id: str) -> bool:
        """Whether it is deleted now, whoever did it."""

    def has_active_runs(self, experiment_id: str) -> bool:
        """Whether there are any in it now."""


class ExperimentMap:
    """The experiments of one import."""

    def __init__(self, writer: ExperimentWriter, options: ImportOptions) -> None:
        self.came_from = ""
        """The address of the workspace that the runs come from, also by way of a bundle."""
        self._writer = writer
        self._naming = options.naming
        self._restore_deleted = options.restore_deleted
        self._policy = options.deletions
        self._is_tagged = options.tags
        self._places: dict[str, Counterpart] = {}
        self._pairs = Pairs()
        self._elsewhere: dict[str, str] = {}
        self._names_there: dict[str, str] = {}
        self._moves: list[Move] = []
        self._moved_aside: list[Move] = []
        self._gone: list[Experiment] = []
        self._unsure: list[Experiment] = []
        self._sources: dict[str, str] = {}
        self._origins: dict[str, str] = {}
        self._left: dict[str, str] = {}
        self.restored: list[str] = []
        """Target ids of experiments that were deleted and are restored for this import."""
        self._before: dict[str, tuple[str, ...]] = {}
        """Ids of runs that were deleted before the experiment, by its id in the target, where that is to be told."""
        self.losing: set[str] = set()
        """Target ids of experiments in which runs are deleted as at the source."""
        self.others = 0
        """Active experiments of the target, no copies, that the source does not have, where all of its are known."""
        self._lock = Lock()

    def begin(
        self,
        experiments: Sequence[Experiment],
        existing: Sequence[Experiment],
        addresses: tuple[str, str],
        are_all: bool,
        shares_runs: SharesRuns,
        unread: Collection[Unreadable] = (),
    ) -> list[Outcome]:
        """Finds for each source experiment the one that it is in the target (see `model.pairing`).

        `addresses` are the source's and the target's; `are_all` of the source's experiments are given, or some;
        `unread` is what it has and cannot read. Raises WrongUsage for a `--rename` of what is not among them.
        """
        self.came_from = addresses[0]
        names = self._naming.among(experiments)
        self._names_there = {e.experiment_id: e.name for e in existing}
        self._pairs = pair(experiments, existing, names, addresses, shares_runs)
        for experiment in experiments:
            self._places[experiment.experiment_id] = self._place(experiment, names.of(experiment))
        self._refuse_shared_names()
        matched = {place.target_id for place in self._places.values()}
        left = [e for e in existing if e.experiment_id not in matched]
        self._elsewhere = {
            e.experiment_id: origin_of_experiment(e) if is_copy(e) else "" for e in left if is_named_so(e, names)
        }
        if are_all:
            self.others = sum(e.lifecycle_stage == ACTIVE and not is_copy(e) for e in left)
            ids = frozenset(one.id for one in unread if one.kind == "experiment")
            gone = [e for e in self._no_longer_there(left, names) if _id_at_source(e) not in ids]
            self._gone, self._unsure = (gone, []) if self._are_known(ids, existing) else ([], gone)
        self._origins = {place.target_id: place.origin for place in self._places.values()}
        self._origins.update({e.experiment_id: origin_of_experiment(e) for e in self._gone})
        self._sources = {place.target_id: id for id, place in self._places.items()}
        self._sources.update({e.experiment_id: source_id(e) for e in self._gone})
        renaming = Renaming(existing, names, self._writer.deleted_keep_names)
        self._moves = renaming.plan(self._places.values())
        self._moved_aside = renaming.moved_aside
        return [place.outcome() for place in self._places.values()]

    def foresee(self) -> list[Outcome]:
        """What `prepare` would give, as far as that shows without writing."""
        for place in self._places.values():
            if not place.error:
                place.foresee(self._writer.foresee)
        return [place.outcome() for place in self._places.values()]

    def prepare(self) -> list[Outcome]:
        """Lets names follow, makes what is missing, sets tags that differ, and notes what experiments that are to be
        deleted were like."""
        self._rename()
        self._remember()
        outcomes = []
        for place in self._places.values():
            if not place.error:
                try:
                    self._make(place)
                except RequestRefused as error:
                    place.error, place.may_pass = str(error), error.may_pass
            outcomes.append(place.outcome())
        return outcomes

    @property
    def key(self) -> str:
        """What stands for that address in tags."""
        return key_of(self.came_from)

    def target_id(self, source_id: str) -> str:
        """The target experiment's id; "" before it is made."""
        return self._places[source_id].target_id

    def known_id(self, source_id: str) -> str | None:
        """Likewise; None for one that is not carried."""
        place = self._places.get(source_id)
        return None if place is None or place.error else place.target_id

    def there(self, source_id: str) -> Experiment | None:
        """The target experiment as it was before this import; None for one that was not there."""
        return self._places[source_id].found

    def error(self, source_id: str) -> str:
        """Why the experiment cannot be used; "" when it can."""
        return self._places[source_id].error

    def why_not(self, source_id: str) -> str:
        """Why nothing can be put into the target experiment; "" when it can."""
        return self.error(source_id) if source_id in self._places else NOT_THERE

    def may_pass(self, source_id: str) -> bool:
        """Whether another try may do what was refused of the experiment."""
        return self._places[source_id].may_pass

    def existing_ids(self) -> list[str]:
        """Target ids of the experiments that were there before this import."""
        return [p.target_id for p in self._places.values() if p.found is not None and not p.error]

    def origin(self, target_id: str) -> str:
        """The id with which the source of a target experiment was born; "" where it is no copy from here."""
        return self._origins.get(target_id, "")

    def source_id(self, target_id: str) -> str:
        """The id at the source of the experiment that one of the target is the copy of, though it may be gone there; ""
        where there is none."""
        return self._sources.get(target_id, "")

    def source_origin(self, source_id: str) -> str:
        """The id with which a source experiment was born."""
        return self._places[source_id].origin

    def elsewhere_ids(self) -> list[str]:
        """Target ids of the other experiments that were there before, where runs of the source may lie all the same:
        they were moved, at the source or by hand. Copies made under other names on purpose are not among them."""
        return list(self._elsewhere)

    def may_hold(self, target_id: str, source_id: str) -> bool:
        """Whether runs of a source experiment that were moved may lie in that one of the target.

        A copy beside its original has runs of the same origins: those are not moved.
        """
        origin = self._origins.get(target_id) or self._elsewhere.get(target_id)
        return origin is not None and origin != self._places[source_id].origin

    def name_in_target(self, target_id: str) -> str:
        """What an experiment of the target was called before this import."""
        return self._names_there.get(target_id, target_id)

    def name_of(self, source_id: str) -> str:
        """What a source experiment is to be called in the target."""
        return self._places[source_id].name

    def gone_ids(self) -> list[str]:
        """Target ids of active experiments that came from the source, and that it has no longer, not even deleted."""
        return [e.experiment_id for e in self._gone]

    def is_gone(self, target_id: str) -> bool:
        """Whether it is one of those."""
        return target_id in self._sources and self._sources[target_id] not in self._places

    def unsure(self) -> dict[str, str]:
        """Names by id of those that may be gone, or may be what cannot be read at the source."""
        return {e.experiment_id: e.name for e in self._unsure}

    def left_active(self) -> dict[str, str]:
        """Names by id of experiments that are deleted at the source, or gone, and stay active in the target."""
        places = [] if self._policy.replays else self._places.values()  # there it is a problem of the experiment
        left = {place.target_id: place.name for place in places if place.stays_active}
        if self._policy.brake is None:
            left.update({e.experiment_id: e.name for e in self._gone})
        return left | self._left

    def followed(self) -> dict[str, str]:
        """Names by id of experiments that were active, and are (or are to be) deleted as they are at the source."""
        if self._policy.brake is None:
            return {}
        places = [place for place in self._places.values() if place.was_active and place.deletes and not place.error]
        found = {place.target_id: place.name for place in places}
        found.update({e.experiment_id: e.name for e in self._gone})
        return {id: name for id, name in found.items() if id not in self._left}

    def activate(self, source_id: str) -> None:
        """Restores a deleted target experiment before a run is made in it; `finish` deletes it again."""
        place = self._places[source_id]
        with self._lock:
            if place.state == DELETED:
                self._writer.restore(place.as_target(ACTIVE))
                place.state = ACTIVE
                self.restored.append(place.target_id)

    def activate_again(self, source_id: str) -> bool:
        """Restores an experiment that another import of the same may have deleted by now, as it is at the source.
        Returns whether it was deleted.
        """
        place = self._places[source_id]
        with self._lock:
            if not place.deletes or not self._writer.is_deleted(place.target_id):
                return False
            self._writer.restore(place.as_target(ACTIVE))
            place.state = ACTIVE
            return True

    def notes(self) -> list[str]:
        """What else is worth knowing: copies that made room for others of their name, and further copies."""
        moved = [
            f"experiment “{move.experiment.name}” ({move.experiment.experiment_id}) in the target is now called "
            f"“{move.name}”: at the source its name belongs to another experiment"
            for move in self._moved_aside
        ]
        stays = [
            f"experiment “{place.found.name}” ({place.target_id}) in the target is “{place.name}” at the source, and "
            "keeps its name: without tags nothing tells that it is a copy"
            for place in self._places.values()
            if place.is_of_this_id and place.found is not None and place.found.name != place.name
            if not place.is_to_rename
        ]
        further = [
            f"the target has another copy of experiment “{one.name}”: “{there.name}” ({there.experiment_id}); it is "
            "not kept up to date, and may be deleted"
            for one, there in self._pairs.repeated
        ]
        return moved + stays + further

    def finish(self) -> list[Outcome]:
        """Deletes the experiments that are deleted at the source, now that their runs are in.

        Where deletions are not replayed, one that was active before goes only when no active run is left in it.
        """
        outcomes = []
        for place in self._places.values():
            if place.error or not place.deletes or place.state == DELETED:
                continue
            try:
                self._delete(place.as_target(DELETED), place.was_active)
            except RequestRefused as error:
                place.error, place.may_pass = str(error), error.may_pass
                outcomes.append(place.outcome())
        for experiment in self._gone if self._policy.brake is not None else ():
            id, name = experiment.experiment_id, experiment.name
            try:
                self._delete(replace(experiment, last_update_time=None), was_active=True)
            except RequestRefused as error:
                outcomes.append(Outcome("experiment", id, name, FAILED, id, error=str(error), retry=error.may_pass))
        return outcomes

    def _delete(self, experiment: Experiment, was_active: bool) -> None:
        is_followed, id = was_active and not self._policy.replays, experiment.experiment_id
        if is_followed and self._writer.has_active_runs(id):
            self._left[id] = experiment.name
            if id in self._before:
                self._writer.forget(experiment, self._before[id])
        else:
            if is_followed and self._tells_states and id not in self._before:
                self._before[id] = self._writer.deleted_runs(id)
            self._writer.delete(experiment, self._before.get(id))

    @property
    def _tells_states(self) -> bool:
        """Whether experiments that are deleted as at the source tell which runs were deleted before them."""
        return self._policy.brake is not None and self._is_tagged

    def _remember(self) -> None:
        """Restoring an experiment brings back all its runs, but those that were deleted before it. That is noted before
        any run of it is deleted, for a transfer that is stopped in between."""
        going = [p.found for p in self._places.values() if p.found and p.was_active and p.deletes and not p.error]
        for experiment in [*going, *self._gone] if self._tells_states else ():
            id, deleted = experiment.experiment_id, remembered.noted(experiment)
            try:
                if deleted is None and id in self.losing:
                    deleted = self._writer.deleted_runs(id)
                    self._writer.remember(experiment, deleted)
            except RequestRefused:
                continue  # then nothing is known of them, as where MLflow deleted it
            if deleted is not None:
                self._before[id] = deleted

    def _refuse_shared_names(self) -> None:
        """Two that would have one name are errors both; the others go on."""
        by_name: dict[str, list[Counterpart]] = defaultdict(list)
        for place in self._places.values():
            by_name[place.name].append(place)
        for name, places in by_name.items():
            for place in places if len(places) > 1 else ():
                told = " and ".join(f"“{p.source.name}” ({p.source.experiment_id})" for p in places)
                place.error = (
                    f"{told} would {'both' if len(places) == 2 else 'all'} be called “{name}”: rename all but one "
                    f"by id, as in --rename '{place.source.experiment_id}=NEW'"
                )

    def _rename(self) -> None:
        """A name that could not be given up is not free for others."""
        kept: set[str] = set()
        for move in self._moves:
            there, name = move.experiment, move.name
            try:
                if name in kept:
                    raise RequestRefused(f"“{name}” could not be freed")
                self._writer.rename(there, name)
            except RequestRefused as error:
                kept.add(there.name)
                if move.of is not None:
                    move.of.may_pass = error.may_pass
                    move.of.name_error = (
                        f"its copy “{there.name}” cannot be called “{name}”: {error}; for it to stay so, say --rename "
                        f"'{move.of.source.experiment_id}={there.name}'"
                    )
        for place in self._places.values():
            if place.found is None and place.name in kept and not place.error:
                place.error = f"the target has another experiment “{place.name}”, which could not be renamed"

    def _no_longer_there(self, left: Sequence[Experiment], names: Names) -> Iterator[Experiment]:
        known = {place.origin for place in self._places.values()}
        for experiment in left:
            is_of_this = is_copy(experiment) and came_from(experiment) == self.key
            is_known = origin_of_experiment(experiment) in known
            is_active = experiment.lifecycle_stage == ACTIVE
            if is_of_this and is_active and not is_known and is_named_so(experiment, names):
                yield experiment

    def _are_known(self, unread: Collection[str], existing: Sequence[Experiment]) -> bool:
        """Whether these are ids of experiments that the source is known to have had. Else any may hide behind them: a
        folder or a row of another id, or a name where no id is told."""
        known = {_id_at_source(e) for e in existing if is_copy(e) and came_from(e) == self.key}
        return known.union(self._places).issuperset(unread)

    def _place(self, experiment: Experiment, name: str) -> Counterpart:
        id, keeps_state = experiment.experiment_id, self._writer.keeps_state
        found, is_matched = self._pairs.found.get(id), id in self._pairs.by_origin
        ways = (self.came_from, self._policy, keeps_state, is_matched, self._is_tagged)
        place = Counterpart(experiment, name, found, *ways)
        if found is None:
            if same := self._pairs.same_name.get(id):
                told = ", ".join(e.experiment_id for e in same)
                place.error = (
                    f"the target has {len(same)} experiments “{name}” ({told}): rename all but one of them, or give "
                    f"this one another name with --rename '{id}=NEW'"
                )
            return place
        place.target_id, place.state = found.experiment_id, found.lifecycle_stage
        both_deleted = found.lifecycle_stage == experiment.lifecycle_stage == DELETED
        place.is_ours = both_deleted or is_copy(found) or place.is_of_this_id
        stays_deleted = place.is_ours and experiment.lifecycle_stage == DELETED
        may_restore = self._restore_deleted or place.is_mirrored
        if found.lifecycle_stage == DELETED and not stays_deleted and not may_restore:
            place.error = (
                f"the target has a deleted experiment “{found.name}”: restore it with --restore-deleted, "
                f"or give it another name with --rename '{id}=NEW'"
            )
        return place

    def _make(self, place: Counterpart) -> None:
        keeps_state = self._writer.keeps_state
        if place.found is None:
            tags = place.new_tags(arrives_deleted=place.source.lifecycle_stage == DELETED and not keeps_state)
            wanted = replace(place.source, name=place.name, artifact_location="", tags=tags)
            place.target_id = self._writer.create(wanted)
            place.left_out = self._writer.left_out.get(place.target_id, {})
            place.state = place.source.lifecycle_stage if keeps_state else ACTIVE
            place.is_ours = True
            return
        changed, removed = place.tags_to_set(), place.tags_to_remove()
        wants_active = place.source.lifecycle_stage == ACTIVE or (bool(changed) and not keeps_state)
        was_deleted = place.state == DELETED
        if was_deleted and wants_active:
            self.activate(place.source.experiment_id)
        if changed or removed or place.has_other_times:
            self._writer.change(place.as_target(place.state), changed, removed)
            place.left_out = self._writer.left_out.get(place.target_id, {})


def _id_at_source(copy: Experiment) -> str:
    """Copies of earlier versions tell only the id with which they were born."""
    return source_id(copy) or origin_of_experiment(copy)
