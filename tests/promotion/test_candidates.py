"""Models of all sorts are promoted: wherever their files lie, and with what belongs to their runs."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import executable
from support import forks
from support.databases import Databases
from support.forks import clean_environment
from support.servers import MlflowServer

import runsync
from promotion.conftest import Registry, Trained, script
from runsync.model.identity import PARENT

FILL = Path(__file__).parents[1] / "support" / "mlflow_models.py"


@pytest.fixture(scope="module")
def filled(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """A database with versions of churn of all kinds of sources, and the ids of what made them."""
    database = databases.fresh("sqlite")
    arguments = [str(FILL), "fill", database.for_mlflow, str(tmp_path_factory.mktemp("models"))]
    done = forks.run(executable("3"), arguments, clean_environment() | forks.QUIET, FILL.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    return database.url, json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(params=["server", "database"])
def target(request: pytest.FixtureRequest) -> Registry:
    """Both ways in."""
    found: Registry = request.getfixturevalue("served" if request.param == "server" else "prod")
    return found


@pytest.mark.parametrize(
    ("version", "predicted"),
    [
        (1, [2, 4]),
        (5, [3, 6]),
        *(pytest.param(*both, marks=pytest.mark.slow) for both in ((2, [3, 6]), (4, [2, 4]))),
    ],
)
def test_a_version_arrives_wherever_its_files_lie(
    filled: tuple[str, dict[str, str]], target: Registry, version: int, predicted: list[float]
) -> None:
    """In a logged model, below a run, in another version, and below a run by its address."""
    name = f"of {version}"
    report = runsync.promote(filled[0], target.url, model=f"churn/{version}", to_model=name)
    assert (report.action, report.version) == ("promoted", 1), report.promotions[0].error
    assert target.predicts(f"{name}@champion") == {f"{name}@champion": predicted}
    again = runsync.promote(filled[0], target.url, model=f"churn/{version}", to_model=name)
    assert (again.action, again.exit_code) == ("already there", 0)


def test_files_that_lie_elsewhere_cannot_be_promoted(filled: tuple[str, dict[str, str]], prod: Registry) -> None:
    with pytest.raises(runsync.RunsyncError, match="are not here: they lie at s3://elsewhere/model"):
        runsync.promote(filled[0], prod.url, model="churn/7")
    assert runsync.list_models(prod.url).models == []


def test_a_model_of_a_run_is_named_by_its_path(filled: tuple[str, dict[str, str]], prod: Registry) -> None:
    url, ids = filled
    with pytest.raises(runsync.RunsyncError, match="name one with --model-path"):
        runsync.promote(url, prod.url, run=ids["run"], to_model="churn")
    with pytest.raises(runsync.RunsyncError, match="say what it is to be called with --to-model"):
        runsync.promote(url, prod.url, run=ids["run"], model_path="plain")
    report = runsync.promote(url, prod.url, run=ids["run"], model_path="plain", to_model="churn")
    assert (report.action, report.model) == ("promoted", f"runs:/{ids['run']}/plain")
    assert prod.predicts("churn@champion") == {"churn@champion": [3, 6]}


@pytest.fixture(scope="module")
def parts(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with two models of one run, and one of no run."""
    database, folder = databases.fresh("sqlite"), tmp_path_factory.mktemp("parts")
    script("make_parts.py", folder, database.for_mlflow, str(folder))
    return database.url


def test_what_a_run_logged_is_called_by_the_version_that_was_made_of_it(parts: str, prod: Registry) -> None:
    (run,) = (run for run in runsync.list_runs(parts).runs if run.name == "pair")
    report = runsync.promote(parts, prod.url, run=run.run_id, model_path="right")
    assert (report.action, report.model) == ("promoted", "pair/2")
    assert runsync.promote(parts, prod.url, model="pair/2").action == "already there"


@pytest.fixture(params=["workspace", "bundle"])
def offered(parts: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Where a version is promoted from: the workspace, or a bundle of it alone."""

    def act(version: str) -> str:
        if request.param == "workspace":
            return parts
        bundle = tmp_path / version.replace("/", "-")
        assert runsync.export(parts, bundle, selection=runsync.Selection(models=(version,))).exit_code == 0
        return str(bundle)

    return act


def test_a_model_of_no_run_is_promoted(offered: Callable[[str], str], target: Registry) -> None:
    source = offered("loose/1")
    name = f"loose from {source.partition(':')[0].strip('/').replace('/', ' ')}"
    report = runsync.promote(source, target.url, model="loose/1", to_model=name)
    assert (report.action, report.version, report.promotions[0].notes) == ("promoted", 1, [])
    assert runsync.promote(source, target.url, model="loose/1", to_model=name).action == "already there"


def test_other_models_of_its_run_stay_where_they_are(parts: str, target: Registry, tmp_path: Path) -> None:
    here = runsync.Selection(experiments=("runs",))

    def arrived() -> int:
        return (
            runsync.export(target.url, tmp_path / "never", selection=here, dry_run=True)
            .objects["logged-models"]
            .created
        )

    for number in (1, 2):
        report = runsync.promote(parts, target.url, model=f"pair/{number}", to_model="pair")
        assert (report.action, report.exit_code, arrived()) == ("promoted", 0, number)
    (run,) = (run for run in runsync.list_runs(target.url).runs if run.name == "pair")
    assert ([one.name for one in run.dataset_inputs], len(run.model_outputs)) == (["data"], 2)
    assert runsync.promote(parts, target.url, model="pair/1", to_model="pair").version == 1


@pytest.fixture
def dev(trained: Trained, tmp_path: Path) -> str:
    """A database of the test's own with the three models, whose files are those of all tests."""
    shutil.copy(trained.url.removeprefix("sqlite:///"), tmp_path / "dev.db")
    return f"sqlite:///{tmp_path}/dev.db"


def change(registry: str, statement: str, *values: object) -> None:
    """Of a SQLite file."""
    with closing(sqlite3.connect(registry.removeprefix("sqlite:///"))) as database, database:
        database.execute(statement, values)


def test_a_version_that_is_not_ready_or_has_no_files_is_told(dev: str, prod: Registry, tmp_path: Path) -> None:
    change(dev, "UPDATE model_versions SET status = 'PENDING_REGISTRATION' WHERE version = 1")
    with pytest.raises(runsync.RunsyncError, match="churn/1 is PENDING_REGISTRATION, not READY"):
        runsync.promote(dev, prod.url, model="churn/1")
    for run in runsync.list_runs(dev).runs:
        (tmp_path / "models" / run.model_outputs[0].model_id / "artifacts").mkdir(parents=True)
    place = (tmp_path / "models").as_uri()
    change(dev, "UPDATE logged_models SET artifact_location = ? || '/' || model_id || '/artifacts'", place)
    with pytest.raises(runsync.RunsyncError, match="churn/2 has no files: there is nothing to promote"):
        runsync.promote(dev, prod.url, model="churn/2")
    assert runsync.list_models(prod.url).models == []


def test_the_parents_of_its_run_go_with_it_when_that_is_said(dev: str, prod: Registry) -> None:
    listed = {run.name: run.run_id for run in runsync.list_runs(dev).runs}
    change(dev, "INSERT INTO tags VALUES (?, ?, ?)", PARENT, listed["times 2"], listed["times 3"])
    runsync.promote(dev, prod.url, model="churn/2", to_experiment="live")
    assert [run.name for run in runsync.list_runs(prod.url).runs] == ["times 3"]
    runsync.promote(dev, prod.url, model="churn/2", to_experiment="live", alias="other", lineage=True)
    runs = {run.name: run for run in runsync.list_runs(prod.url).runs}
    assert runs["times 3"].tags[PARENT] == runs["times 2"].run_id
    assert {e.name for e in runsync.list_experiments(prod.url).experiments} >= {"live"}


@pytest.mark.parametrize("release", [pytest.param("2", marks=pytest.mark.slow)])
def test_a_logged_model_is_promoted_to_a_server_that_knows_none(
    carried: Path, start_server: Callable[..., MlflowServer], release: str
) -> None:
    server = start_server(release).wait()
    for version in (1, 2, 3):
        report = runsync.promote(str(carried), server.url, model=f"churn/{version}")
        assert (report.action, report.version) == ("promoted", version)
    back = runsync.rollback(server.url, "churn@champion", to=1)
    assert back.action == "rolled back"


def test_models_go_into_a_file_store(carried: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "mlruns")
    options: dict[str, Any] = {"better_than": ["champion"], "on": "metrics.loss down"}
    for version in (1, 2):
        report = runsync.promote(str(carried), store, model=f"churn/{version}", **options)
        assert (report.action, report.version, report.exit_code) == ("promoted", version, 0)
    assert runsync.promote(str(carried), store, model="churn/1", **options).action == "refused"
    assert runsync.rollback(store, "churn@champion").version == 1
    assert len(runsync.promotions(store, "churn").records) == 3
