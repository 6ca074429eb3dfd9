"""Keys that are one to MySQL, as "lr" and "LR" are to the collation that it has by default: the first one stays.

The value of the last overwrites its own. That is looked for after the writing, within the transaction: raises Unfit
with those that are not there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runsync.errors import RequestRefused
from runsync.model.run import DatasetInput, ModelLink, Run
from runsync.workspaces.direct.misfits import INPUT_TAG, Misfit, Unfit
from runsync.workspaces.sql.read import parts

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Table

WHY = "to this database it is the same as another one"
_KINDS = {"params": "param", "tags": "tag", "latest_metrics": "metric"}


def misfits_of(connection: "Connection", table: "Table", keys: Mapping[str, Iterable[str]]) -> list[Misfit]:
    """Params, tags or metrics by run id: gives them, as those of several tables are told together."""
    lost = _not_there(connection, table, keys)
    return [Misfit(_KINDS[table.name], key, f"{WHY} of this run") for _, key in lost]


def _not_there(
    connection: "Connection", table: "Table", keys: Mapping[str, Iterable[str]]
) -> Iterator[tuple[str, str]]:
    """Those of the keys, each with its run, that no row has as they are spelled."""
    from sqlalchemy import select

    asked = select(table.c.run_uuid, table.c.key).where(table.c.run_uuid.in_(list(keys)))
    there = {(run_id, key) for run_id, key in connection.execute(asked)}
    return ((run_id, key) for run_id, some in keys.items() for key in some if (run_id, key) not in there)


def require_run_tags(connection: "Connection", table: "Table", keys: Mapping[str, Iterable[str]]) -> None:
    """Of runs, by their ids; tells with which tag one is the same."""
    from sqlalchemy import select

    lost = []
    for run_id, key in _not_there(connection, table, keys):
        here = (table.c.run_uuid == run_id, table.c.key == key)
        other = connection.execute(select(table.c.key).where(*here)).scalar()
        lost.append(Misfit("tag", key, f"to this database it is the same as “{other}”, so nothing was changed"))
    if lost:
        raise Unfit(lost)


def require_tags(connection: "Connection", table: "Table", experiment: int, tags: Iterable[str]) -> None:
    """Of an experiment."""
    from sqlalchemy import select

    there = set(connection.execute(select(table.c.key).where(table.c.experiment_id == experiment)).scalars())
    if lost := [Misfit("tag", key, f"{WHY} of this experiment") for key in tags if key not in there]:
        raise Unfit(lost)


def require_input_tags(connection: "Connection", table: "Table", used: Sequence[tuple[str, DatasetInput]]) -> None:
    """Of datasets, each with the id of the input that it is."""
    from sqlalchemy import select

    ids = [id for id, dataset in used if dataset.tags]
    asked = select(table.c.input_uuid, table.c.name).where(table.c.input_uuid.in_(ids))
    there = {(id, name) for id, name in connection.execute(asked)}
    lost = [
        Misfit(INPUT_TAG, name, f"{WHY} of dataset “{dataset.name}”", dataset)
        for id, dataset in used
        for name in dataset.tags
        if (id, name) not in there
    ]
    if lost:
        raise Unfit(lost)


def require_links(connection: "Connection", table: "Table", runs: Sequence[Run]) -> None:
    """Models that runs read or wrote."""
    from sqlalchemy import select

    ids = [run.run_id for run in runs]
    columns = (table.c.source_type, table.c.source_id, table.c.destination_id)
    asked = select(*columns).where(table.c.source_type.in_(("RUN_INPUT", "RUN_OUTPUT")), table.c.source_id.in_(ids))
    there = {tuple(row) for row in connection.execute(asked)}
    if lost := [misfit for run in runs for misfit in _lost_links(run, there)]:
        raise Unfit(lost)


def require_rows(
    connection: "Connection",
    table: "Table",
    key: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    here: "Sequence[ColumnElement[bool]]",
) -> None:
    """Rows of models, which are known by these columns: the first one is their model's, the last one is told."""
    from sqlalchemy import select

    columns = [table.c[name] for name in key]
    wanted = {tuple(row[name] for name in key) for row in rows}
    there = set()
    for some in parts(sorted({row[0] for row in wanted})):
        there |= {tuple(row) for row in connection.execute(select(*columns).where(columns[0].in_(some), *here))}
    if lost := sorted(wanted - there):
        raise RequestRefused(f"“{lost[0][-1]}”: {WHY} of “{lost[0][0]}”, so nothing of it was written")


def _lost_links(run: Run, there: set[tuple[str, ...]]) -> Iterator[Misfit]:
    kinds: tuple[tuple[str, tuple[ModelLink, ...]], ...] = (("input", run.model_inputs), ("output", run.model_outputs))
    for kind, links in kinds:
        for link in links:
            if (f"RUN_{kind.upper()}", run.run_id, link.model_id) not in there:
                yield Misfit(kind, link.model_id, f"{WHY} of this run", link)
