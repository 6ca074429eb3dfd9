"""Fresh databases on servers that run already, made by a real `mlflow db upgrade` and dropped afterwards."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import sqlalchemy
from support.forks import clean_environment

DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
MLFLOW_DRIVERS = {"postgresql": "postgresql", "mysql": "mysql+pymysql"}


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """A new, empty database on the server at a URL such as `postgresql://postgres@127.0.0.1:5432`; its own URL."""
    name = f"runsync_{uuid.uuid4().hex}"
    home = {"postgresql": "postgres"}.get(_kind(server), "")
    engine = sqlalchemy.create_engine(_at(server, home, DRIVERS), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
        try:
            yield _at(server, name, {})
        finally:
            with engine.connect() as connection:
                force = " WITH (FORCE)" if _kind(server) == "postgresql" else ""
                connection.execute(sqlalchemy.text(f"DROP DATABASE {name}{force}"))
    finally:
        engine.dispose()


def upgrade(mlflow: Path, url: str) -> None:
    """Makes (or brings up to date) MLflow's tables."""
    kind = _kind(url)
    shown = url if kind == "sqlite" else _at(url, urlsplit(url).path.lstrip("/"), MLFLOW_DRIVERS)
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true"}
    subprocess.run([mlflow, "db", "upgrade", shown], env=clean_environment() | quiet, capture_output=True, check=True)


def _kind(url: str) -> str:
    return urlsplit(url).scheme.partition("+")[0]


def _at(url: str, database: str, drivers: dict[str, str]) -> str:
    parts = urlsplit(url)
    return urlunsplit((drivers.get(parts.scheme, parts.scheme), parts.netloc, f"/{database}", parts.query, ""))
