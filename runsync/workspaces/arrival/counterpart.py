"""A source experiment and what it is, or is to become, in a target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from runsync.errors import RequestRefused
from runsync.model.deletions import DeletionPolicy
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import ARRIVES, COPY, FROM, FROM_EXPERIMENT, ORIGIN_EXPERIMENT, own_tags_removed
from runsync.model.lineage import Lineage, came_from, copy_tag, is_copy, origin_of_experiment, surplus, tells_the_same
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.provenance import key_of, shown_address
from runsync.model.run import Problem


@dataclass(slots=True)
class Counterpart:
    """`name` is the one it is to have in the target, `came_from` the address of the source. `is_matched`: it was found
    by more than its name (see `model.pairing`). `is_ours`: an import made it, nobody else; for `keeps_state` see
    `ExperimentWriter`. Without `is_tagged` it gets no tags of ours, and loses those from here.

    With `error` nothing can be brought into it; with `name_error` only its name cannot follow.
    """

    source: Experiment
    name: str
    found: Experiment | None
    came_from: str
    policy: DeletionPolicy
    keeps_state: bool
    is_matched: bool = False
    is_tagged: bool = True
    target_id: str = ""
    state: str = ACTIVE
    is_ours: bool = False
    error: str = ""
    name_error: str = ""
    may_pass: bool = False
    """Whether another try may do what was refused."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why tags did not arrive that the target has no place for."""

    @property
    def origin(self) -> str:
        """The id the experiment had where it was born."""
        return origin_of_experiment(self.source)

    @property
    def is_to_rename(self) -> bool:
        """Whether its name is to follow the source's: that of a copy does, that of what is at home here never.

        Two sources may both be brought here that are copies of a third, each with a name of its own: then the name
        stays that of the third.
        """
        if self.found is None or not self.is_matched or not is_copy(self.found) or self.found.name == self.name:
            return False
        return self._is_from_here or came_from(self.source) != came_from(self.found)

    @property
    def is_of_this_id(self) -> bool:
        """Whether it is found by its own id alone, and no tag tells or is to tell more."""
        is_same_id = self.found is not None and self.found.experiment_id == self.source.experiment_id
        return not self.is_tagged and self.is_matched and is_same_id

    def new_tags(self, arrives_deleted: bool) -> dict[str, str]:
        """Those of a copy that is made: our own first, for where only some are given with it, another try goes by
        those."""
        own = self._own_tags() if self.is_tagged else {}
        return own | ({ARRIVES: DELETED} if arrives_deleted else {}) | self.wanted_tags()

    def tags_to_set(self) -> dict[str, str]:
        """Those that the copy in the target lacks, our own among them where anything else of it changes, or where an
        earlier version left them out."""
        changed = self.changed_tags()
        if self.found is None or not is_copy(self.found) or not self.is_tagged:
            return changed
        is_new_source = (changed or self.is_to_rename) and not self._is_from_here
        takes_tags = self.keeps_state or self.state == ACTIVE or bool(changed) or self.is_to_rename
        follows = self.is_matched and not self.name_error and takes_tags
        follows = follows and (self._is_from_here or self.is_to_rename)
        there = Lineage.of(self.found)
        is_new_lineage = follows and there != self._lineage
        if self.keeps_state or COPY in self.found.tags:
            if changed or is_new_source or is_new_lineage:
                own = copy_tag(self.came_from, origin_of_experiment(self.found), self._lineage if follows else there)
                changed |= {} if tells_the_same(self.found.tags.get(COPY, ""), own) else {COPY: own}
            return changed
        changed |= {FROM: shown_address(self.came_from)} if is_new_source else {}
        return changed | ({FROM_EXPERIMENT: str(self._lineage)} if is_new_lineage else {})

    def tags_to_remove(self) -> tuple[str, ...]:
        """Those of ours that the copy in the target has and needs no more, once others are set."""
        if self.found is None or not self.keeps_state:
            return ()
        if not self.is_tagged:
            return surplus(self.found.tags, {}) if self._is_from_here else ()
        return surplus(self.found.tags, {COPY: ""}) if COPY in self.tags_to_set() else ()

    def wanted_tags(self) -> dict[str, str]:
        """The source's own."""
        return own_tags_removed(self.source.tags)

    def changed_tags(self) -> dict[str, str]:
        """Those of them that the target has not, or has otherwise."""
        present = self.found.tags if self.found else {}
        wanted = {key: value for key, value in self.wanted_tags().items() if key not in self.left_out}
        return {key: value for key, value in wanted.items() if present.get(key) != value}

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
    def was_active(self) -> bool:
        """Whether it was there, and active, before."""
        return self.found is not None and self.found.lifecycle_stage == ACTIVE

    @property
    def is_mirrored(self) -> bool:
        """Whether deletions are followed, and the experiment came from this source."""
        return self.policy.brake is not None and self.is_ours and (self._is_from_here or self.is_of_this_id)

    @property
    def deletes(self) -> bool:
        """Whether a deletion at the source is one here too. Somebody else's experiment is never deleted."""
        if self.source.lifecycle_stage != DELETED or not self.is_ours:
            return False
        arrives = self.found is None or ARRIVES in self.found.tags
        return self.policy.replays or not self.was_active or arrives or self.is_mirrored

    @property
    def stays_active(self) -> bool:
        """Whether it is deleted at the source and active here, and left so."""
        return self.source.lifecycle_stage == DELETED and self.was_active and not self.deletes

    def foresee(self, left_out: Callable[[Experiment], Mapping[str, str]]) -> None:
        """What making or changing it will show, as far as that is known before: see `ExperimentWriter.foresee`."""
        there = self.as_target(self.state)
        try:
            if self.is_to_rename:
                left_out(replace(there, name=self.name, tags={}))
        except RequestRefused as error:
            self.name_error = str(error)
        is_new = self.found is None
        tags = self.new_tags(arrives_deleted=False) if is_new else self.tags_to_set()
        try:
            self.left_out = left_out(replace(there, name=self.name if is_new else "", tags=tags))
        except RequestRefused as error:
            self.error = str(error)

    def outcome(self) -> Outcome:
        """What was, or is to be, done with it."""
        problems = tuple(Problem("tag of experiment", key, why) for key, why in self.left_out.items())
        if self.policy.replays and self.stays_active:
            reason = "deleted at the source, but in use in the target before: left active"
            problems += (Problem("lifecycle stage of experiment", self.name, reason),)
        error = self.error or self.name_error
        source = self.source
        return Outcome(
            "experiment",
            source.experiment_id,
            source.name,
            FAILED if error else self._action,
            self.target_id,
            problems=problems,
            error=error,
            retry=self.may_pass,
        )

    @property
    def _action(self) -> str:
        if self.found is None:
            return CREATE
        is_left = self.stays_active and not self.policy.replays
        same_state = is_left or self.found.lifecycle_stage == self.source.lifecycle_stage
        has_same_tags = not self.tags_to_set() and not self.tags_to_remove()
        is_same = same_state and has_same_tags and not self.has_other_times and not self.is_to_rename
        return UNCHANGED if is_same else UPDATE

    @property
    def _lineage(self) -> Lineage:
        return Lineage.told_of(self.source, self.name)

    @property
    def _keeps_times(self) -> bool:
        """Where several sources share an experiment, it has those of none of them."""
        if self.found is None or not self.keeps_state:
            return False
        is_copy_of_it = is_copy(self.found) and origin_of_experiment(self.found) == self.origin and self._is_from_here
        return is_copy_of_it or self.is_of_this_id

    @property
    def _is_from_here(self) -> bool:
        return self.found is not None and is_copy(self.found) and came_from(self.found) == key_of(self.came_from)

    def _own_tags(self) -> dict[str, str]:
        if self.keeps_state:
            return {COPY: copy_tag(self.came_from, self.origin, self._lineage)}
        told = {ORIGIN_EXPERIMENT: self.origin, FROM: shown_address(self.came_from)}
        return told | {FROM_EXPERIMENT: str(self._lineage)}
