"""Servers, workspaces side by side, and the command line, for all tests."""

import gc
import os
import re
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import hypothesis
import pytest
from botocore.paginate import Paginator
from support import forks
from support.command_line import Result, command, look_at_output, run_here, run_process
from support.databases import Databases
from support.forks import FOREIGN, clean_environment
from support.purge import purge
from support.s3 import KEYS, Bucket, S3Server
from support.secrets import SEARCH, look_at_runsync
from support.seed import Seeder
from support.servers import MlflowServer
from support.trace_places import places as places

from runsync import secrecy

# A busy machine is no fault of an example. `make stress` looks at many more: --hypothesis-profile=thorough.
UNHURRIED = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("quick", max_examples=25, deadline=None, suppress_health_check=UNHURRIED)
hypothesis.settings.register_profile("thorough", max_examples=400, deadline=None, suppress_health_check=UNHURRIED)
hypothesis.settings.load_profile("quick")

# A script's background job ignores SIGINT, one under nohup SIGHUP, and so would every command that they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = Path(__file__).resolve().parent.parent

# Read before any test cleans the environment.
MLFLOW = {
    release: Path(os.environ.get(f"RUNSYNC_TEST_MLFLOW_{release.replace('.', '_')}", default))
    for release in ("1", "2", "3", "3.5")
    for default in [ROOT / f".venvs/mlflow-{release}/bin/mlflow"]
}
SHARED = {"mlflow3_a": "3", "mlflow3_b": "3", "mlflow3_default": "3", "mlflow2_a": "2", "mlflow2_b": "2"}
UNDER_GUNICORN = {"mlflow3_a", "mlflow3_b"}
"""Under gunicorn MLflow 3 takes half the CPU of uvicorn, its default: that is how `mlflow3_default` runs."""
PAIRS = {
    "3-to-3": ("mlflow3_a", "mlflow3_b"),
    "2-to-3": ("mlflow2_a", "mlflow3_b"),
    "2-to-default": ("mlflow2_a", "mlflow3_default"),
    "3-to-2": ("mlflow3_a", "mlflow2_b"),
    "2-to-2": ("mlflow2_a", "mlflow2_b"),
}


class Pair(NamedTuple):
    """Two servers: runs go from one to the other."""

    source: MlflowServer
    target: MlflowServer


class Runner(Protocol):
    """Runs the command line to its end."""

    def __call__(
        self,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        cwd: Path | None = None,
        process: bool = False,
    ) -> Result: ...


class Fleet:
    """The servers that tests share, each started at the first request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._servers: dict[str, MlflowServer] = {}

    def get(self, name: str) -> MlflowServer:
        """A server that answers; one that a test has killed is started again."""
        if name not in self._servers:
            mlflow, folder = executable(SHARED[name]), self.folder / name
            self._servers[name] = MlflowServer(mlflow, folder=folder, gunicorn=name in UNDER_GUNICORN).start().wait()
        server = self._servers[name]
        if not server.running:
            server.restart()
        return server

    def purge(self, mark: str) -> None:
        """Removes the experiments with `mark` in their name, but not where secrets are looked for in what is there."""
        if not SEARCH.is_on:
            for server in self._servers.values():
                purge(server.folder / "mlflow.db", mark)

    def stop(self) -> None:
        """Kills them all."""
        for server in self._servers.values():
            server.stop()


def executable(release: str) -> Path:
    """The mlflow command of a release; fails the test, and says what to do, where there is none."""
    mlflow = MLFLOW[release]
    if not mlflow.exists():
        remedy = f"run `make setup`, or set RUNSYNC_TEST_MLFLOW_{release.replace('.', '_')}"
        pytest.fail(f"{mlflow} is missing: {remedy}", pytrace=False)
    return mlflow


look_at_runsync()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that wrote a secret fails, whatever else it proved."""
    report = yield
    if report.when == "teardown" and (found := SEARCH.end(report.sections)):
        report.outcome = "failed"
        report.longrepr = "\n".join([*filter(None, [report.longreprtext]), *found])
    return report


SERVERS = {"fleet", "start_server", "s3_server", "databases"}
"""Fixtures behind which a server is, or a database that MLflow has made."""
EMULATED = ("emulators/", "workspaces/databricks/", "examples/", "workspaces/test_", "transfer/test_hostile_servers.py")
"""Tests of what answers over HTTP, which have servers of their own."""
PLACES = {"S3", "sqlite", "postgres", "mysql", "server", *SHARED}
"""Parameters of fixtures that stand for one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs a server: `make test-fast` leaves it out."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        values = callspec.params.values() if callspec else ()
        given = {word for value in values if isinstance(value, str) for word in value.split("-")}
        is_emulated = item.path.relative_to(ROOT / "tests").as_posix().startswith(EMULATED)
        if is_emulated or SERVERS & set(getattr(item, "fixturenames", ())) or PLACES & given:
            item.add_marker("server")


NOT_FAST = ("slow", "older", "server", "long")
"""Marks of what `make test-fast` leaves out."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """See `forks.may_start`."""
    forks.IS_FAST = not any(map(item.get_closest_marker, NOT_FAST))


def pytest_collection_finish() -> None:
    """No collection of garbage looks through all tests again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_secret_yet(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The secrets of other modules' tests may be words here."""
    secrecy._KEPT = secrecy._Kept()
    SEARCH.begin(tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_disks() -> Iterator[None]:
    """What is written is there without it, also after a kill; tests of power cuts look for the calls themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    servers = Fleet(tmp_path_factory.mktemp("servers"))
    SEARCH.watch(servers.folder)
    try:
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def mlflow3_a(fleet: Fleet) -> MlflowServer:
    return fleet.get("mlflow3_a")


@pytest.fixture
def mlflow3_b(fleet: Fleet) -> MlflowServer:
    return fleet.get("mlflow3_b")


@pytest.fixture
def mlflow3_default(fleet: Fleet) -> MlflowServer:
    return fleet.get("mlflow3_default")


@pytest.fixture
def mlflow2_a(fleet: Fleet) -> MlflowServer:
    return fleet.get("mlflow2_a")


@pytest.fixture
def mlflow2_b(fleet: Fleet) -> MlflowServer:
    return fleet.get("mlflow2_b")


@pytest.fixture(params=["mlflow3_a", "mlflow2_a"])
def either(request: pytest.FixtureRequest, fleet: Fleet) -> MlflowServer:
    """A server of MLflow 3, and one of MLflow 2."""
    name: str = request.param
    return fleet.get(name)


@pytest.fixture
def on_either(either: MlflowServer) -> Iterator[Seeder]:
    with Seeder(either.url) as seeder:
        yield seeder


@pytest.fixture
def on_three(mlflow3_a: MlflowServer) -> Iterator[Seeder]:
    with Seeder(mlflow3_a.url) as seeder:
        yield seeder


# Each release in each part; the others in `make stress`.
@pytest.fixture(
    params=["2-to-3", "3-to-2", *(pytest.param(name, marks=pytest.mark.slow) for name in ("3-to-3", "2-to-2"))]
)
def pair(request: pytest.FixtureRequest, fleet: Fleet) -> Pair:
    source, target = PAIRS[request.param]
    return Pair(fleet.get(source), fleet.get(target))


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., MlflowServer]]:
    """`start_server("3", workspaces=True)`: a server of the test's own, started but not waited for.

    MLflow 3 runs under gunicorn, unless it is asked for as the command alone starts it: `gunicorn=False`."""
    servers: list[MlflowServer] = []

    def start(release: str = "3", **options: Any) -> MlflowServer:
        folder = tmp_path / f"server-{len(servers)}"
        options = {"gunicorn": release == "3" and options.keys().isdisjoint(("forked", "workers"))} | options
        servers.append(MlflowServer(executable(release), folder=folder, **options))
        return servers[-1].start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket of the test's own; this process may reach it, commands need `env=bucket.environment`."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    bucket = s3_server.bucket()
    yield bucket
    for key, content in bucket.files().items():
        SEARCH.look(f"{bucket.url}/{key}", content)


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 lists ten objects a page, not a thousand."""
    paginate = Paginator.paginate
    short = {"PaginationConfig": {"PageSize": 10}}
    monkeypatch.setattr(Paginator, "paginate", lambda self, **given: paginate(self, **given | short))


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    """How the names of this test's experiments begin, on servers that tests share; at its end they are removed."""
    mark = f"-{uuid.uuid4().hex[:8]}-"
    fleet = request.getfixturevalue("fleet") if "fleet" in request.fixturenames else None
    yield re.sub(r"\W+", "_", request.node.name)[:60] + mark
    if fleet:
        fleet.purge(mark)


@pytest.fixture
def runsync(tmp_path: Path) -> Runner:
    """Runs the command line within this process; in one of its own with `process=True`, and beside the main thread."""

    def run(
        *arguments: object,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        cwd: Path | None = None,
        process: bool = False,
    ) -> Result:
        beside = threading.current_thread() is not threading.main_thread()
        way = run_process if process or beside else run_here
        return way(arguments, env or {}, input, cwd or tmp_path)

    return run


@pytest.fixture
def start_runsync(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Like `runsync`, but returns the running process at once; killed at the end of the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: object, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        options: Any = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = clean_environment() | dict(env or {})
        processes.append(subprocess.Popen(command(*arguments), env=environment, encoding="utf-8", **options))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        look_at_output(*process.communicate())


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Fresh databases of each kind and release; dropped at the end."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = Databases(executable, tmp_path_factory.mktemp("databases"), shared)
    try:
        yield made
    finally:
        made.drop()
