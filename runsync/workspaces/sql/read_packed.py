"""Metric history of PostgreSQL and MySQL: the server puts many points into one text, which Arrow reads as columns.

A row a point would cost more in the driver than in the database. Points of many runs come with one statement.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runsync.errors import WorkspaceUnreachable
from runsync.workspaces.sql import read_long
from runsync.workspaces.sql.address import POSTGRESQL
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection

AT_ONCE = 200_000
"""Points that one statement asks for."""
LONG = 100_000
"""A run with more points is read by itself, by pages. The text of one metric stays below 7 MB: MySQL's bound is 16."""
RUNS = 500
"""Runs whose points are counted at once."""

_COUNTS = "SELECT run_uuid, count(*) FROM metrics WHERE run_uuid IN :ids GROUP BY run_uuid"
_PACKED = {
    True: "SELECT run_uuid, key, count(*), string_agg(step || ',' || timestamp || ',' ||"
    " CASE WHEN is_nan THEN 'NaN' ELSE CAST(value AS text) END, '\n' ORDER BY timestamp, step, value, is_nan)"
    " FROM metrics WHERE run_uuid IN :ids GROUP BY run_uuid, key",
    # Byte by byte, whatever the collation: "Loss" and "loss" are two. Of an expression, MariaDB would give but 22
    # characters, which are not all the digits of a value: so it is the bare column.
    False: "SELECT run_uuid, CAST(CONVERT(`key` USING utf8mb4) AS BINARY) AS name, count(*), GROUP_CONCAT(step, ',',"
    " timestamp, ',', value, ',', is_nan ORDER BY timestamp, step, value, is_nan SEPARATOR '\n')"
    " FROM metrics WHERE run_uuid IN :ids GROUP BY run_uuid, name",
}


class PackedHistories:
    """Reads ahead: the runs that follow in the order that was told, as many as one statement may give."""

    def __init__(self, database: Database, snapshot: Snapshot, run_ids: Sequence[str]) -> None:
        self._database = database
        self._snapshot = snapshot
        self._run_ids = list(dict.fromkeys(run_ids))
        self._places = {run_id: place for place, run_id in enumerate(self._run_ids)}
        self._counts: dict[str, int] = {}
        self._at_hand: dict[str, list[pa.RecordBatch]] = {}

    def of(self, run_id: str) -> "Iterator[pa.RecordBatch]":
        """The whole history of one run."""
        with self._database.told():
            place = self._places[run_id]
            if run_id not in self._at_hand:
                with self._snapshot.used() as connection:
                    if self._count(connection, place) <= LONG:
                        self._at_hand = self._fetch(connection, self._following(connection, place))
            if run_id in self._at_hand:
                yield from self._at_hand.pop(run_id)
            else:
                yield from read_long.points(self._database.kind, self._snapshot, run_id)

    def _count(self, connection: "Connection", place: int) -> int:
        from sqlalchemy import bindparam, text

        if self._run_ids[place] not in self._counts:
            asked = self._run_ids[place : place + RUNS]
            statement = text(_COUNTS).bindparams(bindparam("ids", expanding=True))
            found: dict[str, int] = dict(connection.execute(statement, {"ids": asked}).all())
            self._counts = {run_id: found.get(run_id, 0) for run_id in asked}
        return self._counts[self._run_ids[place]]

    def _following(self, connection: "Connection", place: int) -> list[str]:
        """Runs from here on that are read together."""
        chosen: list[str] = []
        count = 0
        for run_id in self._run_ids[place:]:
            if run_id not in self._counts or self._counts[run_id] > LONG or count + self._counts[run_id] > AT_ONCE:
                break
            chosen.append(run_id)
            count += self._counts[run_id]
        return chosen

    def _fetch(self, connection: "Connection", run_ids: Sequence[str]) -> "dict[str, list[pa.RecordBatch]]":
        from sqlalchemy import bindparam, text

        from runsync.workspaces.sql import columns

        asked = [run_id for run_id in run_ids if self._counts[run_id]]
        if not asked:
            return {run_id: [] for run_id in run_ids}
        is_postgres = self._database.kind == POSTGRESQL
        statement = text(_PACKED[is_postgres]).bindparams(bindparam("ids", expanding=True))
        pieces = [
            (run_id, _name(key), count, lines)
            for run_id, key, count, lines in connection.execute(statement, {"ids": asked})
        ]
        pieces.sort(key=lambda piece: (self._places[piece[0]], piece[1]))
        points = columns.numbers("\n".join(piece[3] for piece in pieces))
        if len(points) != sum(piece[2] for piece in pieces):
            raise WorkspaceUnreachable(
                f"{self._database.address.printable} cut its answer: raise max_allowed_packet to 16M or more"
            )
        found = _by_run(pieces, points)
        return {run_id: found.get(run_id, []) for run_id in run_ids}


def _by_run(pieces: Sequence[tuple[str, str, int, str]], points: "pa.Table") -> "Mapping[str, list[pa.RecordBatch]]":
    from runsync.workspaces.sql import columns

    keys: dict[str, list[tuple[str, int]]] = {}
    for run_id, key, count, _ in pieces:
        keys.setdefault(run_id, []).append((key, count))
    found = {}
    start = 0
    for run_id, counts in keys.items():
        count = sum(number for _, number in counts)
        found[run_id] = columns.with_keys(points.slice(start, count), counts)
        start += count
    return found


def _name(key: Any) -> str:
    return key if isinstance(key, str) else bytes(key).decode()
