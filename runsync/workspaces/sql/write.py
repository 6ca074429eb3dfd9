"""Runs into the database, many in one transaction, each whole or not at all."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from runsync.errors import ITEM_ERRORS, AccessDenied
from runsync.model.identity import RUN_NAME
from runsync.model.run import Run
from runsync.workspaces.direct.misfits import Misfit, Refusal, Unfit
from runsync.workspaces.direct.store import Arrival
from runsync.workspaces.sql import latest, write_points
from runsync.workspaces.sql.address import MYSQL
from runsync.workspaces.sql.database import TRIES, Database
from runsync.workspaces.sql.fits import Fits
from runsync.workspaces.sql.latest import Stored
from runsync.workspaces.sql.move import move_inputs
from runsync.workspaces.sql.one_key import misfits_of, require_input_tags, require_links
from runsync.workspaces.sql.read import Reader, parts
from runsync.workspaces.sql.schema import Schema
from runsync.workspaces.sql.upsert import as_committed, in_order, remove_tags, set_texts, upsert

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection

RUNS = 400
POINTS = 250_000
"""What a transaction holds at most, but for a run that has more points by itself."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A run whose points are at hand."""

    run: Run
    is_new: bool
    points: "Iterable[pa.RecordBatch]"
    untagged: Sequence[str]


class RunWriter:
    """Writes runs to one MLflow workspace of a database."""

    def __init__(self, database: Database, schema: Schema, reader: Reader, fits: Fits) -> None:
        self._database = database
        self._schema = schema
        self._reader = reader
        self._fits = fits

    def write(self, arrivals: Sequence[Arrival]) -> dict[str, Refusal]:
        """Gives by run id why a run was refused."""
        refused: dict[str, Refusal] = {}
        for group in _grouped(arrivals, refused):
            refused.update(self._write_group(group))
        return refused

    def _write_group(self, group: Sequence[Ready], *, carefully: bool = False) -> dict[str, Refusal]:
        try:
            return self._in_a_transaction(group, carefully)
        except AccessDenied:
            raise
        except ITEM_ERRORS as error:
            if carefully or not isinstance(group[0].points, list):
                return {group[0].run.run_id: Refusal(error)}
        # One of them is not taken, and a database does not tell which.
        refused: dict[str, Refusal] = {}
        for one in group:
            refused.update(self._write_group([one], carefully=True))
        return refused

    def _in_a_transaction(self, group: Sequence[Ready], carefully: bool) -> dict[str, Refusal]:
        tries = TRIES if all(isinstance(one.points, list) for one in group) else 1
        return self._database.transact(lambda connection: self._write(connection, group, carefully), tries)

    def _write(self, connection: "Connection", group: Sequence[Ready], carefully: bool) -> dict[str, Refusal]:
        """Carefully: should points be there twice, which no source ought to give, one of them is written."""
        refused = self._unfit(connection, group)
        group = [one for one in group if one.run.run_id not in refused]
        runs = [one.run for one in group]
        self._insert(connection, [one.run for one in group if one.is_new])
        self._update(connection, [one.run for one in group if not one.is_new])
        self._set_texts(connection, group)
        self._set_inputs(connection, runs)
        newest = self._add_points(connection, group, carefully)
        self._set_latest(connection, newest)
        if self._database.kind == MYSQL:
            self._require_keys(connection, runs, newest)
        return refused

    def _set_texts(self, connection: "Connection", group: Sequence[Ready]) -> None:
        """Params and tags."""
        kind, tables, runs = self._database.kind, self._schema.tables, [one.run for one in group]
        set_texts(connection, kind, tables["params"], {run.run_id: run.params for run in runs})
        set_texts(connection, kind, tables["tags"], {run.run_id: _tags(run) for run in runs})
        remove_tags(connection, tables["tags"], {one.run.run_id: one.untagged for one in group})

    def _add_points(
        self, connection: "Connection", group: Sequence[Ready], carefully: bool
    ) -> dict[str, dict[str, Stored]]:
        """Gives the latest point of each metric, by run id and key. Raises Unfit."""
        known = self._known_latest(connection, [one.run.run_id for one in group if not one.is_new])
        newest = {one.run.run_id: known.get(one.run.run_id, {}) for one in group}
        for are_new in (True, False):
            some = [one for one in group if (one.is_new and not carefully) is are_new and one.points]
            if some:
                write_points.insert(connection, self._database.kind, self._pieces(some, newest), are_new=are_new)
        return newest

    def _set_latest(self, connection: "Connection", newest: Mapping[str, Mapping[str, Stored]]) -> None:
        columns = ("value", "timestamp", "step", "is_nan")
        rows = [
            {"run_uuid": run_id, "key": key, **point._asdict()}
            for run_id, points in newest.items()
            for key, point in sorted(points.items())
        ]
        if rows:
            connection.execute(upsert(self._database.kind, self._schema.tables["latest_metrics"], columns), rows)

    def _require_keys(self, connection: "Connection", runs: Sequence[Run], newest: Mapping[str, Iterable[str]]) -> None:
        """See `one_key`. Raises Unfit."""
        written: Mapping[str, Mapping[str, Iterable[str]]] = {
            "params": {run.run_id: run.params for run in runs},
            "tags": {run.run_id: run.tags for run in runs},
            "latest_metrics": newest,
        }
        tables = self._schema.tables
        if misfits := [one for name in written for one in misfits_of(connection, tables[name], written[name])]:
            raise Unfit(misfits)

    def _pieces(
        self, group: Sequence[Ready], newest: Mapping[str, dict[str, Stored]]
    ) -> "Iterator[tuple[str, pa.Table]]":
        """Points as they are stored, with the id of their run; the latest are noted on the way. Raises Unfit."""
        for one in group:
            latest_of_run = newest[one.run.run_id]
            looked_at = {metric.key for metric in one.run.latest_metrics}
            for points in write_points.stored(one.points):
                latest.merge(latest_of_run, points)
                if misfits := self._fits.keys(latest_of_run.keys() - looked_at):
                    raise Unfit(misfits)
                yield one.run.run_id, points

    def _unfit(self, connection: "Connection", group: Sequence[Ready]) -> dict[str, Refusal]:
        """Runs that do not fit, or are not, or no longer, what they were taken for."""
        from sqlalchemy import select

        runs, experiments = self._schema.tables["runs"], self._schema.tables["experiments"]
        ids = [one.run.run_id for one in group]
        there = {run_id for (run_id,) in connection.execute(select(runs.c.run_uuid).where(runs.c.run_uuid.in_(ids)))}
        numbers = {int(one.run.experiment_id) for one in group}
        asked = select(experiments.c.experiment_id).where(experiments.c.experiment_id.in_(numbers))
        homes = {number for (number,) in connection.execute(asked.where(*self._reader.is_here()))}
        refused = {}
        for one in group:
            run_id = one.run.run_id
            if fault := self._fits.fault(one.run):
                refused[run_id] = Refusal(fault)
            elif int(one.run.experiment_id) not in homes:
                refused[run_id] = Refusal(f"there is no experiment {one.run.experiment_id}: run it again")
            elif one.is_new and run_id in there:
                refused[run_id] = Refusal("a run of this id was written meanwhile: run it again")
            elif not one.is_new and run_id not in there:
                refused[run_id] = Refusal("the run is no longer there: run it again")
            elif misfits := self._fits.misfits(one.run):
                refused[run_id] = Refusal(Unfit(misfits))
        return refused

    def _insert(self, connection: "Connection", runs: Sequence[Run]) -> None:
        if runs:
            connection.execute(self._schema.tables["runs"].insert(), [_new_row(run) for run in runs])

    def _update(self, connection: "Connection", runs: Sequence[Run]) -> None:
        from sqlalchemy import bindparam

        if not runs:
            return
        move_inputs(connection, self._database.kind, self._schema, runs)
        table = self._schema.tables["runs"]
        rows = [{"asked": run.run_id, **_row(run)} for run in runs]
        names = [name for name in rows[0] if name != "asked"]
        statement = table.update().where(table.c.run_uuid == bindparam("asked"))
        connection.execute(statement.values({name: bindparam(name) for name in names}), rows)

    def _known_latest(self, connection: "Connection", run_ids: Sequence[str]) -> dict[str, dict[str, Stored]]:
        from sqlalchemy import select

        table = self._schema.tables["latest_metrics"]
        columns = [table.c[name] for name in ("run_uuid", "key", "step", "timestamp", "value", "is_nan")]
        found: dict[str, dict[str, Stored]] = {}
        for part in parts(run_ids):
            for run_id, key, *point in connection.execute(select(*columns).where(table.c.run_uuid.in_(part))):
                found.setdefault(run_id, {})[key] = Stored(*point)
        return found

    def _set_inputs(self, connection: "Connection", runs: Sequence[Run]) -> None:
        if self._schema.table("inputs") is None:
            return
        self._set_datasets(connection, [run for run in runs if run.dataset_inputs])
        if self._schema.table("logged_models") is not None:
            self._set_links(connection, runs)

    def _set_datasets(self, connection: "Connection", runs: Sequence[Run]) -> None:
        if not runs:
            return
        tables, kind = self._schema.tables, self._database.kind
        rows = {
            (int(run.experiment_id), d.name, d.digest): {
                "dataset_uuid": uuid.uuid4().hex,
                "experiment_id": int(run.experiment_id),
                "name": d.name,
                "digest": d.digest,
                "dataset_source_type": d.source_type,
                "dataset_source": d.source,
                "dataset_schema": d.schema or None,  # MLflow has NULL for one that there is not
                "dataset_profile": d.profile or None,
            }
            for run in runs
            for d in run.dataset_inputs
        }
        connection.execute(upsert(kind, tables["datasets"]), [rows[known] for known in sorted(rows)])
        ids = self._dataset_ids(connection, list(rows))
        used = [(run, d) for run in runs for d in run.dataset_inputs]
        if lost := [d for run, d in used if (int(run.experiment_id), d.name, d.digest) not in ids]:
            why = "to this database it is the same as another dataset of its experiment"
            raise Unfit([Misfit("input", dataset.name, why, dataset, gives_way=True) for dataset in lost])
        edges = [_edge("DATASET", ids[int(run.experiment_id), d.name, d.digest], "RUN", run.run_id) for run, d in used]
        connection.execute(upsert(kind, tables["inputs"]), edges)
        input_ids = self._input_ids(connection, [run.run_id for run in runs])
        named = [(input_ids[ids[int(run.experiment_id), d.name, d.digest], run.run_id], d) for run, d in used]
        tags = [{"input_uuid": id, "name": key, "value": value} for id, d in named for key, value in in_order(d.tags)]
        if tags:
            connection.execute(upsert(kind, tables["input_tags"], ("value",)), tags)
            if kind == MYSQL:
                require_input_tags(connection, tables["input_tags"], named)

    def _dataset_ids(
        self, connection: "Connection", asked: Sequence[tuple[int, str, str]]
    ) -> dict[tuple[int, str, str], str]:
        from sqlalchemy import select

        datasets = self._schema.tables["datasets"]
        c = datasets.c
        digests = list({digest for _, _, digest in asked})
        experiments = list({number for number, _, _ in asked})
        found = {}
        for part in parts(digests):
            here = (c.experiment_id.in_(experiments), c.digest.in_(part))
            columns = select(c.experiment_id, c.name, c.digest, c.dataset_uuid).where(*here)
            for number, name, digest, dataset_id in connection.execute(as_committed(self._database.kind, columns)):
                found[number, name, digest] = dataset_id
        return found

    def _input_ids(self, connection: "Connection", run_ids: Sequence[str]) -> dict[tuple[str, str], str]:
        from sqlalchemy import select

        inputs = self._schema.tables["inputs"]
        found = {}
        for part in parts(run_ids):
            here = (inputs.c.destination_type == "RUN", inputs.c.destination_id.in_(part))
            columns = select(inputs.c.source_id, inputs.c.destination_id, inputs.c.input_uuid)
            for source_id, run_id, input_id in connection.execute(
                as_committed(self._database.kind, columns.where(*here))
            ):
                found[source_id, run_id] = input_id
        return found

    def _set_links(self, connection: "Connection", runs: Sequence[Run]) -> None:
        edges = [
            _edge(kind, run.run_id, kind.replace("RUN", "MODEL"), link.model_id) | {"step": link.step}
            for run in runs
            for kind, links in (("RUN_INPUT", run.model_inputs), ("RUN_OUTPUT", run.model_outputs))
            for link in sorted(links, key=lambda link: link.model_id)
        ]
        inputs = self._schema.tables["inputs"]
        if edges and "step" not in inputs.c:
            edges = [{name: value for name, value in edge.items() if name != "step"} for edge in edges]
        if edges:
            updated = ("step",) if "step" in inputs.c else ()
            connection.execute(upsert(self._database.kind, inputs, updated), edges)
            if self._database.kind == MYSQL:
                require_links(connection, inputs, runs)


def _edge(source_type: str, source_id: str, destination_type: str, destination_id: str) -> dict[str, Any]:
    return {
        "input_uuid": uuid.uuid4().hex,
        "source_type": source_type,
        "source_id": source_id,
        "destination_type": destination_type,
        "destination_id": destination_id,
    }


def _new_row(run: Run) -> dict[str, Any]:
    # What MLflow's own create_run writes into the columns that came before tags.
    before_tags = {"source_type": "UNKNOWN", "source_name": "", "entry_point_name": "", "source_version": ""}
    return {"run_uuid": run.run_id, **before_tags, **_row(run)}


def _row(run: Run) -> dict[str, Any]:
    return {
        "name": run.name or run.tags.get(RUN_NAME, ""),
        "user_id": run.user_id,
        "status": run.status,
        "start_time": run.start_time,
        "end_time": run.end_time,
        "deleted_time": run.deleted_time,
        "lifecycle_stage": run.lifecycle_stage,
        "artifact_uri": run.artifact_uri,
        "experiment_id": int(run.experiment_id),
    }


def _tags(run: Run) -> Mapping[str, str]:
    """With the tag that MLflow keeps the name in, too."""
    return {**run.tags, RUN_NAME: run.name} if run.name else run.tags


def _grouped(arrivals: Sequence[Arrival], refused: dict[str, Refusal]) -> Iterator[list[Ready]]:
    """What one transaction takes. Points of a group are held in memory, to be written again should it fail."""
    group: list[Ready] = []
    held = 0
    for arrival in arrivals:
        points = iter(arrival.points)
        try:
            at_hand, count = _taken(points)
        except ITEM_ERRORS as error:
            refused[arrival.run.run_id] = Refusal(error)
            continue
        if group and (held + count > POINTS or len(group) == RUNS):
            yield group
            group, held = [], 0
        if count > POINTS:
            yield [Ready(arrival.run, arrival.is_new, chain(at_hand, points), arrival.untagged)]
            continue
        group.append(Ready(arrival.run, arrival.is_new, at_hand, arrival.untagged))
        held += count
    if group:
        yield group


def _taken(points: "Iterator[pa.RecordBatch]") -> "tuple[list[pa.RecordBatch], int]":
    """The first batches, until they are more than a transaction holds."""
    taken, count = [], 0
    for batch in points:
        taken.append(batch)
        count += batch.num_rows
        if count > POINTS:
            break
    return taken, count
