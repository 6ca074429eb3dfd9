"""A run as it is stored: its document, and where in which part its metric history stands."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runsync.bundle import layout, parts
from runsync.bundle.manifest import Counts
from runsync.bundle.store import Store
from runsync.errors import BundleDamaged
from runsync.model.experiment import DELETED
from runsync.model.paths import unsafe
from runsync.model.run import Contents, Run


@dataclass(frozen=True, slots=True)
class StoredRun:
    """`first_row` is the row of `metrics_part` (a hash; "" without metrics) where the run's points begin."""

    run: Run
    contents: Contents
    fingerprint: str
    metrics_part: str
    first_row: int

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `schemas/v1/run.schema.json`."""
        return {
            **self.run.to_document(),
            **self.contents.to_document(),
            "fingerprint": self.fingerprint,
            "metrics_part": self.metrics_part,
            "first_row": self.first_row,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "StoredRun":
        """The reverse, of a valid document."""
        return cls(
            Run.from_document(document),
            Contents.from_document(document),
            document["fingerprint"],
            document["metrics_part"],
            document["first_row"],
        )

    def counts(self) -> Counts:
        """What it adds to a snapshot's counts."""
        artifacts = self.contents.artifacts or ()
        return Counts(
            runs=1,
            runs_deleted=int(self.run.lifecycle_stage == DELETED),
            params=len(self.run.params),
            tags=len(self.run.tags),
            metric_points=self.contents.metric_points,
            dataset_inputs=len(self.run.dataset_inputs),
            model_inputs=len(self.run.model_inputs),
            model_outputs=len(self.run.model_outputs),
            artifacts=len(artifacts),
            artifact_bytes=sum(file.size for file in artifacts),
        )


def read_runs(store: Store, name: str) -> Iterator[StoredRun]:
    """The runs of a part. Raises BundleDamaged, also for an artifact path that would leave its folder."""
    return (stored for _, stored in read_lines(store, name))


def read_lines(
    store: Store, name: str, is_wanted: Callable[[int], bool] | None = None, count: int | None = None
) -> Iterator[tuple[int, StoredRun]]:
    """The runs of a part with the numbers of their lines; see `parts.read_lines`. Raises likewise."""
    for number, document in parts.read_lines(store, "run", name, is_wanted, count):
        stored = StoredRun.from_document(document)
        for file in stored.contents.artifacts or ():
            reason = unsafe(file.path)
            if reason:
                raise BundleDamaged(
                    f"{store.address}/{name}:{number}: artifact path “{file.path}” is refused: {reason}"
                )
        yield number, stored


def metrics_name(stored: StoredRun) -> str:
    """The metrics part of a run that has points."""
    return layout.part(stored.metrics_part, layout.METRICS)
