"""Experiments in a target: which one a source experiment becomes, and in what state."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

from runsync.errors import RequestRefused, WrongUsage
from runsync.model.deletions import DeletionPolicy
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import ARRIVES, FROM, ORIGIN_EXPERIMENT, own_tags_removed
from runsync.model.naming import Naming
from runsync.model.protocol import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.run import Problem


class ExperimentWriter(Protocol):
    """Makes and changes experiments of a target. Each raises RequestRefused."""

    @property
    def keeps_state(self) -> bool:
        """Whether an experiment is kept as it is given, with its times and deleted where it is, and a deleted one takes
        runs and tags. Else it is made active, and deleted when all is in."""

    def create(self, experiment: Experiment) -> str:
        """Makes it, once, and gives its id: the given one where the target lets that be told and it is free."""

    def restore(self, experiment: Experiment) -> None:
        """Makes a deleted one active again, with its runs."""

    def change(self, experiment: Experiment, tags: Mapping[str, str]) -> None:
        """Sets these tags; where its state is kept, its times too."""

    def delete(self, experiment: Experiment) -> None:
        """Marks it and all its runs as deleted."""

    def is_deleted(self, experiment_id: str) -> bool:
        """Whether it is deleted now, whoever did it."""

    def has_active_runs(self, experiment_id: str) -> bool:
        """Whether there are any in it now."""


class ExperimentMap:
    """The experiments of one import."""

    def __init__(self, writer: ExperimentWriter, naming: Naming, restore_deleted: bool, policy: DeletionPolicy) -> None:
        self.came_from = ""
        """The address of the workspace that the runs come from, also by way of a bundle."""
        self._writer = writer
        self._naming = naming
        self._restore_deleted = restore_deleted
        self._policy = policy
        self._places: dict[str, _Place] = {}
        self._gone: list[Experiment] = []
        self._origins: dict[str, str] = {}
        self._left: dict[str, str] = {}
        self.restored: list[str] = []
        """Target ids of experiments that were deleted and are restored for this import."""
        self._lock = Lock()

    def begin(
        self, experiments: Sequence[Experiment], existing: Sequence[Experiment], came_from: str, are_all: bool
    ) -> list[Outcome]:
        """Finds for each source experiment the one of its new name; `are_all` of the source are given, or some.

        Raises WrongUsage when two would share a name.
        """
        self.came_from = came_from
        unknown = set(self._naming.rename) - {e.name for e in experiments}
        if unknown:
            raise WrongUsage(f"--rename names “{min(unknown)}”, which is not among the experiments to carry")
        by_name = {e.name: e for e in existing}
        taken: dict[str, str] = {}
        for experiment in experiments:
            name = self._naming.of(experiment.name)
            if name in taken:
                raise WrongUsage(f"“{taken[name]}” and “{experiment.name}” would both be called “{name}”: rename one")
            taken[name] = experiment.name
            self._places[experiment.experiment_id] = self._place(experiment, name, by_name.get(name))
        if are_all:
            self._gone = list(self._no_longer_there(existing))
        self._origins = {place.target_id: place.origin for place in self._places.values()}
        self._origins.update({e.experiment_id: e.tags[ORIGIN_EXPERIMENT] for e in self._gone})
        return [place.outcome() for place in self._places.values()]

    def prepare(self) -> list[Outcome]:
        """Makes what is missing, and sets tags that differ."""
        outcomes = []
        for place in self._places.values():
            if not place.error:
                try:
                    self._make(place)
                except RequestRefused as error:
                    place.error = str(error)
            outcomes.append(place.outcome())
        return outcomes

    def target_id(self, source_id: str) -> str:
        """The target experiment's id; "" before it is made."""
        return self._places[source_id].target_id

    def error(self, source_id: str) -> str:
        """Why the experiment cannot be used; "" when it can."""
        return self._places[source_id].error

    def existing_ids(self) -> list[str]:
        """Target ids of the experiments that were there before this import."""
        return [p.target_id for p in self._places.values() if p.found is not None and not p.error]

    def origin(self, target_id: str) -> str:
        """The id with which the source of a target experiment was born."""
        return self._origins[target_id]

    def gone_ids(self) -> list[str]:
        """Target ids of active experiments that came from the source, and that it has no longer, not even deleted."""
        return [e.experiment_id for e in self._gone]

    def left_active(self) -> dict[str, str]:
        """Names by id of experiments that are deleted at the source, or gone, and stay active in the target."""
        left = {place.target_id: place.name for place in self._places.values() if place.stays_active}
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

        False where no import deletes it. True also when another thread has just restored it.
        """
        place = self._places[source_id]
        if not place.deletes:
            return False
        with self._lock:
            if self._writer.is_deleted(place.target_id):
                self._writer.restore(place.as_target(ACTIVE))
                place.state = ACTIVE
        return True

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
                place.error = str(error)
                outcomes.append(place.outcome())
        for experiment in self._gone if self._policy.brake is not None else ():
            id, name = experiment.experiment_id, experiment.name
            try:
                self._delete(replace(experiment, last_update_time=None), was_active=True)
            except RequestRefused as error:
                outcomes.append(Outcome("experiment", id, name, FAILED, id, error=str(error)))
        return outcomes

    def _delete(self, experiment: Experiment, was_active: bool) -> None:
        is_followed = was_active and not self._policy.replays
        if is_followed and self._writer.has_active_runs(experiment.experiment_id):
            self._left[experiment.experiment_id] = experiment.name
        else:
            self._writer.delete(experiment)

    def _no_longer_there(self, existing: Sequence[Experiment]) -> Iterator[Experiment]:
        known = {place.origin for place in self._places.values()}
        for experiment in existing:
            came_from_there = experiment.tags.get(FROM) == self.came_from and ORIGIN_EXPERIMENT in experiment.tags
            is_known = experiment.tags.get(ORIGIN_EXPERIMENT) in known
            is_active = experiment.lifecycle_stage == ACTIVE
            if came_from_there and is_active and not is_known and experiment.name.startswith(self._naming.prefix):
                yield experiment

    def _place(self, experiment: Experiment, name: str, found: Experiment | None) -> "_Place":
        place = _Place(experiment, name, found, self.came_from, self._policy, self._writer.keeps_state)
        if found is None:
            return place
        place.target_id, place.state = found.experiment_id, found.lifecycle_stage
        both_deleted = found.lifecycle_stage == experiment.lifecycle_stage == DELETED
        place.is_ours = both_deleted or ORIGIN_EXPERIMENT in found.tags
        stays_deleted = place.is_ours and experiment.lifecycle_stage == DELETED
        may_restore = self._restore_deleted or place.is_mirrored
        if found.lifecycle_stage == DELETED and not stays_deleted and not may_restore:
            place.error = (
                f"the target has a deleted experiment “{name}”: restore it with --restore-deleted, "
                f"or give it another name with --rename '{experiment.name}=NEW'"
            )
        return place

    def _make(self, place: "_Place") -> None:
        keeps_state = self._writer.keeps_state
        if place.found is None:
            # Our own first: where only some are given with it, those are what another try goes by.
            tags = {ORIGIN_EXPERIMENT: place.origin, FROM: place.came_from}
            if place.source.lifecycle_stage == DELETED and not keeps_state:
                tags[ARRIVES] = DELETED
            tags |= place.wanted_tags()
            wanted = replace(place.source, name=place.name, artifact_location="", tags=tags)
            place.target_id = self._writer.create(wanted)
            place.state = place.source.lifecycle_stage if keeps_state else ACTIVE
            place.is_ours = True
            return
        changed = place.changed_tags()
        wants_active = place.source.lifecycle_stage == ACTIVE or (bool(changed) and not keeps_state)
        was_deleted = place.state == DELETED
        if was_deleted and wants_active:
            self.activate(place.source.experiment_id)
        if changed and ORIGIN_EXPERIMENT in place.found.tags and place.found.tags.get(FROM) != place.came_from:
            changed[FROM] = place.came_from
        if changed or place.has_other_times:
            self._writer.change(place.as_target(place.state), changed)


@dataclass(slots=True)
class _Place:
    """A source experiment and what it is in the target. `is_ours`: an import made it, nobody else; for `keeps_state`
    see `ExperimentWriter`."""

    source: Experiment
    name: str
    found: Experiment | None
    came_from: str
    policy: DeletionPolicy
    keeps_state: bool
    target_id: str = ""
    state: str = ACTIVE
    is_ours: bool = False
    error: str = ""

    @property
    def origin(self) -> str:
        """The id the experiment had where it was born."""
        return self.source.tags.get(ORIGIN_EXPERIMENT, self.source.experiment_id)

    def wanted_tags(self) -> dict[str, str]:
        return own_tags_removed(self.source.tags)

    def changed_tags(self) -> dict[str, str]:
        present = self.found.tags if self.found else {}
        return {key: value for key, value in self.wanted_tags().items() if present.get(key) != value}

    @property
    def has_other_times(self) -> bool:
        """Whether it is kept with the times it has at this source, and they have changed there."""
        found, source = self.found, self.source
        if found is None or not self._keeps_times:
            return False
        told = (source.creation_time or found.creation_time, source.last_update_time or found.last_update_time)
        return told != (found.creation_time, found.last_update_time)

    def as_target(self, stage: str) -> Experiment:
        """The experiment as it is to be in the target; without a time of its last update where that is now."""
        if self.found is None:
            return replace(self.source, experiment_id=self.target_id, name=self.name, lifecycle_stage=stage)
        there = replace(self.found, experiment_id=self.target_id, lifecycle_stage=stage)
        if self._keeps_times:
            there = replace(there, creation_time=self.source.creation_time or there.creation_time)
            if self.source.last_update_time is not None:
                return replace(there, last_update_time=self.source.last_update_time)
        return there if stage == self.found.lifecycle_stage else replace(there, last_update_time=None)

    @property
    def _keeps_times(self) -> bool:
        """Where several sources share an experiment, it has those of none of them."""
        tags = self.found.tags if self.found else {}
        is_copy = tags.get(ORIGIN_EXPERIMENT) == self.origin and tags.get(FROM) == self.came_from
        return self.keeps_state and is_copy

    @property
    def was_active(self) -> bool:
        return self.found is not None and self.found.lifecycle_stage == ACTIVE

    @property
    def is_mirrored(self) -> bool:
        """Whether deletions are followed, and the experiment came from this source."""
        from_there = self.found is not None and self.found.tags.get(FROM) == self.came_from
        return self.policy.brake is not None and self.is_ours and from_there

    @property
    def deletes(self) -> bool:
        """Whether a deletion at the source is one here too. Somebody else's experiment is never deleted."""
        if self.source.lifecycle_stage != DELETED or not self.is_ours:
            return False
        arrives = self.found is None or ARRIVES in self.found.tags
        return self.policy.replays or not self.was_active or arrives or self.is_mirrored

    @property
    def stays_active(self) -> bool:
        return self.source.lifecycle_stage == DELETED and self.was_active and not self.deletes

    def outcome(self) -> Outcome:
        problems: tuple[Problem, ...] = ()
        if self.policy.replays and self.stays_active:
            reason = "deleted at the source, but in use in the target before: left active"
            problems = (Problem("lifecycle stage of experiment", self.name, reason),)
        if self.error:
            action = FAILED
        elif self.found is None:
            action = CREATE
        else:
            is_left = self.stays_active and not self.policy.replays
            same_state = is_left or self.found.lifecycle_stage == self.source.lifecycle_stage
            is_same = same_state and not self.changed_tags() and not self.has_other_times
            action = UNCHANGED if is_same else UPDATE
        source = self.source
        return Outcome(
            "experiment",
            source.experiment_id,
            source.name,
            action,
            self.target_id,
            problems=problems,
            error=self.error,
        )
