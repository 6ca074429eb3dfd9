"""Experiments in a target server: which one a source experiment becomes, and in what state."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from runsync.errors import RequestRefused, WrongUsage
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import ORIGIN_EXPERIMENT, own_tags_removed
from runsync.model.naming import Naming
from runsync.model.protocol import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.run import Problem
from runsync.workspaces import wire
from runsync.workspaces.http import Client
from runsync.workspaces.rest_create import create_once
from runsync.workspaces.rest_server import API


class ExperimentMap:
    """The experiments of one import."""

    def __init__(self, client: Client, naming: Naming, restore_deleted: bool) -> None:
        self._client = client
        self._naming = naming
        self._restore_deleted = restore_deleted
        self._places: dict[str, _Place] = {}
        self.restored: list[str] = []
        """Target ids of experiments that were deleted and are restored for this import."""
        self._lock = Lock()

    def begin(self, experiments: Sequence[Experiment], existing: Sequence[Experiment]) -> list[Outcome]:
        """Finds for each source experiment the one of its new name. Raises WrongUsage when two would share a name."""
        unknown = set(self._naming.rename) - {e.name for e in experiments}
        if unknown:
            raise WrongUsage(f"--rename names “{min(unknown)}”, which is not among the experiments to import")
        by_name = {e.name: e for e in existing}
        taken: dict[str, str] = {}
        for experiment in experiments:
            name = self._naming.of(experiment.name)
            if name in taken:
                raise WrongUsage(f"“{taken[name]}” and “{experiment.name}” would both be called “{name}”: rename one")
            taken[name] = experiment.name
            self._places[experiment.experiment_id] = self._place(experiment, name, by_name.get(name))
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

    def activate(self, source_id: str) -> None:
        """Restores a deleted target experiment before a run is made in it; `finish` deletes it again."""
        place = self._places[source_id]
        with self._lock:
            if place.state == DELETED:
                self._client.post(f"{API}/experiments/restore", {"experiment_id": place.target_id})
                place.state = ACTIVE
                self.restored.append(place.target_id)

    def finish(self) -> list[Outcome]:
        """Deletes the experiments that were deleted at the source, now that their runs are in."""
        outcomes = []
        for place in self._places.values():
            if place.error or not place.to_be_deleted:
                continue
            try:
                self._client.post(f"{API}/experiments/delete", {"experiment_id": place.target_id})
            except RequestRefused as error:
                place.error = str(error)
                outcomes.append(place.outcome())
        return outcomes

    def _find(self, name: str) -> str | None:
        try:
            found = self._client.get(f"{API}/experiments/get-by-name", experiment_name=name)["experiment"]
        except RequestRefused:
            return None
        return str(found["experiment_id"])

    def _place(self, experiment: Experiment, name: str, found: Experiment | None) -> "_Place":
        place = _Place(experiment, name, found)
        if found is None:
            return place
        place.target_id, place.state = found.experiment_id, found.lifecycle_stage
        both_deleted = found.lifecycle_stage == experiment.lifecycle_stage == DELETED
        place.is_ours = both_deleted or ORIGIN_EXPERIMENT in found.tags
        stays_deleted = place.is_ours and experiment.lifecycle_stage == DELETED
        if found.lifecycle_stage == DELETED and not stays_deleted and not self._restore_deleted:
            place.error = (
                f"the target has a deleted experiment “{name}”: restore it with --restore-deleted, "
                f"or import under another name with --rename '{experiment.name}=NEW'"
            )
        return place

    def _make(self, place: "_Place") -> None:
        if place.found is None:
            tags = {**place.wanted_tags(), ORIGIN_EXPERIMENT: place.origin}
            body = {"name": place.name, "tags": wire.entries(tags)}
            place.target_id = create_once(
                self._client,
                lambda: str(self._client.post(f"{API}/experiments/create", body, retry=False)["experiment_id"]),
                lambda: self._find(place.name),
            )
            place.is_ours = True
            return
        changed = place.changed_tags()
        wants_active = place.source.lifecycle_stage == ACTIVE or bool(changed)
        if place.state == DELETED and wants_active:
            self.activate(place.source.experiment_id)
        for key, value in changed.items():
            body = {"experiment_id": place.target_id, "key": key, "value": value}
            self._client.post(f"{API}/experiments/set-experiment-tag", body)


@dataclass(slots=True)
class _Place:
    """A source experiment and what it is in the target. `is_ours`: an import made it, nobody else."""

    source: Experiment
    name: str
    found: Experiment | None
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
    def to_be_deleted(self) -> bool:
        """Somebody else's experiment is never deleted."""
        return self.source.lifecycle_stage == DELETED and self.state != DELETED and self.is_ours

    def outcome(self) -> Outcome:
        problems: tuple[Problem, ...] = ()
        if self.found is not None and self.source.lifecycle_stage == DELETED and not self.is_ours:
            reason = "deleted at the source, but in use in the target before: left active"
            problems = (Problem("lifecycle stage of experiment", self.name, reason),)
        if self.error:
            action = FAILED
        elif self.found is None:
            action = CREATE
        else:
            same_state = self.found.lifecycle_stage == self.source.lifecycle_stage
            action = UNCHANGED if same_state and not self.changed_tags() else UPDATE
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
