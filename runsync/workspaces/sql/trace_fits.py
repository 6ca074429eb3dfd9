"""Whether traces fit into the columns of a database, told by name before anything is written."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from runsync.kinds.assessments import Assessment
from runsync.kinds.spans import Span
from runsync.kinds.traces import Trace
from runsync.model.run import Problem
from runsync.workspaces.fitted import Fitted
from runsync.workspaces.sql import trace_analytics
from runsync.workspaces.sql.address import MYSQL
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.room import Room, rooms
from runsync.workspaces.sql.spellings import Spellings
from runsync.workspaces.sql.write_traces import assessment_texts

NO_COLUMN = "this database is of an MLflow that does not keep it"
_PREVIEWS = ("request_preview", "response_preview")
_OF_ASSESSMENTS = (
    *(("name", "name"), ("source_type", "source_type"), ("source_id", "source_id"), ("run_id", "run_id")),
    *(("span_id", "span_id"), ("assessment_id", "assessment_id"), ("overrides", "overrides")),
)
"""Fields and columns."""


class TraceFits:
    """See `sql.room`."""

    def __init__(self, part: Part) -> None:
        self._any, self._rooms = rooms(part.database, part.schema)
        self._part = part
        self._spellings = Spellings(part.database) if part.database.kind == MYSQL else None
        self._has_columns = "session_id" in part.table("trace_info").c

    def room(self, table: str, column: str) -> Room:
        """What a column takes."""
        return self._rooms.get((table, column), self._any)

    def fitted(self, item: Trace) -> Fitted[Trace]:
        """See `TraceStore.fitted`."""
        if why := self._why("trace_info", "request_id", item.trace_id):
            return Fitted(item, why_not=f"its id {why}")
        left_out: list[Problem] = []
        note = left_out.append
        changed = {
            **self._fields(item, note),
            "tags": self._texts("tag", "trace_tags", item.tags, note),
            "metadata": self._metadata(item.metadata, note),
            "assessments": tuple(each for each in item.assessments if self._takes(each, note)),
            "linked_runs": tuple(id for id in item.linked_runs if self._links("run", id, note)),
            "linked_prompts": tuple(id for id in item.linked_prompts if self._links("prompt", id, note)),
        }
        if item.spans is not None and self._part.has("spans"):
            spans = tuple(span for span in item.spans if self._holds(span, note))
            changed |= {"spans": spans} if len(spans) < len(item.spans) else {}
        return Fitted(replace(item, **changed), tuple(left_out))

    def _fields(self, item: Trace, note: Callable[[Problem], object]) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        columns = self._part.table("trace_info").c
        for name in ("client_request_id", *_PREVIEWS):
            told = getattr(item, name)
            if told is None:
                continue
            if name not in columns:
                changed[name] = None
                note(Problem("field", name, NO_COLUMN))
            elif why := self._why("trace_info", name, told):
                changed[name] = self.room("trace_info", name).nearest(told) if name in _PREVIEWS else None
                note(Problem("field", name, f"it {why}" + (": it is cut" if name in _PREVIEWS else "")))
        return changed

    def _texts(
        self, what: str, table: str, texts: Mapping[str, str], note: Callable[[Problem], object]
    ) -> dict[str, str]:
        kept: dict[str, str] = {}
        first = self._spellings.first(table, "key", list(texts)) if self._spellings is not None else {}
        for key, value in texts.items():
            why = self._why(table, "key", key, "its name ") or self._why(table, "value", value, "it ")
            other = first.get(key, key)
            if other != key:
                why = why or f"to this database its name is “{other}”"
            if why:
                note(Problem(what, key, why))
            else:
                kept[key] = value
        return kept

    def _metadata(self, metadata: Mapping[str, str], note: Callable[[Problem], object]) -> dict[str, str]:
        """As the store will tell it."""
        if not self._has_columns:
            return self._texts("metadata", "trace_request_metadata", metadata, note)
        promoted = {key: value for key, value in metadata.items() if key in trace_analytics.PROMOTED}
        others = {key: value for key, value in metadata.items() if key not in promoted}
        kept = self._texts("metadata", "trace_request_metadata", others, note)
        session = promoted.get(trace_analytics.SESSION)
        if session is not None and (why := self._why("trace_info", "session_id", session)):
            note(Problem("metadata", trace_analytics.SESSION, f"it {why}"))
            del promoted[trace_analytics.SESSION]
        for key in promoted:
            if trace_analytics.loses(promoted, key):
                note(Problem("metadata", key, "MLflow 3.17 keeps it in columns, which do not hold all that it says"))
        return kept | trace_analytics.to_metadata(trace_analytics.to_columns(promoted, None))

    def _takes(self, one: Assessment, note: Callable[[Problem], object]) -> bool:
        why = self._misfit(one)
        if why:
            note(Problem("assessment", one.name, why))
        return not why

    def _misfit(self, one: Assessment) -> str:
        if not self._part.has("assessments"):
            return NO_COLUMN
        told = {column: getattr(one, field) for field, column in _OF_ASSESSMENTS} | assessment_texts(one)
        found = (self._why("assessments", name, text or "", f"its {name} ") for name, text in told.items())
        return next((why for why in found if why), "")

    def _links(self, what: str, id: str, note: Callable[[Problem], object]) -> bool:
        why = NO_COLUMN
        if self._part.has("entity_associations"):
            why = self._why("entity_associations", "destination_id", id, "its id ")
        if why:
            note(Problem(f"linked {what}", id, why))
        return not why

    def _holds(self, span: Span, note: Callable[[Problem], object]) -> bool:
        """A span whose own fields have no column of that size; its document takes anything."""
        why = self._why("spans", "type", span.type, "its type ")
        if not why and not (0 <= span.start < 2**63 and 0 <= (span.end or 0) < 2**63):
            why = "its times are out of range"
        if why:
            note(Problem("span", f"{span.span_id} {span.name}", why))
        return not why

    def _why(self, table: str, column: str, text: str, what: str = "") -> str:
        why = self.room(table, column).why_not(text)
        return f"{what}{why}" if why else ""
