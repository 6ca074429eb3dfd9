"""Logged and registered models, their versions and aliases, out of servers and into them, as MLflow's own client sees
them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import executable
from support import forks
from support.forks import clean_environment
from support.proxy import FaultProxy
from support.servers import MlflowServer

import runsync

HERE = Path(__file__).parent
KINDS = ("logged-models", "registered-models", "model-versions", "model-aliases")


class Trained(NamedTuple):
    """A server with models, and their ids as the client that made them printed them."""

    release: str
    server: MlflowServer
    told: dict[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        counts = {"logged-models": 2, "registered-models": 3, "model-versions": 4, "model-aliases": 2}
        return {kind: n for kind, n in counts.items() if self.release == "3" or kind != "logged-models"}


def client(release: str, folder: Path, script: str, *arguments: str) -> Any:
    """What a script prints that MLflow's own client runs, in that release."""
    environment = clean_environment() | {"MLFLOW_DISABLE_TELEMETRY": "true", "NO_PROXY": "127.0.0.1"}
    done = forks.run(executable(release), [str(HERE / script), *arguments], environment, folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=["3", "2"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("trained")
    with MlflowServer(executable(request.param), folder=folder / "server") as server:
        yield Trained(request.param, server, client(request.param, folder, "make_models.py", server.url, "p."))


def test_a_bundle_holds_all_models_with_their_files(trained: Trained, tmp_path: Path) -> None:
    bundle, url = tmp_path / "bundle", trained.server.url
    report = runsync.export(url, bundle)
    assert (report.exit_code, report.problems, report.failed) == (0, [], [])
    assert {name: tally.created for name, tally in report.objects.items()} == trained.counts
    for source, target in ((url, bundle), (bundle, url)):
        told = runsync.verify(str(source), str(target))
        assert (told.exit_code, told.objects) == (0, trained.counts)
    assert runsync.check(bundle).exit_code == 0


def test_an_export_again_stores_nothing_and_asks_for_lists_only(trained: Trained, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    runsync.export(trained.server.url, bundle)
    with FaultProxy(trained.server.url) as proxy:
        runsync.export(proxy.url, tmp_path / "other")
        proxy.requests.clear()
        report = runsync.export(proxy.url, tmp_path / "other")
        assert {name: tally.unchanged for name, tally in report.objects.items()} == trained.counts
        assert proxy.count("logged-models/.*artifacts|models/m-") == 0
        assert proxy.count("registered-models/search|model-versions/search|logged-models/search") <= 8
