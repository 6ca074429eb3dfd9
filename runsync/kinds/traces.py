"""Traces: what one call of an application did, as a tree of spans, with assessments and attachments."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

from runsync.kinds import spans as rows
from runsync.kinds.assessments import ISSUES, Assessment
from runsync.kinds.changed import changed_fields, changed_files, lacking_entries
from runsync.kinds.kind import EXPERIMENTS, Blob, Key, Kind, Resolve, is_same
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.spans import Span
from runsync.kinds.trace_filter import OPTION, SOURCE_RUN, TraceFilter
from runsync.kinds.trace_words import OF_TRACES
from runsync.model.filter.parse import parse
from runsync.model.identity import own_tags_removed
from runsync.model.option import Option, group
from runsync.model.run import ArtifactFile, Problem
from runsync.model.selection import RUNS
from runsync.model.wording import many

if TYPE_CHECKING:
    import pyarrow as pa

    from runsync.kinds.redaction import Redactor
    from runsync.kinds.scope import Scope
    from runsync.model.comparison import FieldChange

OK, ERROR, IN_PROGRESS, UNSPECIFIED = "OK", "ERROR", "IN_PROGRESS", "STATE_UNSPECIFIED"
STATES = (OK, ERROR, IN_PROGRESS, UNSPECIFIED)
COMPLETE = "runsync.complete"
"""The tag of a copy on a server that is whole: the fingerprint of what it was made from. Written last."""
NOT_YET = "-"
"""That tag of a copy to which more is to come."""
MODEL_ID = "mlflow.modelId"
"""The entry of the metadata with the logged model that was called."""
FINALIZED = "mlflow.trace.infoFinalized"
"""The entry of the metadata with which a server says that its info was given as a whole, not made up from spans."""
ARTIFACT_LOCATION = "mlflow.artifactLocation"
SPANS_LOCATION = "mlflow.trace.spansLocation"
ARCHIVE_LOCATION = "mlflow.trace.archiveLocation"
OF_USERS = (
    *("mlflow.traceInputs", "mlflow.traceOutputs", "mlflow.spanInputs", "mlflow.spanOutputs"),
    *("mlflow.chat.messages", "mlflow.trace.user", "mlflow.user"),
)
"""Names of MLflow under which metadata and attributes have what users and programs said."""
PLACES = (ARTIFACT_LOCATION, SPANS_LOCATION, ARCHIVE_LOCATION)
"""Tags with which a server keeps where the spans and attachments of a trace lie. Each has its own."""
OF_SPANS = ("mlflow.trace.tokenUsage", "mlflow.trace.cost")
"""Entries of the metadata that a server sums up from spans: a newer one finds more in them."""
OF_EXPERIMENT = "mlflow.experimentId"
"""The attribute of spans that names the experiment."""
PROMPTS = "prompts"
"""The name of the kind that traces link to."""


@dataclass(frozen=True, slots=True)
class Trace:
    """`request_time` is in epoch milliseconds, `execution_duration` in milliseconds. `state` is one of STATES.
    None stands for what was not told.

    `linked_runs` are runs that it was linked to, beside the one in its metadata; `linked_prompts` versions of prompts,
    as NAME/VERSION. `spans` are read in a second step (None until then); `span_count` and `span_digest` tell which they
    are once they were, also where they are not at hand. `artifacts` are its attachments, as `attachments/<id>`; None
    where it has some, and they were not asked for, or are not known yet.
    """

    trace_id: str
    experiment_id: str
    request_time: int = 0
    execution_duration: int | None = None
    state: str = UNSPECIFIED
    client_request_id: str | None = None
    request_preview: str | None = None
    response_preview: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    assessments: tuple[Assessment, ...] = ()
    linked_runs: tuple[str, ...] = ()
    linked_prompts: tuple[str, ...] = ()
    span_count: int | None = None
    span_digest: str = ""
    artifacts: tuple[ArtifactFile, ...] | None = None
    problems: tuple[Problem, ...] = ()
    spans: tuple[Span, ...] | None = field(default=None, compare=False)

    @property
    def key(self) -> Key:
        """Ids are global."""
        return (self.trace_id,)

    @property
    def name(self) -> str:
        """Many have the same `mlflow.traceName`: the id tells them apart."""
        return self.trace_id

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Those of its attachments."""
        return tuple(Blob(file.sha256, file.size) for file in self.artifacts or () if file.sha256)

    @property
    def runs(self) -> tuple[str, ...]:
        """The run within which it was made, and those that it was linked to."""
        made_in = self.metadata.get(SOURCE_RUN, "")
        return tuple(dict.fromkeys((*((made_in,) if made_in else ()), *self.linked_runs)))

    @property
    def is_running(self) -> bool:
        """Whether there may be more of it soon."""
        return self.state == IN_PROGRESS

    def with_spans(self, spans: Sequence[Span]) -> "Trace":
        """The complete one."""
        spans = rows.in_order(spans)
        return replace(self, spans=spans, span_count=len(spans), span_digest=rows.digest(spans))

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `schemas/v1/trace.schema.json`, but for what a bundle adds to it."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "spans"}
        values |= {name: list(values[name]) for name in ("linked_runs", "linked_prompts")}
        values |= {"metadata": dict(self.metadata), "tags": dict(self.tags)}
        values["assessments"] = [assessment.to_document() for assessment in self.assessments]
        values["artifacts"] = None if self.artifacts is None else [file.to_document() for file in self.artifacts]
        return {**values, "problems": [asdict(problem) for problem in self.problems]}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Trace":
        """The reverse, of a valid document. Raises ValueError for the value of an assessment that is no JSON."""
        files = document["artifacts"]
        values = {
            **document,
            "assessments": tuple(map(Assessment.from_document, document["assessments"])),
            "linked_runs": tuple(document["linked_runs"]),
            "linked_prompts": tuple(document["linked_prompts"]),
            "artifacts": None if files is None else tuple(ArtifactFile(**file) for file in files),
            "problems": tuple(Problem(**problem) for problem in document["problems"]),
        }
        return cls(**values)


def parse_filter(given: Iterable[str] | str) -> tuple[str, ...]:
    """Of a filter, or of several that must all be met. Raises WrongUsage for what cannot be read."""
    texts = (given,) if isinstance(given, str) else tuple(given)
    for text in texts:
        parse(text, OF_TRACES)
    return texts


@group
class OfTransfer:
    """An option of `export`, `import_`, `sync` and `verify`."""

    trace_filter: Annotated[
        Iterable[str] | str | None,
        Option(
            "Carry only traces that match, in MLflow's trace search syntax (see docs/filters.md).",
            "EXPR",
            parse=parse_filter,
        ),
    ] = None


_FIELDS = (
    "request_time",
    "execution_duration",
    "state",
    "client_request_id",
    "request_preview",
    "response_preview",
)


class _Traces(Kind[Trace]):
    name = "traces"
    noun = "trace"
    entity = Trace
    has_files = True
    rows_name = "spans"
    kept_in = OPTION
    kept_option = OPTION
    requires = (RUNS, LOGGED_MODELS.name, PROMPTS, ISSUES)
    goes_with_experiments = True
    why_impossible = "the target keeps no kinds, trace states or flags of spans"

    def meant(self, item: Trace, scope: "Scope") -> Trace | None:
        """Those of the experiments, and, where only some runs are meant, those that belong to these."""
        if scope.everything or item.trace_id in scope.named(self.name):
            return item
        if not any(e.experiment_id == item.experiment_id for e in scope.experiments):
            return None
        return item if not scope.is_of_runs or not scope.run_ids.isdisjoint(item.runs) else None

    def choice(self, scope: "Scope") -> TraceFilter | None:
        """By `--trace-filter`."""
        texts = scope.asked.get(OPTION, ())
        return TraceFilter(" AND ".join(f"({text})" for text in texts)) if texts else None

    def reuse(self, stored: Trace, item: Trace) -> Trace | None:
        """Spans of a trace that has ended do not change."""
        if item.span_count is not None or stored.span_count is None or stored.problems or stored.is_running:
            return None
        told = replace(
            item,
            span_count=stored.span_count,
            span_digest=stored.span_digest,
            artifacts=stored.artifacts,
        )
        return stored if stored.artifacts is not None and is_same(told, stored) else None

    def files(self, item: Trace) -> tuple[ArtifactFile, ...]:
        """Its attachments."""
        return item.artifacts or ()

    def problems(self, item: Trace) -> tuple[Problem, ...]:
        """It keeps them."""
        return item.problems

    def with_files(self, item: Trace, files: tuple[ArtifactFile, ...], problems: tuple[Problem, ...]) -> Trace:
        """With hashes."""
        return replace(item, artifacts=files, problems=problems)

    def without_files(self, item: Trace) -> Trace:
        """Its spans still name them."""
        return replace(item, artifacts=None) if item.artifacts else item

    def redacted(self, item: Trace, redactor: "Redactor") -> Trace:
        """Previews, spans, assessments, and what users wrote into tags and metadata. Attachments stay as they are."""
        r = redactor.value
        there = replace(
            item,
            request_preview=r(item.request_preview, "request_preview"),
            response_preview=r(item.response_preview, "response_preview"),
            metadata=redactor.entries(item.metadata, "metadata", own=OF_USERS),
            tags=redactor.entries(item.tags, "tags"),
            assessments=tuple(
                replace(
                    one,
                    value=r(one.value, "assessments", "value"),
                    rationale=r(one.rationale, "assessments", "rationale"),
                )
                for one in item.assessments
            ),
        )
        if item.spans is None:
            return there
        spans = tuple(_redacted(span, redactor) for span in item.spans)
        return there if spans == item.spans else there.with_spans(spans)

    def row_schema(self) -> "pa.Schema":
        """See `spans.schema`."""
        return rows.schema()

    def rows(self, item: Trace) -> "pa.RecordBatch":
        """Its spans."""
        return rows.to_rows(item.trace_id, item.spans or ())

    def with_rows(self, item: Trace, table: "pa.Table") -> Trace:
        """With its spans."""
        return replace(item, spans=tuple(rows.from_rows(table)))

    def rewritten(self, item: Trace, resolve: Resolve) -> Trace | None:
        """It goes with its experiment. A run or a model that is not there stays named by its old id."""
        experiment_id = resolve(EXPERIMENTS, item.experiment_id)
        if experiment_id is None:
            return None
        metadata = dict(item.metadata)
        for name, kind in ((SOURCE_RUN, RUNS), (MODEL_ID, LOGGED_MODELS.name)):
            if id := metadata.get(name):
                metadata[name] = resolve(kind, id) or id
        there = replace(
            item,
            experiment_id=experiment_id,
            metadata=metadata,
            assessments=tuple(assessment.rewritten(resolve) for assessment in item.assessments),
            linked_runs=tuple(resolve(RUNS, id) or id for id in item.linked_runs),
        )
        if item.spans is None or experiment_id == item.experiment_id:
            return there
        moved = tuple(_moved(span, item.experiment_id, experiment_id) for span in item.spans)
        return there if moved == item.spans else there.with_spans(moved)

    def changes(self, old: Trace, new: Trace) -> Iterator["FieldChange"]:
        """Where it lies, and the tags of runsync's own, apart."""
        yield from self.lacks(old, new)
        before, after = plain(old), plain(new)
        for name, entries in (("metadata", before.metadata), ("tags", before.tags)):
            added = dict.fromkeys(getattr(after, name).keys() - entries.keys(), "missing")
            yield from lacking_entries(name, added, {})
        known = {assessment.assessment_id for assessment in old.assessments}
        extra = [each for each in new.assessments if each.assessment_id not in known]
        yield from _told((f"assessments.{each.name}", "missing", each.assessment_id) for each in extra)

    def lacks(self, wanted: Trace, there: Trace) -> Iterator["FieldChange"]:
        """A workspace may have more tags, metadata and assessments."""
        one, other = plain(wanted), plain(there)
        yield from changed_fields(one, other, ("experiment_id", *_FIELDS))
        grown = {
            key: other.metadata[key] for key in OF_SPANS if _is_more(one.metadata.get(key), other.metadata.get(key))
        }
        yield from lacking_entries("metadata", {**one.metadata, **grown}, other.metadata)
        yield from lacking_entries("tags", one.tags, other.tags)
        yield from _told(_assessment_changes(one, other))
        for name in ("linked_runs", "linked_prompts"):
            lost = [id for id in getattr(one, name) if id not in getattr(other, name)]
            yield from _told((f"{name}.{id}", "linked", "missing") for id in lost)
        yield from _told(_span_changes(one, other))
        yield from changed_files(one.artifacts, other.artifacts)

    def impossible(self, wanted: Trace, there: Trace) -> int:
        """Whether any of its spans say what the workspace does not keep."""
        by_id = {span.span_id: span for span in there.spans or ()}
        pairs = ((span, by_id.get(span.span_id)) for span in wanted.spans or ())
        return int(any(other is not None and _beside(span) - _beside(other) for span, other in pairs))


TRACES = _Traces()


def _redacted(span: Span, redactor: "Redactor") -> Span:
    events = (
        replace(event, attributes=redactor.entries(event.attributes, "spans", "events", "attributes"))
        for event in span.events
    )
    return replace(
        span,
        attributes=redactor.entries(span.attributes, "spans", "attributes", own=OF_USERS),
        events=tuple(events),
        status_message=redactor.value(span.status_message, "spans", "status_message"),
    )


def plain(item: Trace) -> Trace:
    """Without tags of runsync, and without what a server says of how and where it keeps a trace."""
    tags = {key: value for key, value in own_tags_removed(item.tags).items() if key not in PLACES}
    return replace(item, tags=tags, metadata={k: v for k, v in item.metadata.items() if k != FINALIZED})


def same_value(one: Any, other: Any) -> bool:
    """Whether two values of JSON are equal; 5 and 5.0 are, 1 and true are not, NaN and NaN are."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_value(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _is_more(told: str | None, there: str | None) -> bool:
    """Whether one object, as JSON text, has all that another has, and more."""
    try:
        one, other = json.loads(told or ""), json.loads(there or "")
        return bool(one.items() < other.items())
    except (ValueError, TypeError, AttributeError, RecursionError):
        return False


def _moved(span: Span, old: str, new: str) -> Span:
    """In another experiment: the attribute may be a text or a number."""
    told = span.attributes.get(OF_EXPERIMENT)
    if told is None or str(told) != old:
        return span
    id: str | int = int(new) if isinstance(told, int) and new.isdecimal() else new
    return replace(span, attributes={**span.attributes, OF_EXPERIMENT: id})


def _told(changes: Iterator[tuple[str, str, str]]) -> Iterator["FieldChange"]:
    from runsync.model.comparison import FieldChange

    return (FieldChange(*change) for change in changes)


def _assessment_changes(one: Trace, other: Trace) -> Iterator[tuple[str, str, str]]:
    there = {assessment.assessment_id: assessment for assessment in other.assessments}
    for wanted in one.assessments:
        name, found = f"assessments.{wanted.name}", there.get(wanted.assessment_id)
        if found is None:
            yield name, wanted.assessment_id, "missing"
            continue
        for part in wanted.__slots__:
            before, after = getattr(wanted, part), getattr(found, part)
            if not same_value(before, after):
                yield f"{name}.{part}", str(before), str(after)


def _span_changes(one: Trace, other: Trace) -> Iterator[tuple[str, str, str]]:
    if one.spans is None or other.spans is None:
        if one.span_digest != other.span_digest and None not in (one.span_count, other.span_count):
            yield "spans", many(one.span_count or 0, "span"), "others"
        return
    there = {span.span_id: span for span in other.spans}
    for span in one.spans:
        name, found = f"spans.{span.span_id}", there.pop(span.span_id, None)
        if found is None:
            yield name, span.name, "missing"
        elif span != found:
            yield from ((f"{name}.{part}", before, after) for part, before, after in _differing(span, found))
    yield from ((f"spans.{span.span_id}", "missing", span.name) for span in there.values())


def _differing(one: Span, other: Span) -> Iterator[tuple[str, str, str]]:
    for part in ("otel_trace_id", "name", "parent_id", "start", "end", "status", "status_message"):
        if getattr(one, part) != getattr(other, part):
            yield part, str(getattr(one, part)), str(getattr(other, part))
    for key in sorted(one.attributes.keys() | other.attributes.keys()):
        before, after = one.attributes.get(key, _ABSENT), other.attributes.get(key, _ABSENT)
        if not same_value(before, after):
            yield f"attributes.{key}", _short(before), _short(after)
    for part in ("events", "links"):
        before, after = ([asdict(each) for each in getattr(span, part)] for span in (one, other))
        if not same_value(before, after):
            yield part, _short(before), _short(after)


_ABSENT = "missing"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:40]}…{text[-39:]}"


def _beside(span: Span) -> set[str]:
    """The names of what it says that not every store keeps."""
    return {name for name in ("kind", "trace_state", "flags", "further") if getattr(span, name)}
