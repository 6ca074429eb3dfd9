"""What a test has left on a server that tests share, taken out of its database: experiments, registered models, prompts
and evaluation datasets.

Else every list of experiments gets longer through a session, and every search for runs slower.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

_OF_REGISTRY = ("registered_model", "model_version")
"""How the names of its tables begin; in each a model's name is in the column `name`."""


def purge(database: Path, mark: str) -> None:
    """Removes what has `mark` in its name from MLflow's SQLite file, with all that names it."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        for name in sorted(name for name, _ in _tables(connection) if name.startswith(_OF_REGISTRY)):
            connection.execute(f"DELETE FROM {name} WHERE instr(name, ?)", (mark,))
        named = "SELECT experiment_id FROM experiments WHERE instr(name, ?)"
        gone = [str(row[0]) for row in connection.execute(named, (mark,))]
        tables = dict(_tables(connection))
        _purge_datasets(connection, tables, mark)
        if gone:
            experiments = ",".join(gone)
            runs = f"SELECT run_uuid FROM runs WHERE experiment_id IN ({experiments})"
            traces = f"SELECT request_id FROM trace_info WHERE experiment_id IN ({experiments})"
            places = (
                ("run_uuid", runs, "runs"),
                ("request_id", traces, "trace_info"),
                ("experiment_id", experiments, "experiments"),
            )
            for column, ids, last in places:
                naming = [name for name, columns in tables.items() if column in columns and last in tables]
                for name in sorted(naming, key=lambda name: (name == last, name)):
                    connection.execute(f"DELETE FROM {name} WHERE {column} IN ({ids})")


def _purge_datasets(connection: sqlite3.Connection, tables: Mapping[str, set[str]], mark: str) -> None:
    """Else they belong to the next experiment that gets the id of theirs."""
    if "evaluation_datasets" not in tables:
        return
    named = "SELECT dataset_id FROM evaluation_datasets WHERE instr(name, ?)"
    for (id,) in connection.execute(named, (mark,)).fetchall():
        for name in [name for name, columns in tables.items() if "dataset_id" in columns]:
            connection.execute(f"DELETE FROM {name} WHERE dataset_id = ?", (id,))
        connection.execute("DELETE FROM entity_associations WHERE source_id = ?", (id,))


def purge_one(database: Path, column: str, id: str) -> None:
    """Removes one run (`run_uuid`) or logged model (`model_id`) as `mlflow gc` does, but leaves its files."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        for name in [name for name, columns in _tables(connection) if column in columns]:
            connection.execute(f"DELETE FROM {name} WHERE {column} = ?", (id,))


def _tables(connection: sqlite3.Connection) -> Iterator[tuple[str, set[str]]]:
    """The names of the tables, each with its columns."""
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        yield name, {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
