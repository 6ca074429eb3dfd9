"""What a user typed for a database: an MLflow backend URI, with `?workspace=NAME` for one of MLflow's workspaces."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from runsync.errors import WrongUsage
from runsync.secrecy import keep

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
MYSQL = "mysql"

DEFAULT_WORKSPACE = "default"

_KINDS = {"sqlite": SQLITE, "postgresql": POSTGRESQL, "postgres": POSTGRESQL, "mysql": MYSQL, "mariadb": MYSQL}
_KNOWN_TO_MLFLOW = {*_KINDS, "mssql"}
_FOR_SQLALCHEMY = {"mysql": "mysql+pymysql", "mariadb": "mysql+pymysql", "postgres": "postgresql"}
_PORTS = {POSTGRESQL: 5432, MYSQL: 3306}
_SHAPE = re.compile(
    # A password may hold a bare @ or /, as SQLAlchemy lets it: the last @ is the one before the host.
    r"(?P<scheme>[^:/]+)://(?:(?P<user>[^:/@]*)(?::(?P<password>[^?]*))?@)?"
    r"(?P<host>\[[^\]]*\]|[^:/?@]*)(?::(?P<port>\d+))?(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)

_CUT = re.compile(r"(?!sqlite)[^:/]+://[^?@]*\?[^=@]*@")
"""A password that a bare ? cuts off: behind it options would stand, which have a = first."""


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """`database` is a file for SQLite; `options` go to the driver; `workspace` "" is MLflow's default one."""

    kind: str
    database: str
    host: str = ""
    port: int | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    workspace: str = ""
    options: Mapping[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        keep(self.password, self.user)
        for name, value in (self.options or {}).items():
            if "pass" in name or "token" in name:  # password, sslpassword, passwd
                keep(value, self.user)

    @property
    def printable(self) -> str:
        """As it stands in reports and manifests: without password and options."""
        query = f"?workspace={self.workspace}" if self.workspace else ""
        if self.kind == SQLITE:
            return f"sqlite:///{self.database}{query}"
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.kind}://{user}{self.host}{port}/{self.database}{query}"

    @property
    def whereabouts(self) -> tuple[str, ...]:
        """The same for two spellings of one database."""
        workspace = self.workspace or DEFAULT_WORKSPACE
        if self.kind == SQLITE:
            return (SQLITE, str(Path(self.database).resolve()), workspace)
        host = self.host.lower()
        host = "localhost" if host in {"", "127.0.0.1", "[::1]", "::1"} else host
        port = str(self.port or _PORTS[self.kind])
        return (self.kind, host, port, self.database, workspace)

    @property
    def for_mlflow(self) -> str:
        """How a user would name it to an `mlflow` command, without the password."""
        return with_driver(self.printable.partition("?")[0])


def is_database(where: str) -> bool:
    """Whether it is spelled as an MLflow backend URI of a database."""
    scheme, sign, _ = where.partition("://")
    return bool(sign) and scheme.partition("+")[0].lower() in _KNOWN_TO_MLFLOW


def with_driver(url: str) -> str:
    """A URI as MLflow's SQLAlchemy takes it: `mysql://` alone means a driver there that hardly anybody has installed,
    and `postgres://` nothing."""
    scheme, sign, rest = url.partition("://")
    return _FOR_SQLALCHEMY.get(scheme, scheme) + sign + rest


def parse(where: str) -> DatabaseAddress:
    """Splits a URI. Raises WrongUsage."""
    found = _SHAPE.fullmatch(where)
    if _CUT.match(where) and not (found and found["user"]):
        raise WrongUsage(
            "that address has a ? before its @: in a user or password it is written %3F (and / as %2F, # as %23, "
            "% as %25)"
        )
    if not found:
        raise WrongUsage(
            "that address is no database URI: write sqlite:///FILE, postgresql://USER@HOST/NAME or mysql://…"
        )
    kind = _KINDS.get(found["scheme"].partition("+")[0].lower())
    if kind is None:
        raise WrongUsage(f"{found['scheme']}: runsync reads SQLite, PostgreSQL, MySQL and MariaDB")
    options = dict(parse_qsl(found["query"] or "", keep_blank_values=True))
    workspace = options.pop("workspace", "")
    database = unquote(found["database"] or "") if kind != SQLITE else found["database"] or ""
    if kind == SQLITE:
        return _sqlite(database, found["host"] or "", options, workspace)
    if not database:
        raise WrongUsage(f"that address names no database: write {kind}://USER@HOST/NAME")
    return DatabaseAddress(
        kind,
        database,
        unquote(found["host"] or ""),
        int(found["port"]) if found["port"] else None,
        unquote(found["user"] or ""),
        unquote(found["password"] or ""),
        workspace,
        options,
    )


def _sqlite(database: str, host: str, options: Mapping[str, str], workspace: str) -> DatabaseAddress:
    if host:
        raise WrongUsage("that address is no SQLite URI: write sqlite:///FILE, with four slashes for an absolute path")
    if database in {"", ":memory:"} or database.startswith("file:"):
        raise WrongUsage("that address names no SQLite file: write sqlite:///FILE")
    return DatabaseAddress(SQLITE, database, workspace=workspace, options=options)
