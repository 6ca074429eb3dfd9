"""What a store must do that keeps traces; source and target are made of it.

Ids, times and links are kept exactly as they are given.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from runsync.kinds.spans import Span
from runsync.kinds.traces import Trace
from runsync.model import brought
from runsync.model.run import Problem
from runsync.workspaces.fitted import Fitted

ROWS, FILE, ARCHIVE = "TRACKING_STORE", "ARTIFACT_REPO", "ARCHIVE_REPO"
"""Where the spans of a trace are, in the words of its tag `mlflow.trace.spansLocation`: in the store, in the file
`traces.json` among its artifacts, or in `traces.pb` in an archive."""


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """A trace without its spans. `location` is where its artifacts are (a URI, "" where that is not told), `spans_at`
    is ROWS, FILE or ARCHIVE, and `archive` is where that is."""

    item: Trace
    location: str
    spans_at: str = FILE
    archive: str = ""


@dataclass(frozen=True, slots=True)
class TraceWrite:
    """One to be written as it is, with all its tags, metadata, assessments and links; `location` is where its
    artifacts are.

    `there` is what the store has of it now: the tags and assessments in `untagged` and `unassessed` (keys and ids) are
    taken away, and all else that it has besides stays. Its spans are written unless they are None: those that are there
    and not among them go.
    """

    item: Trace
    location: str
    there: StoredTrace | None = None
    untagged: Sequence[str] = ()
    unassessed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class FoundSpans:
    """Those of a trace that a store has, those that cannot be read, and whether any of them names attachments."""

    spans: tuple[Span, ...] = ()
    broken: tuple[Problem, ...] = ()
    has_attachments: bool = False


class TraceStore(Protocol):
    """Methods may be called from several threads."""

    @property
    def has_room(self) -> bool:
        """Whether this version of the store keeps traces at all."""

    @property
    def keeps_spans(self) -> bool:
        """Whether it keeps spans itself, not as a file among artifacts."""

    @property
    def wants_file(self) -> bool:
        """Whether an MLflow that may use this store looks for spans in a file among artifacts."""

    def traces(self, experiment_ids: Sequence[str], trace_ids: Collection[str] = ()) -> Iterator[StoredTrace]:
        """Those of experiments, oldest first, and those of these ids wherever they are; memory stays flat."""

    def spans(self, trace_ids: Sequence[str]) -> Iterator[tuple[str, FoundSpans]]:
        """Those of traces of which the store has them as rows, in this order, each trace once; memory holds only a few
        megabytes of them, or those of one trace."""

    def unreadable(self) -> Mapping[str, str]:
        """Why those cannot be read that were met when all were asked for, by id."""

    def fitted(self, item: Trace) -> Fitted[Trace]:
        """One as it can be there, as far as that shows without writing."""

    def refresh(self) -> None:
        """What is read from now on is as it is now."""

    def write(self, writes: Sequence[TraceWrite]) -> None:
        """All in one transaction, as far as the store has such a thing. Their experiments are there. Raises
        RequestRefused for what the store cannot take; then nothing was written."""

    def delete(self, trace_ids: Collection[str]) -> None:
        """Those that are there, with all that hangs off them, as MLflow does it."""


@dataclass(frozen=True, slots=True)
class StoredTraces:
    """The traces of a store as `arrival.trace_deletions` has them."""

    store: TraceStore

    def copies(self, experiment_ids: Sequence[str], key: str) -> Iterator[tuple[str, str]]:
        """See `TraceHoldings`."""
        items = (stored.item for stored in self.store.traces(experiment_ids))
        return ((one.trace_id, one.experiment_id) for one in items if brought.came_from(one.tags) == key)

    def delete(self, experiment_id: str, trace_ids: Sequence[str]) -> None:
        """In one transaction. Raises RequestRefused."""
        self.store.delete(trace_ids)
