"""Traces as MLflow's REST API has them, read and written: infos, assessments, and spans as OpenTelemetry's JSON."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from runsync.kinds.assessments import EXPECTATION, FEEDBACK, ISSUE, Assessment, AssessmentError
from runsync.kinds.spans import STATUSES, UNSET, Span, SpanEvent, SpanLink
from runsync.kinds.traces import STATES, UNSPECIFIED, Trace
from runsync.workspaces.http.fields import ODD, Json, OddAnswer, identifier, listed, number, part, text
from runsync.workspaces.rest import wire

LINKED_PROMPTS = "mlflow.linkedPrompts"
"""The tag that tells to which versions of prompts a trace is linked: `[{"name": …, "version": …}]`."""
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")
_DURATION = re.compile(r"(-?)(\d+)(?:\.(\d{1,9}))?s")


def place(experiment_id: str) -> dict[str, Any]:
    """An experiment as the place of traces."""
    return {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}


@wire.strict
def trace(document: Json) -> Trace:
    """An info of MLflow 3. Raises OddAnswer."""
    tags = _texts(document, "tags")
    return Trace(
        trace_id=identifier(document, "trace_id"),
        experiment_id=identifier(part(part(document, "trace_location"), "mlflow_experiment"), "experiment_id"),
        request_time=_moment(document, "request_time"),
        execution_duration=_duration(document, "execution_duration"),
        state=_state(document.get("state")),
        client_request_id=document.get("client_request_id"),
        request_preview=document.get("request_preview"),
        response_preview=document.get("response_preview"),
        metadata=_texts(document, "trace_metadata"),
        tags=tags,
        assessments=tuple(sorted(map(_assessment, listed(document, "assessments")), key=_by_time)),
        linked_prompts=_prompts(tags),
    )


@wire.strict
def trace_of_2(document: Json) -> Trace:
    """An info of MLflow 2. Raises OddAnswer."""
    metadata = {text(one, "key"): text(one, "value", "") for one in listed(document, "request_metadata")}
    took = document.get("execution_time_ms")
    return Trace(
        trace_id=identifier(document, "request_id"),
        experiment_id=identifier(document, "experiment_id"),
        request_time=number(document, "timestamp_ms"),
        execution_duration=None if took is None else number(document, "execution_time_ms"),
        state=_state(document.get("status")),
        request_preview=metadata.get("mlflow.traceInputs"),
        response_preview=metadata.get("mlflow.traceOutputs"),
        metadata=metadata,
        tags={text(one, "key"): text(one, "value", "") for one in listed(document, "tags")},
    )


@wire.strict
def span(document: Json) -> Span:
    """One of OpenTelemetry's JSON, in which ids are base64. Raises OddAnswer."""
    status = part(document, "status")
    code = text(status, "code", "").removeprefix("STATUS_CODE_")
    end = number(document, "end_time_unix_nano")
    return Span(
        span_id=_id(document, "span_id"),
        otel_trace_id=_id(document, "trace_id"),
        name=text(document, "name", ""),
        parent_id=_id(document, "parent_span_id"),
        start=number(document, "start_time_unix_nano"),
        end=end or None,
        status=code if code in STATUSES else UNSET,
        status_message=text(status, "message", ""),
        attributes=_attributes(document),
        events=tuple(map(_event, listed(document, "events"))),
        links=tuple(map(_link, listed(document, "links"))),
        kind=text(document, "kind", "").removeprefix("SPAN_KIND_UNSPECIFIED"),
        trace_state=text(document, "trace_state", ""),
        flags=number(document, "flags"),
    )


def info(item: Trace, tags: Mapping[str, str], assessments: Iterable[Assessment]) -> dict[str, Any]:
    """What StartTrace takes: how a trace reads in the target, with these of its tags and assessments."""
    told = {
        "client_request_id": item.client_request_id,
        "request_preview": item.request_preview,
        "response_preview": item.response_preview,
        "execution_duration": None if item.execution_duration is None else _seconds(item.execution_duration),
    }
    return {
        "trace_id": item.trace_id,
        "trace_location": place(item.experiment_id),
        "request_time": _iso(item.request_time),
        "state": item.state,
        "trace_metadata": dict(item.metadata),
        "tags": dict(tags),
        "assessments": [assessment_document(item.trace_id, one) for one in assessments],
        **{name: value for name, value in told.items() if value is not None},
    }


def assessment_document(trace_id: str, one: Assessment) -> dict[str, Any]:
    """An assessment as it is created, with its id and its times."""
    told: dict[str, Any] = {
        "assessment_id": one.assessment_id,
        "assessment_name": one.name,
        "trace_id": trace_id,
        "source": {"source_type": one.source_type, "source_id": one.source_id},
        "create_time": _iso(one.created_at),
        "last_update_time": _iso(one.updated_at),
        "metadata": dict(one.metadata),
        "valid": one.valid,
    }
    told |= {name: value for name in ("span_id", "overrides") if (value := getattr(one, name))}
    if one.rationale is not None:
        told["rationale"] = one.rationale
    if one.type == EXPECTATION:
        is_plain = isinstance(one.value, (str, int, float, bool))
        packed = {"serialization_format": "JSON_FORMAT", "value": json.dumps(one.value)}
        told[EXPECTATION] = {"value": one.value} if is_plain else {"serialized_value": packed}
    elif one.type == ISSUE:
        told[ISSUE] = one.value if isinstance(one.value, dict) else {"issue_name": one.value}
    else:
        told[FEEDBACK] = {"value": one.value}
        if one.error is not None:
            told[FEEDBACK]["error"] = {
                "error_code": one.error.code,
                "error_message": one.error.message,
                "stack_trace": one.error.stack_trace,
            }
    return told


def _assessment(document: Json) -> Assessment:
    value: Any
    if EXPECTATION in document:
        of_type, told = EXPECTATION, part(document, EXPECTATION)
        packed = part(told, "serialized_value")
        value = json.loads(text(packed, "value")) if packed else told.get("value")
    elif ISSUE in document:
        of_type, value = ISSUE, dict(part(document, ISSUE))
    else:
        of_type, value = FEEDBACK, part(document, FEEDBACK).get("value")
    error = part(part(document, FEEDBACK), "error") or part(document, "error")
    source = part(document, "source")
    metadata = _texts(document, "metadata")
    return Assessment(
        assessment_id=identifier(document, "assessment_id"),
        name=text(document, "assessment_name", ""),
        type=of_type,
        value=value,
        source_type=text(source, "source_type", ""),
        source_id=text(source, "source_id", ""),
        created_at=_moment(document, "create_time"),
        updated_at=_moment(document, "last_update_time"),
        span_id=text(document, "span_id", ""),
        rationale=document.get("rationale"),
        metadata=metadata,
        error=AssessmentError(
            text(error, "error_code", ""), text(error, "error_message", ""), text(error, "stack_trace", "")
        )
        if error
        else None,
        overrides=text(document, "overrides", ""),
        valid=bool(document.get("valid", True)),
        run_id=metadata.get("mlflow.assessment.sourceRunId", ""),
    )


def _by_time(one: Assessment) -> tuple[int, str]:
    return one.created_at, one.assessment_id


def _prompts(tags: Mapping[str, str]) -> tuple[str, ...]:
    try:
        told = json.loads(tags.get(LINKED_PROMPTS, "[]"))
        return tuple(f"{one['name']}/{one['version']}" for one in told)
    except ODD:
        return ()


def _event(document: Json) -> SpanEvent:
    return SpanEvent(text(document, "name", ""), number(document, "time_unix_nano"), _attributes(document))


def _link(document: Json) -> SpanLink:
    return SpanLink(f"tr-{_id(document, 'trace_id')}", _id(document, "span_id"), _attributes(document))


def _attributes(document: Json) -> dict[str, Any]:
    return {text(one, "key", ""): _value(part(one, "value")) for one in listed(document, "attributes")}


def _value(told: Json) -> Any:
    """A value without any field is null."""
    for name, value in told.items():
        if name == "int_value":
            return int(value)
        if name == "double_value":
            return float(value)
        if name == "array_value":
            return [_value(one) for one in value.get("values", ())]
        if name == "kvlist_value":
            return {text(one, "key", ""): _value(part(one, "value")) for one in value.get("values", ())}
        return value
    return None


def _id(document: Json, name: str) -> str:
    return base64.b64decode(text(document, name, ""), validate=True).hex()


def _texts(document: Json, name: str) -> dict[str, str]:
    found = part(document, name)
    return {key: "" if value is None else str(value) for key, value in found.items()}


def _state(told: Any) -> str:
    return told if told in STATES else UNSPECIFIED


def _moment(document: Json, name: str) -> int:
    """Epoch milliseconds."""
    told = document.get(name)
    if told is None:
        return 0
    found = _MOMENT.fullmatch(str(told))
    if found is None:
        raise OddAnswer(name, "is not a time")
    seconds = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    return round(seconds.timestamp()) * 1000 + int((found[2] or "0").ljust(9, "0")[:3])


def _duration(document: Json, name: str) -> int | None:
    """Milliseconds."""
    told = document.get(name)
    if told is None:
        return None
    found = _DURATION.fullmatch(str(told))
    if found is None:
        raise OddAnswer(name, "is not a duration")
    size = int(found[2]) * 1000 + int((found[3] or "0").ljust(9, "0")[:3])
    return -size if found[1] else size


def _iso(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{moment % 1000:03d}Z"


def _seconds(milliseconds: int) -> str:
    sign, size = ("-", -milliseconds) if milliseconds < 0 else ("", milliseconds)
    return f"{sign}{size // 1000}.{size % 1000:03d}s"
