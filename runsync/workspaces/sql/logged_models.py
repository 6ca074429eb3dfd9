"""Logged models in the database, read with all that hangs off them, some hundred at a time."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runsync.kinds.logged_models import COMPLETE, ORIGIN, PENDING, STATUSES, LoggedModel, ModelMetric
from runsync.model.experiment import DELETED
from runsync.model.identity import COPY
from runsync.workspaces.direct.models import ModelPlace, Recorded, RunPlace
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.read import numbers, parts

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, FromClause

TABLES = ("logged_models", "logged_model_params", "logged_model_tags", "logged_model_metrics")
FIELDS = (
    *("model_id", "experiment_id", "name", "model_type", "source_run_id", "status", "status_message"),
    *("creation_timestamp_ms", "last_updated_timestamp_ms"),
)
POINT = ("metric_name", "metric_value", "metric_timestamp_ms", "metric_step", "run_id")


class LoggedModels:
    """Reads those of one MLflow workspace."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def read(self, experiment_ids: Sequence[str], model_ids: Collection[str] = ()) -> Iterator[Recorded[LoggedModel]]:
        """See `ModelStore.logged_models`. Ids are looked up first, all at once."""
        if not self._part.has(*TABLES):
            return
        for some in parts(self._ids(experiment_ids, model_ids)):
            with self._part.reading() as connection:
                page = list(self._read(connection, some))
            yield from page

    def deleted(self, experiment_ids: Sequence[str]) -> int:
        """See `ModelStore.deleted_logged_models`."""
        from sqlalchemy import func, select

        if not self._part.has(*TABLES):
            return 0
        models = self._part.table("logged_models")
        asked = select(func.count()).select_from(self._joined())
        here = (self._of(experiment_ids), models.c.lifecycle_stage == DELETED)
        return int(self._part.all_rows(asked.where(*here, *self._here()))[0][0])

    def places(self, model_ids: Collection[str]) -> dict[str, ModelPlace]:
        """See `ModelStore.model_places`."""
        from sqlalchemy import String, and_, cast, select

        if not self._part.has(*TABLES):
            return {}
        models, tags = self._part.table("logged_models"), self._part.table("logged_model_tags")
        marked = and_(tags.c.model_id == models.c.model_id, tags.c.tag_key == COMPLETE)
        origins = tags.alias()
        joined = self._joined().outerjoin(tags, marked)
        columns = (models.c.model_id, models.c.experiment_id, models.c.artifact_location, tags.c.tag_value)
        asked = select(models.c.model_id, *columns).select_from(joined).where(*self._alive())
        origin = cast(origins.c.tag_value, String(36))
        copies = select(origin, *columns).select_from(joined.join(origins, origins.c.model_id == models.c.model_id))
        copies = copies.where(origins.c.tag_key == ORIGIN, *self._alive())
        with self._part.reading() as connection:
            found = list(self._part.rows(connection, asked, models.c.model_id, model_ids))
            rest = set(model_ids) - {row[0] for row in found}
            found += self._part.rows(connection, copies, origin, rest)
        return {row[0]: ModelPlace(row[1], str(row[2]), row[3], row[4] or "") for row in found}

    def run_places(self, run_ids: Collection[str]) -> dict[str, RunPlace]:
        """See `ModelStore.run_places`."""
        from sqlalchemy import and_, select

        runs, tags = self._part.table("runs"), self._part.table("tags")
        experiments = self._part.table("experiments")
        joined = runs.join(experiments, runs.c.experiment_id == experiments.c.experiment_id)
        joined = joined.outerjoin(tags, and_(tags.c.run_uuid == runs.c.run_uuid, tags.c.key == COPY))
        asked = select(runs.c.run_uuid, runs.c.experiment_id, runs.c.artifact_uri, tags.c.value).select_from(joined)
        asked = asked.where(*self._part.here(experiments))
        with self._part.reading() as connection:
            rows = self._part.rows(connection, asked, runs.c.run_uuid, run_ids)
            return {row[0]: RunPlace(row[0], str(row[1]), row[2] or "", row[3] or "") for row in rows}

    def _joined(self) -> "FromClause":
        models, experiments = self._part.table("logged_models"), self._part.table("experiments")
        return models.join(experiments, models.c.experiment_id == experiments.c.experiment_id)

    def _here(self) -> "list[ColumnElement[bool]]":
        return self._part.here(self._part.table("experiments"))

    def _alive(self) -> "list[ColumnElement[bool]]":
        return [self._part.table("logged_models").c.lifecycle_stage != DELETED, *self._here()]

    def _of(self, experiment_ids: Sequence[str]) -> "ColumnElement[bool]":
        from sqlalchemy import bindparam

        ids: Any = bindparam("ids", numbers(experiment_ids), expanding=True, literal_execute=True)
        return self._part.table("logged_models").c.experiment_id.in_(ids)

    def _ids(self, experiment_ids: Sequence[str], model_ids: Collection[str]) -> list[str]:
        from sqlalchemy import select

        column = self._part.table("logged_models").c.model_id
        asked = select(column).select_from(self._joined()).where(*self._alive())
        with self._part.reading() as connection:
            found = set(connection.execute(asked.where(self._of(experiment_ids))).scalars())
            found |= {id for (id,) in self._part.rows(connection, asked, column, model_ids)}
        return sorted(found)

    def _read(self, connection: "Connection", model_ids: Sequence[str]) -> Iterator[Recorded[LoggedModel]]:
        from sqlalchemy import select

        models = self._part.table("logged_models")
        columns = [models.c[name] for name in (*FIELDS, "artifact_location")]
        asked = select(*columns).where(models.c.model_id.in_(model_ids)).order_by(models.c.model_id)
        rows = connection.execute(asked).all()
        params = self._texts(connection, "param", model_ids)
        tags = self._texts(connection, "tag", model_ids)
        metrics = self._metrics(connection, model_ids)
        for row in rows:
            yield Recorded(_model(row, params, tags, metrics), row.artifact_location)

    def _texts(self, connection: "Connection", what: str, model_ids: Sequence[str]) -> Mapping[str, dict[str, str]]:
        from sqlalchemy import select

        table = self._part.table(f"logged_model_{what}s")
        asked = select(table.c.model_id, table.c[f"{what}_key"], table.c[f"{what}_value"])
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for model_id, key, value in connection.execute(asked.where(table.c.model_id.in_(model_ids))):
            found[model_id][key] = value or ""
        return found

    def _metrics(self, connection: "Connection", model_ids: Sequence[str]) -> Mapping[str, list[ModelMetric]]:
        from sqlalchemy import select

        table = self._part.table("logged_model_metrics")
        asked = select(table.c.model_id, *(table.c[n] for n in (*POINT, "dataset_name", "dataset_digest")))
        nan = self._nan(connection, model_ids)
        found: dict[str, list[ModelMetric]] = defaultdict(list)
        for model_id, key, value, time, step, run_id, name, digest in connection.execute(
            asked.where(table.c.model_id.in_(model_ids))
        ):
            number = math.nan if value is None or (model_id, key, time, step, run_id) in nan else float(value)
            found[model_id].append(ModelMetric(key, number, time, step, run_id, name or "", digest or ""))
        return found

    def _nan(self, connection: "Connection", model_ids: Sequence[str]) -> set[tuple[Any, ...]]:
        """Points that are NaN, of which a model's row keeps 0: its run's own point tells it."""
        from sqlalchemy import and_, select

        table, points = self._part.table("logged_model_metrics"), self._part.table("metrics")
        same = and_(
            points.c.run_uuid == table.c.run_id,
            points.c.key == table.c.metric_name,
            points.c.timestamp == table.c.metric_timestamp_ms,
            points.c.step == table.c.metric_step,
        )
        columns = [table.c[n] for n in ("model_id", "metric_name", "metric_timestamp_ms", "metric_step", "run_id")]
        asked = select(*columns).select_from(table.join(points, same))
        here = (table.c.model_id.in_(model_ids), table.c.metric_value == 0, points.c.is_nan.is_(True))
        return {tuple(row) for row in connection.execute(asked.where(*here))}


def _model(
    row: Any,
    params: Mapping[str, dict[str, str]],
    tags: Mapping[str, dict[str, str]],
    metrics: Mapping[str, list[ModelMetric]],
) -> LoggedModel:
    return LoggedModel(
        row.model_id,
        str(row.experiment_id),
        row.name,
        row.model_type or "",
        row.source_run_id or "",
        STATUSES[row.status - 1] if 1 <= row.status <= len(STATUSES) else PENDING,
        row.status_message or "",
        row.creation_timestamp_ms,
        row.last_updated_timestamp_ms,
        params.get(row.model_id, {}),
        tags.get(row.model_id, {}),
        tuple(sorted(metrics.get(row.model_id, ()), key=lambda metric: metric.place)),
    )
