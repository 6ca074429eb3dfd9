"""Traces into the folder: each shows whole, as runs do (see `files.draft`). Their spans lie among their artifacts."""

import contextlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from runsync.errors import RequestRefused
from runsync.kinds.assessments import EXPECTATION, ISSUE, Assessment
from runsync.kinds.traces import ARTIFACT_LOCATION, COMPLETE, Trace
from runsync.workspaces.direct.traces import TraceWrite
from runsync.workspaces.files.draft import LOCK_PATIENCE, Draft, Shape, key_path
from runsync.workspaces.files.layout import (
    ARTIFACTS,
    TAGS,
    TRACES,
    TRASH,
    Broken,
    find_experiment,
    is_plain_file,
    is_plain_folder,
)
from runsync.workspaces.files.meta import dump
from runsync.workspaces.files.showing import locked, remove_texts, shown_together, told
from runsync.workspaces.files.traces import ASSESSMENTS, INFO, METADATA, VALUES, as_told

SHAPE = Shape(INFO, (METADATA, TAGS, ARTIFACTS), (METADATA, TAGS, ASSESSMENTS), f"{TAGS}/{COMPLETE}")
_TOGETHER = 100
"""Traces that are held open at once; each holds a file handle."""


def write_traces(root: str, writes: Sequence[TraceWrite]) -> None:
    """See `TraceStore.write`."""
    with told(root), locked(root):
        for start in range(0, len(writes), _TOGETHER):
            some = writes[start : start + _TOGETHER]
            with shown_together(root) as drafts:
                for write in some:
                    drafts.append(_prepared(root, write))
            for write in some:
                folder = _folder_of(root, write.item)
                remove_texts(folder, TAGS, write.untagged)
                remove_texts(folder, ASSESSMENTS, [f"{id}.yaml" for id in write.unassessed])


def delete_traces(root: str, folders: Collection[str]) -> None:
    """See `TraceStore.delete`. Each is gone by one rename, to where MLflow and we pass over it."""
    import shutil

    with told(root), locked(root):
        gone = Path(root, f".runsync{TRASH}-traces")
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(gone)
        gone.mkdir()
        for number, folder in enumerate(folders):
            Path(folder).rename(gone / str(number))
        shutil.rmtree(gone)


def _prepared(root: str, write: TraceWrite) -> Draft:
    """Raises RequestRefused, OSError."""
    item = write.item
    folder = _folder_of(root, item)
    try:
        draft = Draft(folder, not is_plain_file(f"{folder}/{INFO}"), LOCK_PATIENCE, SHAPE)
        try:
            tags = {**item.tags, ARTIFACT_LOCATION: write.location}
            for kind, texts in ((METADATA, item.metadata), (TAGS, tags)):
                for key, value in texts.items():
                    draft.put(key_path(kind, key), value.encode())
            for one in item.assessments:
                draft.put(key_path(ASSESSMENTS, f"{one.assessment_id}.yaml"), dump(_assessment(item, one)))
            draft.put(INFO, dump(_info(item)))
        except BaseException:
            draft.drop()
            draft.close()
            raise
    except (Broken, UnicodeEncodeError) as error:
        raise RequestRefused(f"it cannot be written: {error}") from error
    return draft


def _folder_of(root: str, item: Trace) -> str:
    """The folder of a trace, in one that is there. Raises RequestRefused."""
    experiment = find_experiment(root, item.experiment_id)
    if experiment is None:
        raise RequestRefused(f"experiment {item.experiment_id} is not there")
    folder = Path(experiment.path, TRACES)
    folder.mkdir(exist_ok=True)
    if not is_plain_folder(str(folder)):
        raise RequestRefused(f"{folder} is a link, and links are not followed")
    return f"{folder}/{item.trace_id}"


def _info(item: Trace) -> dict[str, Any]:
    values = {
        "trace_id": item.trace_id,
        "trace_location": {"mlflow_experiment": {"experiment_id": item.experiment_id}, "type": "MLFLOW_EXPERIMENT"},
        "request_time": as_told(item.request_time),
        "execution_duration_ms": item.execution_duration,
        "state": item.state,
        "client_request_id": item.client_request_id,
        "request_preview": item.request_preview,
        "response_preview": item.response_preview,
    }
    return {name: value for name, value in values.items() if value is not None}


def _assessment(item: Trace, one: Assessment) -> dict[str, Any]:
    values = {
        "assessment_id": one.assessment_id,
        "assessment_name": one.name,
        "trace_id": item.trace_id,
        "source": {"source_type": one.source_type, "source_id": one.source_id},
        "create_time": as_told(one.created_at),
        "last_update_time": as_told(one.updated_at),
        VALUES[one.type]: _value(one),
        "rationale": one.rationale,
        "span_id": one.span_id or None,
        "metadata": dict(one.metadata) or None,
        "overrides": one.overrides or None,
        "run_id": one.run_id or None,
        "valid": one.valid,
    }
    return {name: value for name, value in values.items() if value is not None}


def _value(one: Assessment) -> dict[str, Any]:
    if one.type == ISSUE:
        return dict(one.value)
    if one.type == EXPECTATION and isinstance(one.value, list | dict | None):
        return {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": json.dumps(one.value)}}
    error = one.error
    if error is None:
        return {"value": one.value}
    told = {"error_code": error.code, "error_message": error.message, "stack_trace": error.stack_trace}
    return {"value": one.value, "error": {name: text for name, text in told.items() if text}}
