"""Scorers in the database, with their versions and what they score online."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runsync.errors import RequestRefused
from runsync.kinds.scorers import OnlineScoring, Scorer, ScorerVersion, endpoint_of, with_endpoint
from runsync.model.times import now
from runsync.workspaces.sql.documents import Child, Row, Rows, Shape
from runsync.workspaces.sql.part import Part

if TYPE_CHECKING:
    from sqlalchemy import Connection

ENDPOINTS, BINDINGS = "endpoints", "endpoint_bindings"
_OF_SCORER = "scorer"


class Scorers(Shape[Scorer]):
    """See `Shape`. A scorer whose model is an endpoint of the gateway has its id here, and its name elsewhere."""

    table = "scorers"
    id = "scorer_id"
    children = (
        Child("scorer_versions", "scorer_id", ("scorer_version",)),
        Child("online_scoring_configs", "scorer_id", ("online_scoring_config_id",)),
    )

    def item(self, row: Row, children: Rows) -> Scorer:
        """See `Shape`."""
        versions = (
            ScorerVersion(one["scorer_version"], one["serialized_scorer"], one["creation_time"])
            for one in children["scorer_versions"]
        )
        online = (
            OnlineScoring(one["online_scoring_config_id"], one["sample_rate"], one["filter_string"] or "")
            for one in children["online_scoring_configs"]
        )
        told = (row["scorer_id"], str(row["experiment_id"]), row["scorer_name"])
        return Scorer(*told, tuple(versions), tuple(online))

    def rows(self, item: Scorer) -> Rows:
        """See `Shape`."""
        id, home = item.scorer_id, int(item.experiment_id)
        versions = [
            {
                "scorer_id": id,
                "scorer_version": one.version,
                "serialized_scorer": one.serialized,
                "creation_time": one.created_at,
            }
            for one in item.versions
        ]
        online = [
            {
                "online_scoring_config_id": one.id,
                "scorer_id": id,
                "experiment_id": home,
                "sample_rate": one.sample_rate,
                "filter_string": one.filter_string or None,
            }
            for one in item.online
        ]
        scorer = {"scorer_id": id, "experiment_id": home, "scorer_name": item.name}
        return {"scorers": [scorer], "scorer_versions": versions, "online_scoring_configs": online}

    def prepared(self, part: Part, connection: "Connection", item: Scorer) -> Scorer:
        """See `Shape`. The endpoint of the last version knows the scorer that uses it."""
        ids = {name: id for id, name in _endpoints(part, connection).items()}
        for one in item.versions:
            if (name := endpoint_of(one.serialized)) and name not in ids and name not in ids.values():
                raise RequestRefused(f"its model is the gateway endpoint “{name}”, which the target does not have")
        last = endpoint_of(item.versions[-1].serialized) if item.versions else ""
        self._bind(part, connection, item, ids.get(last, last))
        return _with_endpoints(item, ids)

    def read(self, part: Part, connection: "Connection", items: Sequence[Scorer]) -> Sequence[Scorer]:
        """See `Shape`."""
        if not any(endpoint_of(one.serialized) for item in items for one in item.versions):
            return items
        names = _endpoints(part, connection)
        return [_with_endpoints(item, names) for item in items]

    def _bind(self, part: Part, connection: "Connection", item: Scorer, endpoint_id: str) -> None:
        """As `SqlAlchemyStore.register_scorer` does."""
        from runsync.workspaces.sql.upsert import upsert

        if not part.has(BINDINGS):
            return
        table = part.table(BINDINGS)
        key = {"resource_type": _OF_SCORER, "resource_id": item.scorer_id}
        if not endpoint_id:
            part.delete(connection, table, tuple(key), [key])
            return
        others = table.delete().where(table.c.endpoint_id != endpoint_id, *(table.c[k] == v for k, v in key.items()))
        connection.execute(others)
        times = {"created_at": now(), "last_updated_at": now()}
        row = {**key, "endpoint_id": endpoint_id, "display_name": item.name, **times}
        connection.execute(upsert(part.database.kind, table), [part.fitting(table, row)])


def _with_endpoints(item: Scorer, names: Mapping[str, str]) -> Scorer:
    versions = (replace(one, serialized=with_endpoint(one.serialized, names)) for one in item.versions)
    return replace(item, versions=tuple(versions))


def _endpoints(part: Part, connection: "Connection") -> dict[str, str]:
    """The names of the endpoints of the gateway, by their ids."""
    from sqlalchemy import select

    if not part.has(ENDPOINTS):
        return {}
    table = part.table(ENDPOINTS)
    asked = select(table.c.endpoint_id, table.c.name).where(*part.here(table))
    return {row.endpoint_id: row.name for row in connection.execute(asked)}
