"""What can be read: a workspace, or a snapshot of a bundle."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from runsync.model.experiment import Experiment
from runsync.model.fields import NEWEST_FIRST, Order
from runsync.model.not_carried import NotCarried
from runsync.model.ordering import ordered
from runsync.model.place import Place
from runsync.model.run import ArtifactFile, Batch, Contents, ModelVersion, Run, Unreadable
from runsync.model.selection import Selection
from runsync.model.stored_object import StoredObject

if TYPE_CHECKING:
    import pyarrow as pa

    from runsync.contract.entities import EntitySource
    from runsync.contract.workbench import Workbench
    from runsync.kinds.kind import E, Kind


class Histories(Protocol):
    """The metric history of the runs of one batch."""

    def of(self, run_id: str) -> "Iterator[pa.RecordBatch]":
        """The whole history of one run (see `model.points`). Raises RequestRefused, BundleDamaged; PointsLost (see
        `model.lost_points`) at the end where some points cannot be read."""


Unread = Callable[[Unreadable], object]
"""Called with each item that cannot be read."""


def pass_over(unreadable: Unreadable) -> None:
    """Ignores what cannot be read."""


class Source(Protocol):
    """Yields experiments, runs, metric history and artifacts.

    Methods may be called from several threads. `pool` runs requests side by side; work given to it never waits
    for other work given to it.

    What has a body here is an answer that is right where there is nothing more to tell, and costs no more than it must:
    a class that names `Source` as its base has it from here.
    """

    @property
    def place(self) -> Place:
        """What this source is."""

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""
        return 0

    @property
    def doubts(self) -> list[str]:
        """Artifact roots in which there is nothing of any run that was looked at: what was taken for no artifacts may
        be out of reach."""
        return []

    def experiments(self, selection: Selection) -> list[Experiment]:
        """The experiments that a selection means, with tags. Raises NothingSelected."""

    def batches(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """The runs that a selection means, each once, in batches fit for one `Target.put`."""

    def in_order(
        self,
        experiments: Sequence[Experiment],
        selection: Selection,
        order: Sequence[Order] = NEWEST_FIRST,
        limit: int | None = None,
        unread: Unread = pass_over,
    ) -> Iterator[Run]:
        """The first so many runs that a selection means, each once, in the order of `model.ordering`; what is met and
        cannot be read is given to `unread`."""

        def told() -> Iterator[Run]:
            for batch in self.batches(experiments, selection):
                yield from batch.runs
                for one in (*batch.unreadable, *batch.pieces):
                    unread(one)

        yield from islice(ordered(told(), order, experiments), limit)

    def unlike(self, other: "Source", experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """Like `batches`, where it is cheaply known without the runs that are surely the same in the other source."""
        return self.batches(experiments, selection)

    def batch(self, run_ids: Sequence[str], experiments: Sequence[Experiment]) -> Batch:
        """These runs again; a run that is no longer there is left out."""

    def histories(self, batch: Batch, pool: Executor) -> "AbstractContextManager[Histories]":
        """The metric history of a batch's runs; memory stays flat however long it is."""

    def complete(self, batch: Batch, pool: Executor) -> Batch:
        """The batch with what a search does not tell (model inputs), where the source has more to tell."""
        return batch

    def artifacts(self, run: Run) -> tuple[ArtifactFile, ...]:
        """All files below the run's artifact root, sorted by path. Raises RequestRefused."""

    def seen_artifacts(self, run: Run, contents: Contents | None) -> tuple[ArtifactFile, ...] | None:
        """Likewise, each with the fault that shows without reading it; None where that takes requests for each run.
        `contents` is what its batch tells of it. Raises RequestRefused."""
        return None

    def read_artifact(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one file. Raises RequestRefused, BundleDamaged."""

    def locate_artifact(self, run: Run, file: ArtifactFile) -> StoredObject | None:
        """Where in S3 the bytes of one file lie; None when they lie elsewhere. Raises RequestRefused."""
        return None

    def model_versions(self, run: Run) -> tuple[ModelVersion, ...]:
        """The versions of registered models that were made of a run, where the source has them."""
        return ()

    def unreadable_experiments(self) -> Sequence[Unreadable]:
        """Those that are there and cannot be read: `experiments` does not give them. Among them may be pieces of those
        that can, and runs in no experiment; known once `experiments` was called."""
        return ()

    def known_counts(self, experiments: Sequence[Experiment]) -> Mapping[str, int] | None:
        """How many runs each experiment (by id) has, where that costs little; else None."""
        return None

    def left_behind(
        self, experiments: Sequence[Experiment], selection: Selection, artifacts: bool = True
    ) -> list[NotCarried]:
        """Kinds of objects that hang off the source and that this version does not carry, and what the source itself
        lacks of these experiments and of the runs that the selection means; of their files only with `artifacts`."""
        return []

    def lost(self, experiments: Sequence[Experiment], selection: Selection) -> Sequence[Unreadable]:
        """What a snapshot has not of what a selection may mean, since its export could not read it."""
        return ()

    @property
    def is_all(self) -> bool:
        """Whether an experiment that it neither lists nor tells as unreadable is not there: not so of a snapshot of
        some, or of one whose export could not read some."""
        return True

    def entities(self, kind: "Kind[E]") -> "EntitySource[E] | None":
        """Those of a kind; None where it cannot have any."""
        return None

    def orders(self, kind: "Kind[Any]", order: Sequence[Order]) -> bool:
        """Whether entities of a kind are listed in the order that a scope asks for."""
        return False

    @property
    def workbench(self) -> "Workbench | None":
        """Where its notebooks run; None where it has none."""
        return None

    @property
    def kept(self) -> Mapping[str, Any]:
        """What of every kind was asked for when a snapshot was made, by the names of options (see `kinds.options`)."""
        return {}
