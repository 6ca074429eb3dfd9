"""Logged models into the database, with all that hangs off them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runsync.kinds.logged_models import STATUSES, LoggedModel
from runsync.model.experiment import ACTIVE, DELETED
from runsync.model.numbers import LARGEST, stored
from runsync.model.times import now
from runsync.workspaces.direct.models import Write
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.read import parts
from runsync.workspaces.sql.upsert import in_order

if TYPE_CHECKING:
    from sqlalchemy import Connection

Row = dict[str, Any]
_LINKED = ("MODEL_INPUT", "MODEL_OUTPUT")
_VALUES = ("metric_value", "dataset_uuid", "dataset_name", "dataset_digest")


def write_logged_models(part: Part, connection: "Connection", writes: Sequence[Write[LoggedModel]]) -> None:
    """See `ModelStore.write_logged_models`."""
    table = part.table("logged_models")
    new = [_row(one) for one in writes if one.there is None]
    if new:
        connection.execute(table.insert(), new)
    part.update(connection, table, ("model_id",), [_row(one) for one in writes if one.there is not None])
    models = [one.item for one in writes]
    for what, texts in (("param", [m.params for m in models]), ("tag", [m.tags for m in models])):
        rows = [
            _of(model) | {f"{what}_key": key, f"{what}_value": value}
            for model, some in zip(models, texts, strict=True)
            for key, value in in_order(some)
        ]
        table = part.table(f"logged_model_{what}s")
        part.upsert(connection, table, ("model_id", f"{what}_key"), rows, (f"{what}_value",))
    tags = part.table("logged_model_tags")
    untagged = [{"model_id": one.item.model_id, "tag_key": key} for one in writes for key in one.untagged]
    part.delete(connection, tags, ("model_id", "tag_key"), untagged)
    points = _points(part, connection, models)
    part.upsert(connection, part.table("logged_model_metrics"), ("model_id", "metric_name"), points, _VALUES)


def delete_logged_model(part: Part, connection: "Connection", model_id: str) -> None:
    """See `ModelStore.delete`."""
    table = part.table("logged_models")
    gone = {"model_id": model_id, "lifecycle_stage": DELETED, "last_updated_timestamp_ms": now()}
    part.update(connection, table, ("model_id",), [gone])


def move_links(part: Part, connection: "Connection", model_ids: Mapping[str, str]) -> None:
    """See `ModelStore.move_links`. A link that is there already stays, and the other one goes."""
    from sqlalchemy import select

    inputs = part.table("inputs")
    key = ("source_type", "source_id", "destination_type", "destination_id")
    asked = select(*(inputs.c[name] for name in key)).where(inputs.c.destination_type.in_(_LINKED))
    ids = {*model_ids, *model_ids.values()}
    there = {tuple(row) for row in part.rows(connection, asked, inputs.c.destination_id, ids)}
    for row in sorted(row for row in there if row[-1] in model_ids):
        here = [inputs.c[name] == value for name, value in zip(key, row, strict=True)]
        target = model_ids[row[-1]]
        if (*row[:-1], target) in there:
            connection.execute(inputs.delete().where(*here))
        else:
            connection.execute(inputs.update().where(*here).values(destination_id=target))


def _row(one: Write[LoggedModel]) -> Row:
    item = one.item
    return _of(item) | {
        "name": item.name,
        "artifact_location": one.location,
        "creation_timestamp_ms": item.created_at or 0,
        "last_updated_timestamp_ms": item.updated_at or item.created_at or 0,
        "status": STATUSES.index(item.status) + 1,
        "lifecycle_stage": ACTIVE,
        "model_type": item.model_type or None,
        "source_run_id": item.source_run_id or None,
        "status_message": item.status_message or None,
    }


def _of(item: LoggedModel) -> Row:
    return {"model_id": item.model_id, "experiment_id": int(item.experiment_id)}


def _points(part: Part, connection: "Connection", models: Sequence[LoggedModel]) -> list[Row]:
    """Those of runs that are there. NaN is kept as 0, as MLflow does: the run's own point tells it."""
    from sqlalchemy import select

    runs = part.table("runs")
    named = sorted({metric.run_id for model in models for metric in model.metrics})
    asked = select(runs.c.run_uuid, runs.c.experiment_id)
    homes = {row[0]: row[1] for row in part.rows(connection, asked, runs.c.run_uuid, named)}
    datasets = _datasets(part, connection, models, set(homes.values()))
    return [
        {
            "model_id": model.model_id,
            "metric_name": metric.key,
            "metric_timestamp_ms": metric.timestamp,
            "metric_step": metric.step,
            "metric_value": _value(metric.value),
            "experiment_id": homes[metric.run_id],
            "run_id": metric.run_id,
            "dataset_uuid": datasets.get((homes[metric.run_id], metric.dataset_name, metric.dataset_digest)),
            "dataset_name": metric.dataset_name or None,
            "dataset_digest": metric.dataset_digest or None,
        }
        for model in models
        for metric in model.metrics
        if metric.run_id in homes
    ]


def _value(value: float) -> float:
    kept = stored(value)
    return 0.0 if kept != kept else max(-LARGEST, min(LARGEST, kept))


def _datasets(
    part: Part, connection: "Connection", models: Sequence[LoggedModel], experiments: set[int]
) -> Mapping[tuple[int, str, str], str]:
    """Ids of those that points name, by experiment, name and digest."""
    from sqlalchemy import select

    digests = sorted({m.dataset_digest for model in models for m in model.metrics if m.dataset_digest})
    table = part.schema.table("datasets")
    if table is None or not digests:
        return {}
    columns = select(table.c.experiment_id, table.c.name, table.c.digest, table.c.dataset_uuid)
    here = columns.where(table.c.experiment_id.in_(sorted(experiments)))
    return {
        (number, name, digest): id
        for some in parts(digests)
        for number, name, digest, id in connection.execute(here.where(table.c.digest.in_(some)))
    }
