"""Models that were trained with scikit-learn: autologged, nested, evaluated, registered. After a move MLflow's own
client tells the same of them, and they predict the same."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import executable
from support import forks
from support.forks import clean_environment
from support.servers import MlflowServer

import runsync
from runsync import Access

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent


class Trained(NamedTuple):
    """A server on which models were trained, and how many runs that made."""

    release: str
    server: MlflowServer
    runs: int


def client(release: str, server: MlflowServer, script: str) -> Any:
    """What a script prints that runs with MLflow's own client."""
    environment = clean_environment() | {"MLFLOW_DISABLE_TELEMETRY": "true", "NO_PROXY": "127.0.0.1"}
    folder = server.folder / "client"
    folder.mkdir(exist_ok=True)
    done = forks.run(executable(release), [str(HERE / script), server.url], environment, folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=["3", "2"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    with MlflowServer(executable(request.param), folder=tmp_path_factory.mktemp("trained")) as server:
        made = client(request.param, server, "train_models.py")
        yield Trained(request.param, server, made["runs"])


def bring_over(trained: Trained, target: str, way: str, folder: Path) -> runsync.TransferReport:
    """A move by one command, or through a bundle."""
    if way == "sync":
        return runsync.sync(trained.server.url, target)
    runsync.export(trained.server.url, folder / "bundle")
    return runsync.import_(folder / "bundle", target)


@pytest.mark.parametrize("way", ["sync", "bundle"])
def test_trained_models_are_the_same_on_another_server(
    trained: Trained, start_server: Callable[..., MlflowServer], tmp_path: Path, way: str
) -> None:
    target = start_server(trained.release).wait()
    report = bring_over(trained, target.url, way, tmp_path)
    assert (report.exit_code, report.problems, report.failed, report.left_behind) == (0, [], [], [])
    assert report.runs.created == trained.runs
    there, here = (client(trained.release, each, "tell_trained.py") for each in (target, trained.server))
    assert there == here
    again = bring_over(trained, target.url, way, tmp_path)
    assert (again.runs.unchanged, again.artifacts, again.metric_points, again.exit_code) == (trained.runs, 0, 0, 0)


def test_a_server_over_a_restored_database_has_the_same_trained_models(
    trained: Trained, start_server: Callable[..., MlflowServer], tmp_path: Path
) -> None:
    restored = start_server(trained.release).wait()
    restored.stop()
    database = f"sqlite:///{restored.folder / 'mlflow.db'}"
    report = runsync.sync(trained.server.url, database, access=Access(artifacts=str(restored.artifact_root)))
    assert (report.exit_code, report.problems, report.failed) == (0, [], [])
    restored.start().wait()
    assert client(trained.release, restored, "tell_trained.py") == client(
        trained.release, trained.server, "tell_trained.py"
    )
