"""One database: a snapshot that all reading happens in, and transactions of their own for writing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, TypeVar

from runsync.errors import Interrupted, RunsyncError, WrongUsage
from runsync.workspaces.sql import aside, connect, faults
from runsync.workspaces.sql.address import MYSQL, POSTGRESQL, SQLITE, DatabaseAddress
from runsync.workspaces.sql.snapshot import Snapshot

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

T = TypeVar("T")

TRIES = 3
"""How often a transaction is begun that another one gets in the way of."""


class Database:
    """Reads in one snapshot until `refresh`; writes in transactions, one at a time. Safe for many threads."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.address = address
        self.kind = address.kind
        self._to_read = connect.engine(address, read_only=True)
        self._to_write = connect.engine(address, read_only=False)
        self._beginning = Lock()
        self._writing = RLock()
        self._snapshot: Snapshot | None = None
        self._writer: Connection | None = None
        self._closed = False
        self._is_writing = False

    @contextmanager
    def held(self) -> Iterator[Snapshot]:
        """The present snapshot, which stays as it is until this ends, whatever `refresh` does."""
        with self.told():
            with self._beginning:
                if self._snapshot is None:
                    self._snapshot = self._begin()
                snapshot = self._snapshot
                holding = snapshot.held()
                holding.__enter__()
            try:
                yield snapshot
            finally:
                holding.__exit__(None, None, None)
                if self._is_writing and self.kind == SQLITE:
                    self.refresh()  # the commit waits for it

    @contextmanager
    def reading(self) -> "Iterator[Connection]":
        """The snapshot, for a short while: other threads wait for it."""
        with self.held() as snapshot, snapshot.used() as connection:
            yield connection

    @contextmanager
    def writing(self) -> "Iterator[Connection]":
        """A transaction: committed at the end, rolled back on any error."""
        with self._writing, self.told():
            connection = self._writable()
            self._is_writing = True
            if self.kind == SQLITE:
                self.refresh()  # without a write-ahead log, a commit waits until nobody reads
            try:
                if self.kind == SQLITE:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                connection.commit()
            except BaseException:
                self._writer = None
                with suppress(Exception):
                    connection.rollback()
                with suppress(Exception):
                    connection.close()
                raise
            finally:
                self._is_writing = False

    def transact(self, act: "Callable[[Connection], T]", tries: int = TRIES) -> T:
        """Does something in a transaction, which is begun again when others got in its way (a deadlock, a lock that was
        not to be had in time). Raises Busy when they always do."""
        while True:
            tries -= 1
            try:
                with self.writing() as connection:
                    return act(connection)
            except faults.Busy:
                if tries <= 0:
                    raise

    def refresh(self) -> None:
        """Reading begins a new snapshot."""
        with self._beginning:
            if self._snapshot is not None:
                self._snapshot.retire()
                self._snapshot = None

    def begin_again(self) -> None:
        """After a statement that was refused, which ends a transaction of PostgreSQL: a new one, and a new snapshot."""
        if self.kind == POSTGRESQL:
            self.refresh()

    def close(self) -> None:
        """Lets go of all connections; whoever uses one gets Interrupted."""
        self._closed = True
        snapshot, writer = self._snapshot, self._writer
        if snapshot is not None and snapshot.is_busy():
            self._cancel(snapshot.connection)
        if writer is not None and not self._writing.acquire(blocking=False):
            self._cancel(writer)
            self._writing.acquire()
        self.refresh()
        if self._writer is not None:
            connection, self._writer = self._writer, None
            with suppress(Exception):
                connection.close()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turns what SQLAlchemy and drivers raise into this program's own errors."""
        if self._closed:
            raise Interrupted("it was stopped")
        try:
            yield
        except RunsyncError:
            raise
        except Exception as error:
            if self._closed:
                raise Interrupted("it was stopped") from None
            if not faults.is_of_a_database(error):
                raise
            raise faults.translated(error, self.address) from None

    def _begin(self) -> Snapshot:
        connection = self._connected()
        if self.kind == SQLITE:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")  # only now it holds the snapshot
        elif self.kind == MYSQL:
            connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        snapshot = Snapshot(connection)
        if self.kind == SQLITE and not aside.has_log(connection):
            aside.watch(snapshot, Path(self.address.database))
        return snapshot

    def _connected(self) -> "Connection":
        connection = self._connect(self._to_read)
        if self.kind == POSTGRESQL:
            connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._settle(connection)
        return connection

    def _connect(self, engine: "Engine") -> "Connection":
        try:
            return engine.connect()
        except (TypeError, ValueError) as error:
            raise WrongUsage(
                f"{self.address.printable}: its driver does not take the options behind ? ({error})"
            ) from None

    def _settle(self, connection: "Connection") -> None:
        for statement in connect.session_settings(self.address):
            connection.exec_driver_sql(statement)
        connection.commit()

    def _writable(self) -> "Connection":
        if self._writer is None:
            self._writer = self._connect(self._to_write)
            self._settle(self._writer)
        return self._writer

    def _cancel(self, connection: "Connection") -> None:
        with suppress(Exception):
            driver: Any = connection.connection.driver_connection
            if self.kind == SQLITE:
                driver.interrupt()
            elif self.kind == POSTGRESQL:
                driver.cancel()
            else:
                driver._sock.shutdown(2)  # PyMySQL has no way to cancel from another thread
