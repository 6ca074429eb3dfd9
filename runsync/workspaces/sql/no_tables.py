"""A database that MLflow has made nothing in yet: what is said of it to who would read it, and to who would write."""

from runsync.errors import WorkspaceError
from runsync.workspaces.sql.address import POSTGRESQL, DatabaseAddress

OLDEST = "3.14"
"""The MLflow whose `db upgrade` takes an empty database, and those after it; before, it wants the tables of 0.8."""


class NoTables(WorkspaceError):
    """A database that is empty, or is not there."""

    topic = "store"

    def __init__(self, told: str, reading: str, first: str, by_hand: str) -> None:
        super().__init__(f"{told}: {reading}")
        self._told = told
        self._first = first
        self._by_hand = by_hand

    @property
    def told(self) -> str:
        """See `WorkspaceError`."""
        return self._told

    def remedy(self, option: str) -> str:
        """How to make it."""
        return f"{self._first}have its tables made by {option}, or by MLflow {OLDEST} or newer: {self._by_hand}"

    def to_be_written(self) -> WorkspaceError:
        """The same for who would write to it, by a command that has --init."""
        return WorkspaceError(f"{self.told}: {self.remedy('--init')}")


def empty(address: DatabaseAddress) -> NoTables:
    """There are no tables in it."""
    return _no_tables(address, " is empty", "MLflow has not written to it yet", "")


def no_file(address: DatabaseAddress) -> NoTables:
    """There is no such SQLite file."""
    return _no_tables(address, ": there is no such file", "correct its name", "correct its name, or ")


def no_database(address: DatabaseAddress) -> NoTables:
    """The server has no such database."""
    mark = '"' if address.kind == POSTGRESQL else "`"
    create = f"correct its name, or create it (CREATE DATABASE {mark}{address.database}{mark}) and "
    return _no_tables(address, ": there is no such database", "correct its name", create)


def _no_tables(address: DatabaseAddress, what: str, reading: str, first: str) -> NoTables:
    return NoTables(address.printable + what, reading, first, f"mlflow db upgrade {address.for_mlflow}")
