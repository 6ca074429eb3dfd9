"""Logged and registered models, their versions and aliases, out of servers and into them, as MLflow's own client sees
them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import executable
from support import forks
from support import proxy as faults
from support.forks import clean_environment
from support.proxy import FaultProxy, Rule
from support.seed import Seeder
from support.servers import MlflowServer

import runsync

pytestmark = pytest.mark.server

HERE = Path(__file__).parent
KINDS = ("logged-models", "registered-models", "model-versions", "model-aliases")


LOADED = ("p.churn@champion", "p.churn@old", "p.churn/2", "p.served/1")


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


def told(release: str, server: MlflowServer, *uris: str) -> Any:
    """What MLflow's client tells of all models of a server, and what some predict."""
    return client(release, server.folder, "told_models.py", server.url, *(f"models:/{uri}" for uri in uris))


@pytest.fixture(scope="module", params=["3", "2"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("trained")
    release: str = request.param
    with MlflowServer(executable(release), folder=folder / "server", gunicorn=release == "3") as server:
        (folder / "client").mkdir()
        yield Trained(release, server, client(release, folder / "client", "make_models.py", server.url, "p."))


BOTH = pytest.mark.parametrize("trained", ["3", pytest.param("2", marks=pytest.mark.slow)], indirect=True)
"""Of MLflow 2 what takes long runs in make stress."""


@BOTH
def test_a_bundle_holds_all_models_with_their_files(trained: Trained, tmp_path: Path) -> None:
    bundle, url = tmp_path / "bundle", trained.server.url
    report = runsync.export(url, bundle)
    assert (report.exit_code, report.problems, report.failed) == (0, [], [])
    assert {name: tally.created for name, tally in report.objects.items()} == trained.counts
    for source, target in ((url, bundle), (bundle, url)):
        told = runsync.verify(str(source), str(target))
        assert (told.exit_code, told.objects) == (0, trained.counts)
    assert runsync.check(bundle).exit_code == 0


@BOTH
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


@BOTH
@pytest.mark.parametrize(
    "by_bundle", [pytest.param(False, id="sync", marks=pytest.mark.slow), pytest.param(True, id="bundle")]
)
def test_models_predict_the_same_on_another_server(
    trained: Trained, start_server: Callable[..., MlflowServer], tmp_path: Path, by_bundle: bool
) -> None:
    target = start_server(trained.release).wait()

    def bring() -> runsync.TransferReport:
        if not by_bundle:
            return runsync.sync(trained.server.url, target.url)
        runsync.export(trained.server.url, tmp_path / "bundle")
        return runsync.import_(tmp_path / "bundle", target.url)

    report = bring()
    assert (report.exit_code, report.problems, report.failed, report.left_behind) == (0, [], [], [])
    assert {name: tally.created for name, tally in report.objects.items()} == trained.counts
    there = told(trained.release, target, *LOADED)
    assert there == told(trained.release, trained.server, *LOADED)
    assert there["predicted"]["models:/p.churn@champion"] == [3, 6, 9]
    again = bring()
    assert {name: tally.unchanged for name, tally in again.objects.items()} == trained.counts
    assert (again.runs.unchanged, again.artifacts, again.metric_points, again.exit_code) == (3, 0, 0, 0)
    assert told(trained.release, target) | {"predicted": there["predicted"]} == there
    verified = runsync.verify(trained.server.url, target.url)
    assert (verified.exit_code, verified.differences) == (0, [])


WRITES = (
    r"/(create|delete|update|alias|set-tag|transition-stage|log-batch|outputs|log-inputs)$|mlflow-artifacts/"
    r"|logged-models(/m-\w+(/tags|/params)?)?$"
)


def stopped_after(writes: int, source: str, target: str) -> runsync.TransferReport:
    """A sync whose target answers nothing any more after so many writes."""
    met = Rule(faults.drop(), WRITES, after=writes, count=None)
    others = Rule(faults.drop(), "", of=lambda _: met.fired > 0, count=None)
    with FaultProxy(target, met, others) as proxy:
        return runsync.sync(source, proxy.url, workers=2)


@BOTH
@pytest.mark.parametrize("slowly", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_a_sync_that_ends_after_any_write_is_finished_by_the_next(
    trained: Trained, start_server: Callable[..., MlflowServer], monkeypatch: pytest.MonkeyPatch, slowly: int
) -> None:
    """Nobody answers any more after the third write, then the third of what is left, and so on; after a later one where
    what belongs together takes more writes."""
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0.1")
    target, stops = start_server(trained.release).wait(), 0
    while (report := stopped_after(3 + stops // slowly, trained.server.url, target.url)).stopped:
        stops += 1
        assert stops < 60
    assert (report.exit_code, stops > 2) == (0, True)
    assert told(trained.release, target, *LOADED) == told(trained.release, trained.server, *LOADED)
    assert runsync.verify(trained.server.url, target.url).exit_code == 0


@BOTH
def test_nothing_is_made_twice_where_answers_are_lost(
    trained: Trained, start_server: Callable[..., MlflowServer]
) -> None:
    target = start_server(trained.release).wait()
    lost = Rule(faults.drop_response(), WRITES, probability=0.3, count=None)
    with FaultProxy(target.url, lost) as proxy:
        report = runsync.sync(trained.server.url, proxy.url)
    assert (report.exit_code, lost.fired > 0) == (0, True)
    assert told(trained.release, target, *LOADED) == told(trained.release, trained.server, *LOADED)


@BOTH
def test_an_alias_waits_until_the_files_of_its_version_are_there(
    trained: Trained, start_server: Callable[..., MlflowServer]
) -> None:
    target = start_server(trained.release).wait()
    with FaultProxy(trained.server.url, Rule(faults.respond(404), "factor.txt", count=None)) as proxy:
        report = runsync.sync(proxy.url, target.url)
    assert (report.exit_code, report.objects["model-versions"].created) == (3, 4)
    assert {(left.kind, left.count) for left in report.left_behind} == {("model-aliases", 2)}
    assert told(trained.release, target)["registered"]["p.churn"]["aliases"] == {}
    again = runsync.sync(trained.server.url, target.url)
    assert (again.exit_code, again.objects["model-aliases"].created, again.objects["model-versions"].unchanged) == (
        0,
        2,
        4,
    )
    assert told(trained.release, target, *LOADED) == told(trained.release, trained.server, *LOADED)


@BOTH
def test_a_version_that_is_another_one_in_the_target_is_named_and_left(
    trained: Trained, start_server: Callable[..., MlflowServer]
) -> None:
    target = start_server(trained.release).wait()
    with Seeder(target.url) as seeder:
        seeder.post("registered-models/create", name="p.churn")
        seeder.post("model-versions/create", name="p.churn", source="s3://another/model")
    for _ in range(2):
        report = runsync.sync(trained.server.url, target.url)
        assert [(one["id"], one["retry"]) for one in report.failed] == [("p.churn/1", False)]
        assert "the target has another version 1 of “p.churn” (s3://another/model)" in report.failed[0]["error"]
        assert {left.names for left in report.left_behind} == {("p.churn@old",)}
        assert report.exit_code == 3
    versions = told(trained.release, target, "p.churn@champion", "p.churn/2")["registered"]["p.churn"]["versions"]
    assert [version[0] for version in versions] == [1, 2, 4]


@pytest.mark.slow
@pytest.mark.parametrize("trained", ["3"], indirect=True)
def test_versions_of_logged_models_load_from_a_server_that_has_none(
    trained: Trained, start_server: Callable[..., MlflowServer]
) -> None:
    """Their files lie beside those of the run."""
    target = start_server("2").wait()
    accept = ["logged-models"]
    report = runsync.sync(trained.server.url, target.url, accept=accept)
    assert (report.exit_code, {left.kind for left in report.accepted}) == (0, {"logged-models", "model-links"})
    assert told("2", target, *LOADED)["predicted"] == told("3", trained.server, *LOADED)["predicted"]
    verified = runsync.verify(trained.server.url, target.url, accept=accept)
    assert (verified.exit_code, verified.differences) == (0, [])
