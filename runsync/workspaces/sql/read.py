"""Experiments and runs, read by pages: what hangs off runs is asked for a page of runs at a time."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import chain
from typing import TYPE_CHECKING, Any

from runsync.errors import AccessDenied, RequestRefused
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.filter.vocabulary import STATUSES
from runsync.model.identity import RUN_NAME
from runsync.model.run import RUNNING, Batch, DatasetInput, LatestMetric, ModelLink, Problem, Run, Unreadable
from runsync.workspaces.direct.store import Query
from runsync.workspaces.sql.address import DEFAULT_WORKSPACE
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.schema import Schema
from runsync.workspaces.sql.texts import WHY, Noting, any_text, is_text, pairs, printable, readable, sound

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import BindParameter, ColumnElement, Connection, Select, Table

PAGE = 400
"""Runs a batch, and ids a statement: SQLite takes 999 parameters in old versions."""
LARGEST_INTEGER = 2**63 - 1


class Reader:
    """Reads one MLflow workspace of a database."""

    def __init__(self, database: Database, schema: Schema) -> None:
        self._database = database
        self._schema = schema
        self._workspace = database.address.workspace or DEFAULT_WORKSPACE
        self.without: dict[str, frozenset[str]] = {}
        """The metrics that cannot be read for their names (with escapes), by run id."""

    def experiments(self) -> list[Experiment]:
        """All of this workspace that can be read, oldest first."""
        return [one for one in self._experiments() if isinstance(one, Experiment)]

    def unreadable_experiments(self) -> list[Unreadable]:
        """The others, and the runs that are in no experiment."""
        return [*(one for one in self._experiments() if isinstance(one, Unreadable)), *self._homeless()]

    def _homeless(self) -> list[Unreadable]:
        """Runs whose experiment was taken out of the table, which SQLite does not forbid: MLflow never shows them."""
        from sqlalchemy import or_, select

        runs, experiments = self._schema.tables["runs"], self._schema.tables["experiments"]
        home = select(experiments.c.experiment_id).where(experiments.c.experiment_id == runs.c.experiment_id)
        asked = select(runs.c.run_uuid, runs.c.experiment_id)
        asked = asked.where(or_(runs.c.experiment_id.is_(None), ~home.exists())).order_by(runs.c.run_uuid)
        with self._database.reading() as connection, any_text(connection):
            found = connection.execute(asked).all()
        place = self._database.address.printable
        return [
            Unreadable(printable(run_id), place, f"its experiment {number} is not there") for run_id, number in found
        ]

    def _experiments(self) -> list[Experiment | Unreadable]:
        """Together, or one by one where one of them keeps the others from being read."""
        try:
            return self._experiments_of(None)
        except AccessDenied:
            raise
        except (RequestRefused, ValueError):
            self._database.begin_again()
            return [one for number in self._experiment_ids() for one in self._alone(number)]

    def _alone(self, number: int) -> list[Experiment | Unreadable]:
        broken: list[Problem] = []
        try:
            found = self._experiments_of(number, broken.append)
        except AccessDenied:
            raise
        except RequestRefused as error:
            self._database.begin_again()
            return [Unreadable(str(number), self._database.address.printable, str(error), "experiment")]
        told = (str(number), self._database.address.printable)
        return [*found, *(Unreadable.piece(*told, problem, "experiment") for problem in broken)]

    def _experiment_ids(self) -> list[int]:
        from sqlalchemy import select

        asked = select(self._schema.tables["experiments"].c.experiment_id).where(*self.is_here())
        with self._database.reading() as connection:
            return list(connection.execute(asked.order_by(*self._age())).scalars())

    def _experiments_of(self, number: int | None, noting: Noting | None = None) -> list[Experiment | Unreadable]:
        """The one of an id, or all; with `noting` without what cannot be read of it."""
        from sqlalchemy import select

        experiments, tags = self._schema.tables["experiments"], self._schema.tables["experiment_tags"]
        names = ("experiment_id", "name", "lifecycle_stage", "artifact_location", "creation_time", "last_update_time")
        asked = select(*(experiments.c[name] for name in names)).where(*self.is_here()).order_by(*self._age())
        asked_tags = select(tags.c.experiment_id, tags.c.key, tags.c.value)
        if number is not None:
            asked = asked.where(experiments.c.experiment_id == number)
            asked_tags = asked_tags.where(tags.c.experiment_id == number)
        with self._database.reading() as connection, nullcontext() if noting is None else any_text(connection):
            rows = connection.execute(asked).all()
            tags_of: dict[int, dict[str, str]] = defaultdict(dict)
            for experiment_id, key, value in connection.execute(asked_tags):
                tags_of[experiment_id][key] = value or ""
        return [self._experiment(row, tags_of.get(row[0], {}), noting) for row in rows]

    def _age(self) -> "tuple[ColumnElement[Any], ...]":
        from sqlalchemy import func

        experiments = self._schema.tables["experiments"]
        return func.coalesce(experiments.c.creation_time, 0), experiments.c.experiment_id

    def _experiment(
        self, row: Sequence[Any], tags: Mapping[str, str], noting: Noting | None
    ) -> Experiment | Unreadable:
        number, name, stage, location, made, updated = row
        if noting is not None:
            name, location = readable(name, "name", noting), readable(location or "", "artifact_location", noting)
            tags = pairs(tags, "tag", noting)
        times = _whole(made, "creation_time", noting), _whole(updated, "last_update_time", noting)
        return Experiment(str(number), name, stage or ACTIVE, location or "", *times, tags)

    def is_here(self) -> "list[ColumnElement[bool]]":
        """What restricts the table of experiments to this workspace."""
        experiments = self._schema.tables["experiments"]
        return [experiments.c.workspace == self._workspace] if "workspace" in experiments.c else []

    def run_counts(self) -> dict[str, int]:
        """How many runs each experiment has, deleted ones too."""
        from sqlalchemy import func, select

        runs, experiments = self._schema.tables["runs"], self._schema.tables["experiments"]
        asked = (
            select(experiments.c.experiment_id, func.count(runs.c.run_uuid))
            .select_from(experiments.outerjoin(runs, runs.c.experiment_id == experiments.c.experiment_id))
            .where(*self.is_here())
            .group_by(experiments.c.experiment_id)
        )
        with self._database.reading() as connection:
            return {str(experiment_id): count for experiment_id, count in connection.execute(asked)}

    def has_roots_besides(self, prefix: str) -> bool:
        """Whether any run has its artifacts elsewhere than below a prefix (of a URI, without `%` and `_`)."""
        from sqlalchemy import select

        runs, experiments = self._schema.tables["runs"], self._schema.tables["experiments"]
        home = runs.join(experiments, runs.c.experiment_id == experiments.c.experiment_id)
        asked = select(runs.c.experiment_id).select_from(home).limit(1)
        asked = asked.where(runs.c.artifact_uri.not_like(f"{prefix}%"), *self.is_here())
        with self._database.reading() as connection:
            return connection.execute(asked).first() is not None

    def batches(self, query: Query) -> Iterator[Batch]:
        """The runs asked for, a page at a time. Their ids are looked up first, all at once: 40 bytes a run."""
        try:
            ids = self._ids(query)
        except AccessDenied:
            raise
        except RequestRefused:
            ids, odd = self._ids_of_text(query)
            if not odd:
                raise
            yield Batch((), unreadable=odd)
        for start in range(0, len(ids), PAGE):
            page = ids.slice(start, PAGE).to_pylist()
            batch = self._batch(page)
            if batch.runs or batch.unreadable:
                yield batch

    def _batch(self, run_ids: Sequence[str]) -> Batch:
        try:
            with self._database.reading() as connection:
                return Batch(self._runs(connection, run_ids))
        except AccessDenied:
            raise
        except (RequestRefused, ValueError, TypeError) as error:
            self._database.begin_again()
            if len(run_ids) == 1:
                return self._by_pieces(run_ids[0], error)
        each = [self._batch([run_id]) for run_id in run_ids]
        runs = tuple(chain.from_iterable(batch.runs for batch in each))
        broken = {run_id: pieces for batch in each for run_id, pieces in batch.broken.items()}
        return Batch(runs, {}, tuple(chain.from_iterable(batch.unreadable for batch in each)), broken)

    def _by_pieces(self, run_id: str, error: Exception) -> Batch:
        """A run of which something cannot be read, without that."""
        broken: list[Problem] = []
        try:
            with self._database.reading() as connection, any_text(connection):
                runs = tuple(sound(run, broken.append) for run in self._runs(connection, [run_id], broken.append))
        except AccessDenied:
            raise
        except (RequestRefused, ValueError, TypeError):
            self._database.begin_again()
            return Batch((), {}, (Unreadable(run_id, self._database.address.printable, str(error)),))
        self.without[run_id] = frozenset(problem.name for problem in broken if problem.kind == "metric")
        return Batch(runs, broken={run_id: tuple(broken)} if broken else {})

    def _ids_of_text(self, query: Query) -> "tuple[pa.Array, tuple[Unreadable, ...]]":
        """The ids that are UTF-8, and the runs whose ids are not."""
        with self._database.reading() as connection, any_text(connection):
            ids = [run_id for _, run_id in connection.execute(self._asked(query, query.run_ids))]
        place = self._database.address.printable
        odd = tuple(Unreadable(printable(id), place, f"its id: {WHY}") for id in ids if not is_text(id))
        return _compact([[id for id in ids if is_text(id)]]), odd

    def _ids(self, query: Query) -> "pa.Array":
        if query.run_ids is None:
            return _compact(self._found(query, None))
        chosen: list[tuple[int, str]] = []
        for part in parts(list(dict.fromkeys(query.run_ids))):
            chosen.extend(row for row in self._rows(query, part) if row[1] in part)
        chosen.sort(reverse=query.newest_first)
        return _compact([[run_id for _, run_id in chosen]])

    def _found(self, query: Query, run_ids: Sequence[str] | None) -> Iterator[list[str]]:
        with self._database.reading() as connection:
            result = connection.execute(self._asked(query, run_ids))
            for rows in result.partitions(10_000):
                yield [run_id for _, run_id in rows]

    def _rows(self, query: Query, run_ids: Sequence[str]) -> list[tuple[int, str]]:
        with self._database.reading() as connection:
            return [(start, run_id) for start, run_id in connection.execute(self._asked(query, run_ids))]

    def _asked(self, query: Query, run_ids: Sequence[str] | None) -> "Select[Any]":
        from sqlalchemy import BigInteger, bindparam, cast, func, select

        runs, experiments = self._schema.tables["runs"], self._schema.tables["experiments"]
        start = cast(func.coalesce(runs.c.start_time, 0), BigInteger)  # SQLite lets text stand there
        joined = runs.join(experiments, runs.c.experiment_id == experiments.c.experiment_id)
        # Numbers that stand in the statement itself: there may be more of them than parameters are allowed.
        ids: BindParameter[Any] = bindparam("ids", numbers(query.experiment_ids), expanding=True, literal_execute=True)
        asked = select(start, runs.c.run_uuid).select_from(joined)
        asked = asked.where(*self.is_here(), runs.c.experiment_id.in_(ids))
        if run_ids is not None:
            asked = asked.where(runs.c.run_uuid.in_(run_ids))
        if query.state != "all":
            asked = asked.where(func.coalesce(runs.c.lifecycle_stage, ACTIVE) == query.state)
        if query.since is not None:
            asked = asked.where(start >= query.since)
        if query.until is not None:
            asked = asked.where(start <= query.until)
        order = (start, runs.c.run_uuid)
        return asked.order_by(*(column.desc() for column in order) if query.newest_first else order)

    def _runs(self, connection: "Connection", run_ids: Sequence[str], noting: Noting | None = None) -> tuple[Run, ...]:
        """These runs, in this order; one that is gone is left out. With `noting` what is no number is left out, too."""
        from sqlalchemy import select

        runs = self._schema.tables["runs"]
        names = ("run_uuid", "experiment_id", "name", "user_id", "status", "start_time", "end_time", "lifecycle_stage")
        columns = [runs.c[name] for name in (*names, "deleted_time", "artifact_uri")]
        rows = {row[0]: row for row in connection.execute(select(*columns).where(runs.c.run_uuid.in_(run_ids)))}
        params = self._texts(connection, "params", run_ids)
        tags = self._texts(connection, "tags", run_ids)
        latest = self._latest(connection, run_ids, noting)
        datasets = self._datasets(connection, run_ids)
        read = self._links(connection, run_ids, "RUN_INPUT")
        wrote = self._links(connection, run_ids, "RUN_OUTPUT")
        return tuple(
            Run(
                run_id,
                str(row[1]),
                row[2] or tags.get(run_id, {}).get(RUN_NAME, ""),
                row[3] or "",
                _status(row[4], noting),
                _whole(row[5], "start_time", noting),
                _whole(row[6], "end_time", noting),
                row[7] or ACTIVE,
                _whole(row[8], "deleted_time", noting),
                row[9] or "",
                params.get(run_id, {}),
                tags.get(run_id, {}),
                tuple(latest.get(run_id, ())),
                tuple(datasets.get(run_id, ())),
                tuple(read.get(run_id, ())),
                tuple(wrote.get(run_id, ())),
            )
            for run_id in run_ids
            if (row := rows.get(run_id))
        )

    def _texts(self, connection: "Connection", name: str, run_ids: Sequence[str]) -> Mapping[str, dict[str, str]]:
        from sqlalchemy import select

        table = self._schema.tables[name]
        asked = select(table.c.run_uuid, table.c.key, table.c.value).where(table.c.run_uuid.in_(run_ids))
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for run_id, key, value in connection.execute(asked):
            found[run_id][key] = value or ""
        return found

    def _latest(
        self, connection: "Connection", run_ids: Sequence[str], noting: Noting | None
    ) -> Mapping[str, list[LatestMetric]]:
        from sqlalchemy import select

        t = self._schema.tables["latest_metrics"]
        asked = select(t.c.run_uuid, t.c.key, t.c.value, t.c.timestamp, t.c.step, t.c.is_nan)
        found: dict[str, list[LatestMetric]] = defaultdict(list)
        for run_id, key, value, timestamp, step, is_nan in connection.execute(asked.where(t.c.run_uuid.in_(run_ids))):
            try:
                number = math.nan if is_nan else float(value)
                found[run_id].append(LatestMetric(key, number, _whole(timestamp) or 0, _whole(step) or 0))
            except (ValueError, TypeError) as error:
                if noting is None:
                    raise
                noting(Problem("metric", printable(key), ascii(str(error))[1:-1]))
        return found

    def _datasets(self, connection: "Connection", run_ids: Sequence[str]) -> Mapping[str, list[DatasetInput]]:
        from sqlalchemy import select

        datasets, inputs = self._schema.table("datasets"), self._schema.table("inputs")
        if datasets is None or inputs is None:
            return {}
        runs = self._schema.tables["runs"]
        columns = ("name", "digest", "dataset_source_type", "dataset_source", "dataset_schema", "dataset_profile")
        asked = (
            select(inputs.c.input_uuid, inputs.c.destination_id, *(datasets.c[name] for name in columns))
            .select_from(
                inputs.join(datasets, inputs.c.source_id == datasets.c.dataset_uuid).join(
                    runs, runs.c.run_uuid == inputs.c.destination_id
                )
            )
            .where(*_edges(inputs, "DATASET", "RUN"), inputs.c.destination_id.in_(run_ids))
            # An id of a dataset may be there in two experiments: that of the run's own comes first.
            .order_by(datasets.c.name, datasets.c.digest, (datasets.c.experiment_id != runs.c.experiment_id))
        )
        rows = list({row[0]: row for row in reversed(connection.execute(asked).all())}.values())[::-1]
        tags = self._input_tags(connection, [row[0] for row in rows])
        found: dict[str, list[DatasetInput]] = defaultdict(list)
        for input_id, run_id, *texts in rows:
            name, digest, kind, source, schema, profile = (text or "" for text in texts)
            found[run_id].append(DatasetInput(name, digest, kind, source, schema, profile, tags.get(input_id, {})))
        return found

    def _input_tags(self, connection: "Connection", input_ids: Sequence[str]) -> Mapping[str, dict[str, str]]:
        from sqlalchemy import select

        table = self._schema.tables["input_tags"]
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for part in parts(input_ids):
            asked = select(table.c.input_uuid, table.c.name, table.c.value).where(table.c.input_uuid.in_(part))
            for input_id, name, value in connection.execute(asked):
                found[input_id][name] = value
        return found

    def _links(self, connection: "Connection", run_ids: Sequence[str], kind: str) -> Mapping[str, list[ModelLink]]:
        from sqlalchemy import literal, select

        inputs = self._schema.table("inputs")
        if inputs is None:
            return {}
        step = inputs.c.step if "step" in inputs.c else literal(0)
        asked = (
            select(inputs.c.source_id, inputs.c.destination_id, step)
            .where(*_edges(inputs, kind, kind.replace("RUN", "MODEL")), inputs.c.source_id.in_(run_ids))
            .order_by(inputs.c.destination_id)
        )
        found: dict[str, list[ModelLink]] = defaultdict(list)
        for run_id, model_id, at in connection.execute(asked):
            found[run_id].append(ModelLink(model_id, at))
        return found


def _whole(number: Any, name: str = "", noting: Noting | None = None) -> int | None:
    """A column of whole numbers. Raises ValueError for what else SQLite lets stand there, or notes it."""
    if number is None or type(number) is int:
        return number
    why = f"the database has {ascii(number)[:40]} where a whole number belongs"
    if noting is None:
        raise ValueError(why)
    noting(Problem("field", name, why))
    return None


def _status(status: Any, noting: Noting | None) -> str:
    """Raises ValueError for one that MLflow does not know, or notes it."""
    if status is None or status in STATUSES:
        return status or RUNNING
    why = f"status {ascii(status)[:40]} is not one that MLflow knows"
    if noting is None:
        raise ValueError(why)
    noting(Problem("field", "status", why))
    return RUNNING


def _edges(inputs: "Table", source: str, destination: str) -> "tuple[ColumnElement[bool], ...]":
    return inputs.c.source_type == source, inputs.c.destination_type == destination


def parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Pieces that one statement may take."""
    for start in range(0, len(values), PAGE):
        yield values[start : start + PAGE]


def numbers(experiment_ids: Iterable[str]) -> list[int]:
    """Ids that a database can have: others are of another workspace, and there is nothing of them."""
    numbers = (int(text) for text in experiment_ids if text.isascii() and text.isdecimal())
    return [number for number in numbers if number <= LARGEST_INTEGER]


def _compact(lists: Iterable[list[Any]]) -> "pa.Array":
    import pyarrow as pa

    arrays = [pa.array(some, pa.string()) for some in lists]
    return pa.concat_arrays(arrays) if arrays else pa.array([], pa.string())
