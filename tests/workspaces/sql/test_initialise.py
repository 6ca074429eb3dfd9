"""--init: what is looked at before anything is done, who makes the tables, and what a dry run does instead."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from support import forks
from support.databases import KINDS, Databases

from runsync.bundle.address import Access
from runsync.errors import BundleNotFound, WorkspaceError, WorkspaceUnreachable, WrongUsage
from runsync.extras import how_to_install
from runsync.transfer.import_ import import_
from runsync.transfer.sync import sync
from runsync.workspaces.sql import initialise as module
from runsync.workspaces.sql.address import parse
from runsync.workspaces.sql.initialise import initialise, is_empty
from runsync.workspaces.sql.store import SqlStore, open_store

pytestmark = pytest.mark.long

Open = Callable[[str], SqlStore]
SOURCE = str(ROOT / "examples" / "mlruns")
NOWHERE = "http://127.0.0.1:1"
"""A source that nobody may ask: what is wrong with the target is told first."""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that commands are looked for in first; there is no MLflow beside runsync."""
    monkeypatch.setattr(module, "_version_here", lambda: "")
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


def add(folder: Path, does: str, version: str = "3.17.2") -> None:
    """A command `mlflow` of that version: what it `does` is said in shell."""
    fake = folder / "mlflow"
    fake.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo "mlflow, version {version}"; exit; fi\n{does}\n',
        encoding="utf-8",
    )
    fake.chmod(0o755)


@pytest.fixture
def told(path: Path) -> Path:
    """The file into which the command `mlflow` writes the URI that it is given, and does nothing else."""
    add(path, f'echo "$3" > {path / "told"}')
    return path / "told"


FORKED = """
import os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support import forks
forks.SESSION = {session}
done = forks.run(Path({mlflow!r}), ["-m", "mlflow", *sys.argv[1:]], os.environ, Path.cwd())
sys.stderr.write(done.stderr)
sys.exit(done.returncode)
"""
"""The command `mlflow`, as a fork that has MLflow loaded."""


@pytest.mark.parametrize(
    "is_forked", [pytest.param(True, id="forked"), pytest.param(False, id="started", marks=pytest.mark.slow)]
)
def test_an_empty_database_gets_its_tables(is_forked: bool, databases: Databases, path: Path, opened: Open) -> None:
    database = databases.fresh("sqlite", empty=True)
    assert database.path is not None
    database.path.touch()
    with pytest.raises(WorkspaceError, match="is empty"):
        open_store(database.url)
    if is_forked:
        script = path / "mlflow.py"
        script.write_text(FORKED.format(tests=str(ROOT / "tests"), session=forks.SESSION, mlflow=str(database.mlflow)))
        add(path, f'exec {sys.executable} {script} "$@"')
    else:
        (path / "mlflow").symlink_to(database.mlflow)
    initialise(database.url)
    store = opened(database.url)
    store.check_writable()
    assert store.experiments() == []


def test_a_database_that_has_tables_stays_as_it_is_and_needs_no_mlflow(databases: Databases, path: Path) -> None:
    database = databases.fresh("sqlite")
    assert module.planned(database.url, has_root=False) is None
    initialise(database.url)
    assert list(path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_without_mlflow_the_extra_that_brings_it_is_named_before_anything_is_asked_or_made(
    kind: str, databases: Databases, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(path))
    empty = databases.fresh(kind, empty=True)
    for dry_run in (False, True):
        with pytest.raises(WrongUsage) as raised:
            sync(NOWHERE, empty.url, init=True, dry_run=dry_run, artifacts=False)
        assert str(raised.value) == (
            f"--init needs MLflow 3.14 or newer, with alembic, beside runsync or as mlflow on PATH, and finds "
            f"none: {how_to_install('init')}"
        )
    assert is_empty(parse(empty.url))
    assert empty.path is None or not empty.path.exists()


def test_import_looks_at_it_before_it_opens_the_bundle(path: Path, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path / 'none.db'}"
    add(path, "", "2.22.5")
    with pytest.raises(WrongUsage, match=r"MLflow 3\.14 or newer.*2\.22\.5 is installed: in another"):
        import_(tmp_path / "no-bundle", target, init=True)
    add(path, "", "3.14.0")
    with pytest.raises(BundleNotFound):
        import_(tmp_path / "no-bundle", target, init=True)


def test_without_sqlalchemy_one_command_is_named_that_brings_all(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(WrongUsage) as raised:
        sync(NOWHERE, f"sqlite:///{tmp_path / 'none.db'}", init=True)
    assert how_to_install("init") in str(raised.value)


def test_a_file_that_cannot_be_made_is_told_before_anything_is_asked(told: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WrongUsage, match=r"cannot be made: .*file is no folder that we may write to"):
        sync(NOWHERE, f"sqlite:///{tmp_path / 'file' / 'none.db'}", init=True)
    assert not told.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_run_plans_all_of_it_as_new_and_makes_nothing(kind: str, databases: Databases, told: Path) -> None:
    empty = databases.fresh(kind, empty=True)
    report = sync(SOURCE, empty.url, init=True, dry_run=True, access=Access(artifacts="s3://bucket/art"))
    assert report.exit_code == 0
    assert (report.experiments.created, report.runs.created) == (3, 9)
    assert "its tables are not there yet: --init has MLflow 3.17.2 make them" in report.notes
    planned = import_(ROOT / "examples" / "bundle", empty.url, init=True, dry_run=True, artifacts=False)
    assert planned.runs.created == 4
    assert not told.exists()
    assert is_empty(parse(empty.url))
    assert empty.path is None or not empty.path.exists()


def test_where_artifacts_go_is_asked_before_anything_is_made(databases: Databases, told: Path) -> None:
    empty = databases.fresh("postgres", empty=True)
    for dry_run in (False, True):
        with pytest.raises(WrongUsage, match="say with --artifacts where its server will keep them"):
            sync(NOWHERE, empty.url, init=True, dry_run=dry_run)
    assert not told.exists()
    for how in ({"artifacts": False}, {"access": Access(artifacts="s3://bucket/art")}):
        with pytest.raises(WorkspaceError, match="is empty"):  # for the fake makes no tables
            sync(SOURCE, empty.url, init=True, **how)
        assert told.read_text().startswith("postgresql://")
        told.unlink()


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_database_that_the_server_does_not_have_is_to_be_created_first(
    kind: str, databases: Databases, told: Path
) -> None:
    url = databases.fresh(kind, empty=True).url + "_gone"
    with pytest.raises(WorkspaceError, match=r"there is no such database: correct its name, or create it \(CREATE"):
        sync(NOWHERE, url, init=True, artifacts=False)
    with pytest.raises(WorkspaceError, match=r"create it \(CREATE DATABASE .* have its tables made by --init, or by"):
        sync(SOURCE, url)
    assert not told.exists()


@pytest.mark.parametrize("scheme", ["mysql", "mysql+pymysql", "mariadb"])
def test_a_driver_of_mysql_is_named_that_people_have(scheme: str, told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_empty", lambda address: True)
    initialise(f"{scheme}://ada:s3cret@127.0.0.1:1/db")
    assert told.read_text() == "mysql+pymysql://ada:s3cret@127.0.0.1:1/db\n"


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("postgresql://ada@h/db?sslmode=require", "postgresql+psycopg://ada@h/db?sslmode=require"),
        ("postgresql+psycopg2://ada@h/db?workspace=a", "postgresql+psycopg://ada@h/db"),
        ("mariadb://ada@h/db", "mysql+pymysql://ada@h/db"),
    ],
)
def test_the_mlflow_beside_runsync_goes_first_and_gets_the_drivers_that_runsync_has(
    url: str, given: str, told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" > {tmp_path / "own"}\n', encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(module, "_version_here", lambda: "3.17.2")
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    monkeypatch.setattr(module, "is_empty", lambda address: True)
    initialise(url)
    assert (tmp_path / "own").read_text() == f"-m mlflow db upgrade {given}\n"
    assert not told.exists()


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ("Error: cannot reach $3", WorkspaceUnreachable, "cannot reach"),
        ("ModuleNotFoundError: No module named 'psycopg2'", WrongUsage, "has no driver for .*runsync an MLflow of its"),
    ],
)
def test_a_failure_says_why_without_the_password(
    said: str, error: type[Exception], message: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(path, f'echo "{said}" >&2; exit 1')
    monkeypatch.setattr(module, "is_empty", lambda address: True)
    with pytest.raises(error, match=message) as raised:
        initialise("postgresql://ada:s3cret@127.0.0.1:1/db")
    assert "s3cret" not in str(raised.value)


def test_who_reads_is_told_to_correct_the_name_and_who_writes_of_init_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none.db'}"
    with pytest.raises(WorkspaceError, match=r"none\.db: there is no such file: correct its name$"):
        sync(url, SOURCE)
    how = r"or have its tables made by --init, or by MLflow 3\.14 or newer: mlflow db upgrade "
    with pytest.raises(WorkspaceError, match=how):
        sync(SOURCE, url)
    assert list(tmp_path.iterdir()) == []
