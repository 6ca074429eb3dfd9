"""Runs that get another experiment: datasets belong to an experiment, so the inputs of such a run are pointed at those
of its new one."""

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runsync.model.run import Run
from runsync.workspaces.sql.read import parts
from runsync.workspaces.sql.schema import Schema
from runsync.workspaces.sql.upsert import as_committed, upsert

if TYPE_CHECKING:
    from sqlalchemy import Connection


def move_inputs(connection: "Connection", kind: str, schema: Schema, runs: Sequence[Run]) -> None:
    """To be called before the rows of these runs, which are there, say where they are from now on."""
    wanted = {run.run_id: int(run.experiment_id) for run in runs}
    moved = _moved(connection, schema, wanted)
    if not moved or schema.table("inputs") is None or schema.table("datasets") is None:
        return
    datasets, inputs = schema.tables["datasets"], schema.tables["inputs"]
    rows = _inputs(connection, schema, moved)
    if not rows:
        return
    copies = [_copy(row, moved[row["destination_id"]]) for row in rows]
    connection.execute(upsert(kind, datasets), copies)
    for row in rows:
        new = _dataset_id(connection, kind, schema, moved[row["destination_id"]], row)
        here = inputs.c.input_uuid == row["input_uuid"]
        connection.execute(inputs.update().where(here), {"source_id": new})


def _moved(connection: "Connection", schema: Schema, wanted: Mapping[str, int]) -> dict[str, int]:
    """The new experiments of those runs that are in another one."""
    from sqlalchemy import select

    runs = schema.tables["runs"]
    moved = {}
    for part in parts(list(wanted)):
        asked = select(runs.c.run_uuid, runs.c.experiment_id).where(runs.c.run_uuid.in_(part))
        for run_id, experiment_id in connection.execute(asked):
            if experiment_id != wanted[run_id]:
                moved[run_id] = wanted[run_id]
    return moved


def _inputs(connection: "Connection", schema: Schema, moved: Mapping[str, int]) -> list[dict[str, Any]]:
    """The datasets that these runs read, each with the input that says so."""
    from sqlalchemy import select

    datasets, inputs = schema.tables["datasets"], schema.tables["inputs"]
    found: list[dict[str, Any]] = []
    for part in parts(list(moved)):
        asked = select(inputs.c.input_uuid, inputs.c.destination_id, *datasets.c).where(
            inputs.c.source_type == "DATASET",
            inputs.c.destination_type == "RUN",
            inputs.c.destination_id.in_(part),
            inputs.c.source_id == datasets.c.dataset_uuid,
        )
        rows = (dict(row) for row in connection.execute(asked).mappings())
        found += [row for row in rows if row["experiment_id"] != moved[row["destination_id"]]]
    return found


def _copy(row: Mapping[str, Any], experiment_id: int) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if name not in ("input_uuid", "destination_id")}
    return fields | {"dataset_uuid": uuid.uuid4().hex, "experiment_id": experiment_id}


def _dataset_id(connection: "Connection", kind: str, schema: Schema, experiment_id: int, row: Mapping[str, Any]) -> str:
    from sqlalchemy import select

    c = schema.tables["datasets"].c
    here = (c.experiment_id == experiment_id, c.name == row["name"], c.digest == row["digest"])
    return str(connection.execute(as_committed(kind, select(c.dataset_uuid).where(*here))).scalar_one())
