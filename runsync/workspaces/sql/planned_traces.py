"""Traces of a database whose tables are still to be made: there are none, and none is written."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from runsync.errors import RequestRefused
from runsync.kinds.traces import Trace
from runsync.workspaces.direct.traces import FoundSpans, StoredTrace, TraceWrite
from runsync.workspaces.fitted import Fitted


class NoTraces:
    """A `TraceStore`."""

    has_room = True
    keeps_spans = True
    wants_file = False

    def traces(self, experiment_ids: Sequence[str], trace_ids: Collection[str] = ()) -> Iterator[StoredTrace]:
        """None."""
        return iter(())

    def spans(self, trace_ids: Sequence[str]) -> Iterator[tuple[str, FoundSpans]]:
        """None."""
        return ((id, FoundSpans()) for id in trace_ids)

    def unreadable(self) -> Mapping[str, str]:
        """None."""
        return {}

    def fitted(self, item: Trace) -> Fitted[Trace]:
        """Nothing is known of columns that are not there yet."""
        return Fitted(item)

    def refresh(self) -> None:
        """Nothing to read again."""

    def write(self, writes: Sequence[TraceWrite]) -> None:
        """Raises RequestRefused."""
        raise RequestRefused("the database has no tables yet")

    def delete(self, trace_ids: Collection[str]) -> None:
        """There are none."""
