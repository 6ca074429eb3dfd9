"""Traces as the files of MLflow 2 and 3 tell them.

    <experiment>/traces/<trace id>/trace_info.yaml, tags/<key>, request_metadata/<key>, assessments/<id>.yaml
    <experiment>/traces/<trace id>/artifacts/traces.json, artifacts/attachments/<id>

Spans are in `traces.json`, wherever the artifacts are. A file store keeps no links of traces to runs or prompts.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runsync.kinds.assessments import EXPECTATION, FEEDBACK, ISSUE, SOURCE_RUN, Assessment, AssessmentError
from runsync.kinds.traces import ARTIFACT_LOCATION, STATES, UNSPECIFIED, Trace
from runsync.model.run import Problem
from runsync.workspaces.direct.traces import FILE, StoredTrace
from runsync.workspaces.files.layout import (
    ARTIFACTS,
    TAGS,
    TRACES,
    Broken,
    entries_of,
    is_plain_file,
    is_plain_folder,
    why,
)
from runsync.workspaces.files.meta import integer, read_meta, text
from runsync.workspaces.files.read import sound_texts
from runsync.workspaces.files.strays import Strays, is_stray

INFO = "trace_info.yaml"
METADATA = "request_metadata"
ASSESSMENTS = "assessments"
VALUES = {FEEDBACK: "feedback", EXPECTATION: "expectation", ISSUE: "issue"}
"""The field of a document that has the value, by the type of the assessment."""
LARGEST = 16 << 20
"""Bytes of a document that are believed."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def trace_folders(experiment: str, strays: Strays) -> Iterator[tuple[str, str]]:
    """Ids and paths of what may be traces in the folder of an experiment, links too. Raises Broken, OSError."""
    if Path(experiment, TRACES).is_symlink():
        raise Broken("the folder of its traces is a link, and links are not followed")
    for entry in entries_of(f"{experiment}/{TRACES}"):
        if is_stray(entry.name):
            strays.note(entry.path)
        elif entry.is_symlink() or is_plain_file(f"{entry.path}/{INFO}"):
            yield entry.name, entry.path


def find_trace(experiment: str, trace_id: str) -> str | None:
    """The folder of a trace in that of an experiment."""
    folder = f"{experiment}/{TRACES}/{trace_id}"
    is_there = "/" not in trace_id and is_plain_folder(folder) and is_plain_file(f"{folder}/{INFO}")
    return folder if is_there and is_plain_folder(f"{experiment}/{TRACES}") else None


def read_time(folder: str) -> int:
    """When a trace began, for the order of a listing. Raises Broken, OSError."""
    return _info(_read_info(folder))["request_time"]  # type: ignore[no-any-return]


def read_trace(folder: str, experiment_id: str, trace_id: str, strays: Strays) -> StoredTrace:
    """The whole of one but its spans. Raises Broken, OSError."""
    info = _info(_read_info(folder))
    if info["trace_id"] != trace_id:
        raise Broken(f"its {INFO} is that of trace {info['trace_id']!a}")
    if info["experiment_id"] != experiment_id:
        raise Broken(f"its {INFO} says that it is of experiment {info['experiment_id']!a}")
    broken: dict[str, str] = {}
    tags = sound_texts(folder, TAGS, strays, broken)
    metadata = sound_texts(folder, METADATA, strays, broken)
    assessments, problems = _assessments(folder, strays)
    for piece, reason in broken.items():
        kind, _, name = piece.partition(" ")
        problems += (Problem(kind, name, reason),)
    item = Trace(**info, metadata=metadata, tags=tags, assessments=assessments, problems=problems)
    return StoredTrace(item, tags.get(ARTIFACT_LOCATION) or Path(folder, ARTIFACTS).as_uri(), FILE)


def time_of(told: str) -> int:
    """Epoch milliseconds of a time as MLflow 3 writes it. Raises Broken."""
    try:
        return (datetime.fromisoformat(told) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError) as error:
        raise Broken(f"{told!a} is no time") from error


def as_told(time: int) -> str:
    """The reverse."""
    moment = _EPOCH + timedelta(milliseconds=time)
    fraction = f".{time % 1000:03d}" if time % 1000 else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _read_info(folder: str) -> dict[str, Any]:
    if not is_plain_folder(folder):
        raise Broken("it is a link, and links are not followed")
    return read_meta(f"{folder}/{INFO}", LARGEST)


def _info(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that an info tells. MLflow 2 wrote other names."""
    if "request_id" in meta:
        state = text(meta, "status")
        return {
            "trace_id": text(meta, "request_id"),
            "experiment_id": text(meta, "experiment_id"),
            "request_time": integer(meta, "timestamp_ms") or 0,
            "execution_duration": integer(meta, "execution_time_ms"),
            "state": state if state in STATES else UNSPECIFIED,
        }
    place = meta.get("trace_location")
    home = place.get("mlflow_experiment") if isinstance(place, dict) else None
    state = text(meta, "state")
    return {
        "trace_id": text(meta, "trace_id"),
        "experiment_id": text(home, "experiment_id") if isinstance(home, dict) else "",
        "request_time": time_of(text(meta, "request_time")),
        "execution_duration": integer(meta, "execution_duration_ms"),
        "state": state if state in STATES else UNSPECIFIED,
        **{name: meta.get(name) for name in ("client_request_id", "request_preview", "response_preview")},
    }


def _assessments(folder: str, strays: Strays) -> tuple[tuple[Assessment, ...], tuple[Problem, ...]]:
    found, problems = [], []
    for entry in sorted(entries_of(f"{folder}/{ASSESSMENTS}"), key=lambda entry: entry.name):
        id, dot, ending = entry.name.rpartition(".")
        if is_stray(entry.name) or not (dot and ending == "yaml"):
            strays.note(entry.path)
            continue
        try:
            found.append(_assessment(read_meta(entry.path, LARGEST)))
        except (Broken, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            told = why(error) if isinstance(error, Broken | OSError) else f"it cannot be read: {error}"
            problems.append(Problem("assessment", id, told))
    return tuple(sorted(found, key=lambda one: (one.created_at, one.assessment_id))), tuple(problems)


def _assessment(told: Mapping[str, Any]) -> Assessment:
    type = next((type for type, field in VALUES.items() if told.get(field)), FEEDBACK)
    value = told.get(VALUES[type]) or {}
    serialized = value.get("serialized_value")
    error, source = value.get("error"), told.get("source") or {}
    metadata = dict(told.get("metadata") or {})
    return Assessment(
        assessment_id=text(told, "assessment_id"),
        name=text(told, "assessment_name"),
        type=type,
        value=value if type == ISSUE else json.loads(serialized["value"]) if serialized else value.get("value"),
        source_type=text(source, "source_type"),
        source_id=text(source, "source_id"),
        created_at=time_of(text(told, "create_time")),
        updated_at=time_of(text(told, "last_update_time")),
        span_id=text(told, "span_id"),
        rationale=told.get("rationale"),
        metadata=metadata,
        error=error and AssessmentError(*(text(error, f) for f in ("error_code", "error_message", "stack_trace"))),
        overrides=text(told, "overrides"),
        valid=bool(told.get("valid", True)),
        run_id=text(told, "run_id") or text(metadata, SOURCE_RUN),
    )
