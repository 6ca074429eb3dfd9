"""Experiments into the database."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runsync.errors import TAKEN, RequestRefused
from runsync.model.experiment import Experiment
from runsync.workspaces.direct.misfits import Unfit
from runsync.workspaces.direct.store import ExperimentChange
from runsync.workspaces.sql.address import DEFAULT_WORKSPACE, MYSQL, POSTGRESQL, SQLITE
from runsync.workspaces.sql.database import TRIES, Database
from runsync.workspaces.sql.fits import Fits
from runsync.workspaces.sql.one_key import require_tags
from runsync.workspaces.sql.schema import Schema
from runsync.workspaces.sql.upsert import in_order, upsert

if TYPE_CHECKING:
    from sqlalchemy import Connection

PLACE_FOR_ID = "{experiment_id}"
_GREATEST = 2**31 - 1 - 1_000_000
"""Of an INTEGER column; a million stay free for the experiments that the server will make."""
_GREATEST_OF_SQLITE = 2**63 - 1 - 1_000_000


class ExperimentWriter:
    """Writes to one MLflow workspace of a database."""

    def __init__(self, database: Database, schema: Schema, fits: Fits) -> None:
        self._database = database
        self._fits = fits
        self._table = schema.tables["experiments"]
        self._tags = schema.tables["experiment_tags"]
        self._workspace = database.address.workspace or DEFAULT_WORKSPACE

    def create(self, experiment: Experiment) -> str:
        """Gives its id. Raises Unfit, and RequestRefused where the name is taken."""
        for left in reversed(range(TRIES)):
            try:
                return str(self._database.transact(lambda connection: self._create(connection, experiment)))
            except RequestRefused as error:
                # Else the id was taken by another import, between the look at it and its use.
                if error.code == TAKEN or isinstance(error, Unfit) or not left:
                    raise
        raise AssertionError

    def _create(self, connection: "Connection", experiment: Experiment) -> int:
        self._require_fit(experiment)
        self._require_name(connection, experiment.name)
        now = int(time.time() * 1000)
        times = {"creation_time": now, "last_update_time": now}  # unless the source tells them
        row = times | self._row(experiment) | {"artifact_location": experiment.artifact_location}
        if "workspace" in self._table.c:
            row["workspace"] = self._workspace
        number = self._number(connection, experiment)
        if number is not None:
            row["experiment_id"] = number
        result = connection.execute(self._table.insert(), row)
        given = result.inserted_primary_key
        made = number if number is not None else int(given[0] if given else 0)
        if PLACE_FOR_ID in experiment.artifact_location:
            location = experiment.artifact_location.replace(PLACE_FOR_ID, str(made))
            here = self._table.c.experiment_id == made
            connection.execute(self._table.update().where(here), {"artifact_location": location})
        self._set_tags(connection, made, experiment.tags)
        if number is not None and self._database.kind == POSTGRESQL:
            self._advance(connection)
        return made

    def change(self, change: ExperimentChange) -> None:
        """See `DirectStore.change_experiment`."""
        self._database.transact(lambda connection: self._change(connection, change))

    def _change(self, connection: "Connection", change: ExperimentChange) -> None:
        number, tags = int(change.experiment_id), self._tags
        self._require_fit(change)
        if change.name is not None:
            self._require_name(connection, change.name, number)
        if row := self._row(change):
            connection.execute(self._table.update().where(self._table.c.experiment_id == number), row)
        self._set_tags(connection, number, change.tags)
        if change.untagged:
            here = (tags.c.experiment_id == number, tags.c.key.in_(list(change.untagged)))
            connection.execute(tags.delete().where(*here))

    def _require_fit(self, told: Experiment | ExperimentChange) -> None:
        if misfits := self._fits.of_experiment(told.name, told.tags):
            raise Unfit(misfits)

    def _row(self, told: Experiment | ExperimentChange) -> dict[str, Any]:
        """The columns that it names."""
        row = {
            "name": told.name,
            "lifecycle_stage": told.lifecycle_stage,
            "creation_time": told.creation_time,
            "last_update_time": told.last_update_time,
        }
        return {name: value for name, value in row.items() if value is not None}

    def _require_name(self, connection: "Connection", name: str, own: int | None = None) -> None:
        from sqlalchemy import select

        here = [self._table.c.name == name]
        if "workspace" in self._table.c:
            here.append(self._table.c.workspace == self._workspace)
        columns = select(self._table.c.experiment_id, self._table.c.lifecycle_stage)
        for number, stage in connection.execute(columns.where(*here)):
            if number != own:
                raise RequestRefused(
                    f"experiment “{name}”: the name is taken by experiment {number} ({stage})",
                    400,
                    TAKEN,
                )

    def _number(self, connection: "Connection", experiment: Experiment) -> int | None:
        """The id to give, or None for the database's next one.

        Where there is no experiment 0, a server makes one called “Default”, and does not start when another has that
        name (`SqlAlchemyStore._initialize_store_state`): so it becomes 0.
        """
        if experiment.name == "Default" and self._workspace == DEFAULT_WORKSPACE:
            default = self._free(connection, "0")
            if default is not None:
                return default
        return self._free(connection, experiment.experiment_id)

    def _free(self, connection: "Connection", experiment_id: str) -> int | None:
        """The id as a number, where it is one, fits and is free."""
        from sqlalchemy import select

        if not (experiment_id.isascii() and experiment_id.isdecimal()) or str(int(experiment_id)) != experiment_id:
            return None
        number = int(experiment_id)
        if number > (_GREATEST_OF_SQLITE if self._database.kind == SQLITE else _GREATEST):
            return None
        column = self._table.c.experiment_id
        return None if connection.execute(select(column).where(column == number)).first() else number

    def _set_tags(self, connection: "Connection", number: int, tags: Mapping[str, str]) -> None:
        rows = [{"experiment_id": number, "key": key, "value": value} for key, value in in_order(tags)]
        if rows:
            connection.execute(upsert(self._database.kind, self._tags, ("value",)), rows)
            if self._database.kind == MYSQL:
                require_tags(connection, self._tags, number, tags)

    def _advance(self, connection: "Connection") -> None:
        """Lets PostgreSQL's sequence go on behind the greatest id; it does not look at the table."""
        connection.exec_driver_sql(
            "SELECT setval(place, greatest(most, pg_sequence_last_value(CAST(place AS regclass))))"
            " FROM (SELECT pg_get_serial_sequence('experiments', 'experiment_id') AS place,"
            " (SELECT max(experiment_id) FROM experiments) AS most) AS now WHERE place IS NOT NULL AND most >= 1"
        )
