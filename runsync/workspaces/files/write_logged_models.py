"""Logged models into the folder: each shows whole, as runs do (see `files.draft`)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runsync.errors import RequestRefused
from runsync.kinds.logged_models import COMPLETE, STATUSES, LoggedModel, ModelMetric
from runsync.model.experiment import ACTIVE, DELETED
from runsync.model.times import now
from runsync.workspaces.direct.models import Write
from runsync.workspaces.files.draft import LOCK_PATIENCE, Draft, Shape, key_path
from runsync.workspaces.files.layout import (
    META,
    METRICS,
    MODELS,
    PARAMS,
    TAGS,
    Broken,
    find_experiment,
    is_plain_file,
    is_plain_folder,
    read_text,
    why,
)
from runsync.workspaces.files.logged_models import identity, points_in
from runsync.workspaces.files.meta import dump, read_meta, text
from runsync.workspaces.files.showing import locked, remove_texts, shown_together, told

SHAPE = Shape(mark=f"{TAGS}/{COMPLETE}")
_TOGETHER = 100
"""Models that are held open at once; each holds a file handle."""


def write_logged_models(root: str, writes: Sequence[Write[LoggedModel]]) -> None:
    """See `ModelStore.write_logged_models`."""
    with told(root), locked(root):
        for start in range(0, len(writes), _TOGETHER):
            some = writes[start : start + _TOGETHER]
            with shown_together(root) as drafts:
                for write in some:
                    drafts.append(_prepared(root, write))
            for write in some:
                remove_texts(_folder_of(root, write.item), TAGS, write.untagged)


def delete_logged_model(root: str, folder: str) -> None:
    """See `ModelStore.delete`."""
    with told(root), locked(root), shown_together(root) as drafts:
        draft = Draft(folder, False, LOCK_PATIENCE, SHAPE)
        drafts.append(draft)
        gone = {"lifecycle_stage": DELETED, "last_updated_timestamp": now()}
        draft.put(META, dump(read_meta(f"{folder}/{META}") | gone))


def _prepared(root: str, write: Write[LoggedModel]) -> Draft:
    """Raises RequestRefused, OSError."""
    item = write.item
    folder = _folder_of(root, item)
    try:
        meta = _meta_there(folder)
        draft = Draft(folder, meta is None, LOCK_PATIENCE, SHAPE)
        try:
            for kind, texts in ((PARAMS, item.params), (TAGS, item.tags)):
                for key, value in texts.items():
                    draft.put(key_path(kind, key), value.encode())
            _put_metrics(draft, item)
            draft.put(META, dump((meta or {"lifecycle_stage": ACTIVE}) | _meta(write)))
        except BaseException:
            draft.drop()
            draft.close()
            raise
    except (Broken, UnicodeEncodeError) as error:
        raise RequestRefused(f"it cannot be written: {error}") from error
    return draft


def _folder_of(root: str, item: LoggedModel) -> str:
    """The folder of a model, in one that is there. Raises RequestRefused."""
    experiment = find_experiment(root, item.experiment_id)
    if experiment is None:
        raise RequestRefused(f"experiment {item.experiment_id} is not there")
    folder = Path(experiment.path, MODELS)
    folder.mkdir(exist_ok=True)
    if not is_plain_folder(str(folder)):
        raise RequestRefused(f"{folder} is a link, and links are not followed")
    return f"{folder}/{item.model_id}"


def _meta_there(folder: str) -> dict[str, Any] | None:
    """What its meta.yaml says now; None for a new one. Raises Broken."""
    if not is_plain_file(f"{folder}/{META}"):
        return None
    try:
        meta = read_meta(f"{folder}/{META}")
    except OSError as error:
        raise Broken(why(error)) from error
    if text(meta, "lifecycle_stage") == DELETED:
        raise Broken("the target has it as a deleted one: `mlflow gc` removes that for good")
    return meta


def _put_metrics(draft: Draft, item: LoggedModel) -> None:
    """Of a metric that is there already other points stay."""
    points: dict[str, list[ModelMetric]] = {}
    for metric in item.metrics:
        points.setdefault(metric.key, []).append(metric)
    for key, wanted in points.items():
        name = key_path(METRICS, key)
        present = None if draft.is_new else draft.present(name)
        there = () if present is None else points_in(key, read_text(present))
        merged = {identity(point): point for point in (*there, *wanted)}
        if set(merged.values()) != set(there):
            draft.put(name, "".join(_lines(sorted(merged.values(), key=identity))).encode())


def _lines(points: Sequence[ModelMetric]) -> Iterator[str]:
    for p in points:
        dataset = f" {p.dataset_name} {p.dataset_digest}" if p.dataset_name else ""
        yield f"{p.timestamp} {p.value!r} {p.step} {p.run_id}{dataset}\n"


def _meta(write: Write[LoggedModel]) -> dict[str, Any]:
    item = write.item
    return {
        "artifact_location": write.location,
        "creation_timestamp": item.created_at,
        "experiment_id": item.experiment_id,
        "last_updated_timestamp": item.updated_at,
        "model_id": item.model_id,
        "model_type": item.model_type or None,
        "name": item.name,
        "source_run_id": item.source_run_id or None,
        "status": STATUSES.index(item.status) + 1,
        "status_message": item.status_message or None,
    }
