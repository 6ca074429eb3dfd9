"""What a database driver raised, said so that a user can act on it; never with a statement or a password."""

import re
from typing import Any

from runsync.errors import AccessDenied, RequestRefused, RunsyncError, WorkspaceUnreachable, WrongUsage
from runsync.extras import how_to_install
from runsync.workspaces.sql.address import MYSQL, POSTGRESQL, SQLITE, DatabaseAddress
from runsync.workspaces.sql.no_tables import no_database

LONGEST = 1000
"""Characters of what a driver said: it may quote a value of any length."""
_DENIED = re.compile(
    r"password authentication failed|no pg_hba.conf entry|no password supplied|permission denied|access denied"
    r"|command denied|role .* does not exist|attempt to write a readonly database|read-only|read_only",
    re.IGNORECASE,
)
_NO_DATABASE = re.compile(r"database \"[^\"]*\" does not exist|unknown database", re.IGNORECASE)
_LOCKED = re.compile(
    r"database (table )?is locked|lock wait timeout|lock timeout|deadlock|could not serialize"
    r"|record has changed since last read",  # MariaDB
    re.IGNORECASE,
)
_TABLE_MISSING = re.compile(r"no such (table|column)|relation .* does not exist|doesn't exist", re.IGNORECASE)

_NO_ROOM = re.compile(r"database or disk is full|no space left on device", re.IGNORECASE)
_FULL = ((1021,), (1114,))
"""MySQL and MariaDB: disk full, table full."""


class Busy(WorkspaceUnreachable):
    """Another program holds what is asked for; it may be asked again."""


class Unanswered(WorkspaceUnreachable):
    """Nobody answers at the address, or not any more."""


def translated(error: BaseException, address: DatabaseAddress) -> RunsyncError:
    """The error of this program that an error of SQLAlchemy or a driver amounts to."""
    text = reason(error)[:LONGEST]
    where = address.printable
    if _lacks_cryptography(error):
        return MissingDriver(address, "cryptography")
    if "file is not a database" in text or "file is encrypted" in text:
        return WorkspaceUnreachable(f"{where} is no SQLite database")
    if "malformed" in text:
        return WorkspaceUnreachable(f"{where}: this SQLite file is damaged ({text}): put back a copy of it")
    if "unable to open database file" in text:
        return WorkspaceUnreachable(f"{where} cannot be opened: look at the rights of the file and its folder")
    if _NO_DATABASE.search(text):
        return no_database(address)
    if _DENIED.search(text):
        return AccessDenied(f"{where} denied it: {text}")
    if "Could not decode to UTF-8" in text or isinstance(error, UnicodeDecodeError):
        return RequestRefused(f"{where} holds text that is not UTF-8 ({text})")
    if _is_full(error, text):
        return RunsyncError(f"{where} has no room left ({text}): make room where it lies, then run it again")
    if _LOCKED.search(text):
        return Busy(f"{where} is held by another program ({text}): run it again, or when that has ended")
    if _TABLE_MISSING.search(text):
        return WrongUsage(f"{where} is not as MLflow makes it ({text})")
    if is_refusal(error):
        return RequestRefused(f"{where} refused it: {text}")
    return Unanswered(f"{where} gives no answer: {text}; check the address and that it runs; --wait 5m waits for it")


def _is_full(error: BaseException, text: str) -> bool:
    inner = _driver_error(error)
    return getattr(inner, "sqlstate", "") == "53100" or inner.args[:1] in _FULL or bool(_NO_ROOM.search(text))


def is_refusal(error: BaseException) -> bool:
    """Whether it is about the values that were sent, not about the database."""
    from sqlalchemy import exc

    if isinstance(error, exc.IntegrityError | exc.DataError | OverflowError | UnicodeEncodeError):
        return True
    inner = _driver_error(error)
    # psycopg has a class of its own for each state; PyMySQL sorts some numbers strangely.
    bases = {base.__name__ for base in type(inner).__mro__}
    return bool(bases & {"IntegrityError", "DataError"}) or inner.args[:1] in {(number,) for number in _OF_VALUES}


_OF_VALUES = (1048, 1062, 1264, 1292, 1366, 1406, 1452, 3819, 4025)
"""MySQL and MariaDB: null, duplicate, out of range, wrong, not in the character set, too long, constraints."""


def reason(error: BaseException) -> str:
    """The first line of what the driver said."""
    inner = _driver_error(error)
    arguments: tuple[Any, ...] = getattr(inner, "args", ())
    # PyMySQL gives (number, text).
    said = arguments[1] if len(arguments) > 1 and isinstance(arguments[0], int) else inner
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    text = lines[0] if lines else type(inner).__name__
    # psycopg tells every address it tried; one is enough.
    return re.sub(r"^connection failed: ", "", text)


def _driver_error(error: BaseException) -> Any:
    return getattr(error, "orig", None) or error


class MissingDriver(WrongUsage):
    """SQLAlchemy or a driver (`part`) is not installed; `extra` of runsync brings it."""

    def __init__(self, address: DatabaseAddress, part: str, extra: str = "sql") -> None:
        driver = {
            SQLITE: "SQLAlchemy",
            POSTGRESQL: "SQLAlchemy and psycopg",
            MYSQL: "SQLAlchemy and PyMySQL, with cryptography",
        }[address.kind]
        super().__init__(f"{address.printable} needs {driver} ({part} is missing): {how_to_install(extra)}")
        self.part = part


def _lacks_cryptography(error: BaseException) -> bool:
    """PyMySQL wants it for the passwords of MySQL 8, and says so when it logs in (pymysql/_auth.py)."""
    return isinstance(error, RuntimeError) and "cryptography" in str(error)


def is_of_a_database(error: BaseException) -> bool:
    """Whether SQLAlchemy or a driver raised it."""
    from sqlalchemy.exc import SQLAlchemyError

    drivers = {"sqlite3", "psycopg", "pymysql"}
    if isinstance(error, SQLAlchemyError | OverflowError | UnicodeError) or _lacks_cryptography(error):
        return True
    return type(error).__module__.partition(".")[0] in drivers
