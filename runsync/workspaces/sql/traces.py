"""Traces of a database, read with all that hangs off them but spans, some hundred at a time."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runsync.kinds.assessments import FEEDBACK, Assessment, AssessmentError
from runsync.kinds.traces import ARCHIVE_LOCATION, ARTIFACT_LOCATION, SPANS_LOCATION, STATES, UNSPECIFIED, Trace
from runsync.model.run import Problem
from runsync.workspaces.direct.traces import ARCHIVE, FILE, ROWS, StoredTrace
from runsync.workspaces.sql import trace_analytics
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.read import PAGE, numbers, parts

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Select

TABLES = ("trace_info", "trace_tags", "trace_request_metadata")
"""Those without which there are no traces."""
INFO = ("request_id", "experiment_id", "timestamp_ms", "execution_time_ms", "status")
LATER = ("client_request_id", "request_preview", "response_preview", *trace_analytics.COLUMNS)
"""Columns of `trace_info`: of every version, and of those from MLflow 3.2 and 3.17 on."""
ASSESSMENT = (
    *("trace_id", "assessment_id", "name", "assessment_type", "value", "error", "created_timestamp", "source_type"),
    *("last_updated_timestamp", "source_id", "run_id", "span_id", "rationale", "overrides", "valid"),
    "assessment_metadata",
)
TRACE, RUN, PROMPT = "trace", "run", "prompt_version"
"""What `entity_associations` calls them."""
Found = Mapping[str, Any]


class Traces:
    """Reads those of one MLflow workspace."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def read(self, experiment_ids: Sequence[str], trace_ids: Collection[str] = ()) -> Iterator[StoredTrace]:
        """See `TraceStore.traces`. Experiment by experiment, a page after the last trace of the page before."""
        if not self._part.has(*TABLES):
            return
        told: set[str] = set()
        asked_for = set(trace_ids)
        for number in numbers(experiment_ids):
            for stored in self._of_experiment(number):
                if stored.item.trace_id in asked_for:
                    told.add(stored.item.trace_id)
                yield stored
        for some in parts(sorted(asked_for - told)):
            with self._part.reading() as connection:
                info = self._part.table("trace_info")
                found = list(connection.execute(self._infos().where(info.c.request_id.in_(some))))
                page = list(self._with_all(connection, found))
            yield from page

    def count(self, experiment_ids: Sequence[str]) -> int:
        """How many experiments have."""
        from sqlalchemy import bindparam, func, select

        if not self._part.has(*TABLES):
            return 0
        info = self._part.table("trace_info")
        ids: Any = bindparam("ids", numbers(experiment_ids), expanding=True, literal_execute=True)
        return int(self._part.all_rows(select(func.count()).where(info.c.experiment_id.in_(ids)))[0][0])

    def _of_experiment(self, number: int) -> Iterator[StoredTrace]:
        from sqlalchemy import and_, or_

        info = self._part.table("trace_info")
        time, id = info.c.timestamp_ms, info.c.request_id
        asked = self._infos().where(info.c.experiment_id == number).order_by(time, id).limit(PAGE)
        after: list[ColumnElement[bool]] = []
        while True:
            with self._part.reading() as connection:
                found = list(connection.execute(asked.where(*after)))
                page = list(self._with_all(connection, found))
            yield from page
            if len(found) < PAGE:
                return
            last = found[-1]
            after = [or_(time > last.timestamp_ms, and_(time == last.timestamp_ms, id > last.request_id))]

    def _infos(self) -> "Select[Any]":
        """Of this workspace."""
        from sqlalchemy import select

        info, experiments = self._part.table("trace_info"), self._part.table("experiments")
        columns = [info.c[name] for name in (*INFO, *LATER) if name in info.c]
        joined = info.join(experiments, info.c.experiment_id == experiments.c.experiment_id)
        return select(*columns).select_from(joined).where(*self._part.here(experiments))

    def _with_all(self, connection: "Connection", infos: Sequence[Any]) -> Iterator[StoredTrace]:
        ids = [row.request_id for row in infos]
        if not ids:
            return
        tags = self._texts(connection, "trace_tags", ids)
        metadata = self._texts(connection, "trace_request_metadata", ids)
        assessments, broken = self._assessments(connection, ids)
        links = self._links(connection, ids)
        for row in infos:
            id = row.request_id
            yield _stored(row, tags[id], metadata[id], assessments[id], links[id], broken[id])

    def _texts(self, connection: "Connection", name: str, ids: Sequence[str]) -> Mapping[str, dict[str, str]]:
        from sqlalchemy import select

        table = self._part.table(name)
        asked = select(table.c.request_id, table.c.key, table.c.value).where(table.c.request_id.in_(ids))
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for id, key, value in connection.execute(asked):
            found[id][key] = value or ""
        return found

    def _assessments(
        self, connection: "Connection", ids: Sequence[str]
    ) -> tuple[Mapping[str, list[Assessment]], Mapping[str, list[Problem]]]:
        """Those that can be read, and the others."""
        from sqlalchemy import select

        found: dict[str, list[Assessment]] = defaultdict(list)
        broken: dict[str, list[Problem]] = defaultdict(list)
        if not self._part.has("assessments"):
            return found, broken
        table = self._part.table("assessments")
        asked = select(*(table.c[name] for name in ASSESSMENT)).where(table.c.trace_id.in_(ids))
        for row in connection.execute(asked.order_by(table.c.created_timestamp, table.c.assessment_id)):
            try:
                found[row.trace_id].append(_assessment(row))
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                broken[row.trace_id].append(Problem("assessment", row.assessment_id, f"it cannot be read: {error}"))
        return found, broken

    def _links(self, connection: "Connection", ids: Sequence[str]) -> Mapping[str, dict[str, list[str]]]:
        """What traces are linked to, by what that is."""
        from sqlalchemy import select

        found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        if not self._part.has("entity_associations"):
            return found
        table = self._part.table("entity_associations")
        asked = select(table.c.source_id, table.c.destination_type, table.c.destination_id)
        here = (table.c.source_type == TRACE, table.c.source_id.in_(ids))
        for id, what, other in connection.execute(asked.where(*here).order_by(table.c.destination_id)):
            found[id][what].append(other)
        return found


def _stored(
    row: Any,
    tags: dict[str, str],
    metadata: dict[str, str],
    assessments: Sequence[Assessment],
    links: Mapping[str, Sequence[str]],
    broken: Sequence[Problem],
) -> StoredTrace:
    info = row._mapping
    if "session_id" in info:
        metadata = {key: value for key, value in metadata.items() if key not in trace_analytics.PROMOTED}
        metadata |= trace_analytics.to_metadata(info)
        if info["trace_name"] is not None:
            tags = tags | {trace_analytics.TRACE_NAME: info["trace_name"]}
    item = Trace(
        trace_id=row.request_id,
        experiment_id=str(row.experiment_id),
        request_time=row.timestamp_ms,
        execution_duration=row.execution_time_ms,
        state=row.status if row.status in STATES else UNSPECIFIED,
        client_request_id=info.get("client_request_id"),
        request_preview=info.get("request_preview"),
        response_preview=info.get("response_preview"),
        metadata=metadata,
        tags=tags,
        assessments=tuple(assessments),
        linked_runs=tuple(links.get(RUN, ())),
        linked_prompts=tuple(links.get(PROMPT, ())),
        problems=tuple(broken),
    )
    told = tags.get(SPANS_LOCATION, "")
    place = told if told in (ROWS, ARCHIVE) else FILE
    return StoredTrace(item, tags.get(ARTIFACT_LOCATION, ""), place, tags.get(ARCHIVE_LOCATION, ""))


def _assessment(row: Any) -> Assessment:
    error = None if row.error is None else json.loads(row.error)
    return Assessment(
        assessment_id=row.assessment_id,
        name=row.name,
        type=row.assessment_type or FEEDBACK,
        value=json.loads(row.value),
        source_type=row.source_type or "",
        source_id=row.source_id or "",
        created_at=row.created_timestamp,
        updated_at=row.last_updated_timestamp,
        span_id=row.span_id or "",
        rationale=row.rationale,
        metadata={} if row.assessment_metadata is None else dict(json.loads(row.assessment_metadata)),
        error=error and AssessmentError(error.get("error_code") or "", *_further(error)),
        overrides=row.overrides or "",
        valid=bool(row.valid),
        run_id=row.run_id or "",
    )


def _further(error: Mapping[str, Any]) -> tuple[str, str]:
    return error.get("error_message") or "", error.get("stack_trace") or ""
