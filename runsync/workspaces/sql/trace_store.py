"""Traces of a database: see `workspaces.direct.traces.TraceStore`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

from runsync.kinds.traces import Trace
from runsync.workspaces.direct.traces import FoundSpans, StoredTrace, TraceWrite
from runsync.workspaces.fitted import Fitted
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.read_spans import read_spans
from runsync.workspaces.sql.schema import WRITABLE
from runsync.workspaces.sql.trace_fits import TraceFits
from runsync.workspaces.sql.traces import TABLES, Traces
from runsync.workspaces.sql.write_traces import TraceWriter, delete_traces

_LAST_WITH_FILES = "bf29a5ff90ea"
"""MLflow 3.5, 3.6 and 3.7 have it; 3.5 writes spans as rows, and reads them from files."""


class SqlTraces:
    """Those of one MLflow workspace."""

    def __init__(self, part: Part) -> None:
        self.has_room = part.has(*TABLES)
        self.keeps_spans = part.has("spans")
        self._part = part
        self._traces = Traces(part)

    @cached_property
    def wants_file(self) -> bool:
        """Whether an MLflow that has this schema reads spans from files."""
        return self._part.schema.revision in WRITABLE[: WRITABLE.index(_LAST_WITH_FILES) + 1]

    @cached_property
    def _fits(self) -> TraceFits:
        return TraceFits(self._part)

    @cached_property
    def _writer(self) -> TraceWriter:
        return TraceWriter(self._part, self._fits.room("spans", "content"), self._fits.room("spans", "name"))

    def traces(self, experiment_ids: Sequence[str], trace_ids: Collection[str] = ()) -> Iterator[StoredTrace]:
        """Those of experiments, and those of these ids."""
        return self._traces.read(experiment_ids, trace_ids)

    def spans(self, trace_ids: Sequence[str]) -> Iterator[tuple[str, FoundSpans]]:
        """Those that are rows."""
        if not self.keeps_spans:
            return ((id, FoundSpans()) for id in trace_ids)
        return read_spans(self._part, trace_ids)

    def unreadable(self) -> Mapping[str, str]:
        """What is no text is told by those who read."""
        return {}

    def fitted(self, item: Trace) -> Fitted[Trace]:
        """Without what does not fit into its columns."""
        return self._fits.fitted(item)

    def refresh(self) -> None:
        """What is read from now on is as it is now."""
        self._part.database.refresh()

    def write(self, writes: Sequence[TraceWrite]) -> None:
        """In one transaction, with all that hangs off them."""
        self._part.database.transact(lambda connection: self._writer.write(connection, writes))

    def delete(self, trace_ids: Collection[str]) -> None:
        """In one transaction."""
        self._part.database.transact(lambda connection: delete_traces(self._part, connection, trace_ids))
