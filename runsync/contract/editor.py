"""Changes to runs and experiments where they lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from runsync.model.experiment import Experiment
from runsync.model.run import Run

if TYPE_CHECKING:
    from runsync.kinds.kind import Kind


@dataclass(frozen=True, slots=True)
class DeletedBefore:
    """Runs of a deleted experiment that were deleted before it was. `is_all`: there were surely no others."""

    run_ids: tuple[str, ...]
    is_all: bool


class BulkChanges(Protocol):
    """Deletes and restores by time within the workspace itself, as Databricks does. Each gives how many runs it was.

    A request whose answer is lost may have been done all the same; it raises RequestRefused or WorkspaceUnreachable.
    """

    keeps_days: int
    """How long a deleted run is kept."""

    def delete_runs(self, experiment_id: str, max_timestamp_millis: int, max_runs: int) -> int:
        """Those created at or before a time."""

    def restore_runs(self, experiment_id: str, min_timestamp_millis: int, max_runs: int) -> int:
        """Those deleted at or after a time."""


class Editor(Protocol):
    """Changes runs and experiments where they lie.

    Methods may be called from several threads, and again for what is done already; each raises RequestRefused.
    """

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""

    @property
    def bulk(self) -> BulkChanges | None:
        """None where the workspace has nothing of the kind."""

    def deleted_at(self, run: Run) -> int | None:
        """When a deleted run was deleted, in epoch milliseconds; None where that is not told."""

    def is_unfinished(self, run: Run) -> bool:
        """Whether a restoration that was cut short left something to do on a run that is active again."""

    def is_half_restored(self, experiment: Experiment, runs: Sequence[Run]) -> bool:
        """Whether a restoration that was cut short left runs of an active experiment (all are given) to be put back."""

    def rename_run(self, run_id: str, name: str) -> None:
        """Gives it another name."""

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags, whole or not at all. A deleted run is refused."""

    def untag_run(self, run_id: str, keys: Sequence[str]) -> None:
        """Takes tags away that it has. A deleted run is refused."""

    def delete_run(self, run_id: str, at: int | None) -> None:
        """Marks it as deleted; `at` is kept as the time of the deletion, unless the workspace keeps its own."""

    def restore_run(self, run: Run) -> None:
        """Makes it active again."""

    def delete_entities(self, kind: "Kind[Any]", experiment_id: str, ids: Sequence[str]) -> None:
        """Deletes some of a kind in an experiment, for good; one that is not there is no fault. Raises WrongUsage where
        none of that kind are deleted."""

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """Gives it another name, which no other may have, not even a deleted one."""

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags."""

    def untag_experiment(self, experiment_id: str, keys: Sequence[str]) -> None:
        """Takes tags away that it has."""

    def delete_experiment(self, experiment: Experiment, at: int, deleted_runs: Sequence[str]) -> None:
        """Marks it and all its runs as deleted; `deleted_runs` (those deleted before) are remembered."""

    def restore_experiment(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """Makes it active again, with all its runs; `deleted_runs` (to be deleted again) are remembered."""

    def put_back(self, run: Run) -> None:
        """Deletes a run again that came back with its experiment."""

    def forget_deletion(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """Takes away what was remembered, once those runs are deleted again."""

    def deleted_before(self, experiment: Experiment, runs: Sequence[Run]) -> DeletedBefore:
        """Which runs of a deleted experiment (all are given) were deleted before it was; also after it was restored,
        as long as that is unfinished."""
