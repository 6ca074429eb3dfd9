"""Rows straight into the SQLite file of a server that runs: what REST refuses, and what would take it minutes."""

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from support.servers import MlflowServer

START = 1_700_000_000_000

Value = tuple[int, int, float]
"""Timestamp in milliseconds, step, value."""


class Database:
    """The tables of runs, which are the same in MLflow 2 and 3."""

    def __init__(self, server: MlflowServer) -> None:
        self._path: Path = server.folder / "mlflow.db"

    def add_run(self, experiment_id: str, name: str, *, start_time: int = START) -> str:
        """One finished run; its id."""
        return self.add_runs(experiment_id, [(name, start_time)])[0]

    def add_runs(self, experiment_id: str, runs: Sequence[tuple[str, int]]) -> list[str]:
        """Finished runs of these names and start times; their ids."""
        ids = [uuid.uuid4().hex for _ in runs]
        with self._open() as database:
            asked = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
            (location,) = database.execute(asked, (experiment_id,)).fetchone()
            database.executemany(
                "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status,"
                " start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
                " VALUES (?, ?, 'UNKNOWN', '', '', 'ada', 'FINISHED', ?, ?, '', 'active', ?, ?)",
                [
                    (run_id, name, start, start + 60_000, f"{location}/{run_id}/artifacts", experiment_id)
                    for run_id, (name, start) in zip(ids, runs, strict=True)
                ],
            )
        for run_id, (name, _) in zip(ids, runs, strict=True):
            self.set_tag(run_id, "mlflow.runName", name)
        return ids

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Sets one tag."""
        self.execute("INSERT OR REPLACE INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", key, value, run_id)

    def set_param(self, run_id: str, key: str, value: str) -> None:
        """Sets one param, also one that is there: MLflow itself never changes them."""
        self.execute("INSERT OR REPLACE INTO params (key, value, run_uuid) VALUES (?, ?, ?)", key, value, run_id)

    def add_points(self, run_id: str, key: str, points: Iterable[Value]) -> None:
        """Logs points of one key; no NaN."""
        with self._open() as database:
            database.executemany(
                "INSERT INTO metrics (key, timestamp, step, value, run_uuid, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
                ((key, timestamp, step, value, run_id) for timestamp, step, value in points),
            )
            database.execute(
                "INSERT OR REPLACE INTO latest_metrics (key, timestamp, step, value, run_uuid, is_nan)"
                " SELECT key, timestamp, step, value, run_uuid, is_nan FROM metrics WHERE run_uuid = ? AND key = ?"
                " ORDER BY step DESC, timestamp DESC, value DESC LIMIT 1",
                (run_id, key),
            )

    def points(self, run_id: str, key: str) -> list[Value]:
        """All points of one key, in MLflow's order."""
        asked = "SELECT timestamp, step, value FROM metrics WHERE run_uuid = ? AND key = ? ORDER BY 1, 2, 3"
        with self._open() as database:
            return database.execute(asked, (run_id, key)).fetchall()

    def purge(self, run_id: str) -> None:
        """Takes a run away for good, as `mlflow gc` does."""
        for table in ("latest_metrics", "metrics", "params", "tags", "runs"):
            self.execute(f"DELETE FROM {table} WHERE run_uuid = ?", run_id)

    def sizes(self) -> dict[str, int]:
        """How many rows every table has."""
        with self._open() as database:
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}

    def execute(self, statement: str, *values: object) -> None:
        """One statement that changes something."""
        with self._open() as database:
            database.execute(statement, values)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=300)) as database, database:
            yield database
