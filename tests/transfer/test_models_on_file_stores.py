"""Models in local file stores: ids, numbers, times, aliases and files are the same wherever they are brought, as
MLflow's own client tells them."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Runner, executable
from support import forks
from support.databases import Databases
from support.forks import clean_environment
from support.killing import run_until
from support.models_client import client
from support.servers import MlflowServer

from transfer.commands import export, import_, sync, verify

pytestmark = pytest.mark.server

PROMPTS = {"prompts": 1, "prompt-versions": 3, "prompt-aliases": 1}
WHOLE = {"logged-models": 3, "registered-models": 2, "model-versions": 6, "model-aliases": 3, **PROMPTS}
DOUBLED, TRIPLED = [2.0, 4.0], [3.0, 6.0]


class Filled(NamedTuple):
    """A bundle of a file store that MLflow's client filled and that is not there any more, the ids of what it made, and
    all that the client told of it."""

    bundle: Path
    ids: dict[str, str]
    told: dict[str, Any]
    away: Path


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Read by all tests."""
    import runsync

    folder = tmp_path_factory.mktemp("models")
    ids = client("fill", f"{folder}/mlruns", "-", folder=folder)
    told = client("read", f"{folder}/mlruns")
    assert runsync.export(f"{folder}/mlruns", folder / "bundle").exit_code == 0
    (folder / "mlruns").rename(folder / "away")
    return Filled(folder / "bundle", ids, told, folder / "away")


def counts(told: dict[str, Any], what: str) -> dict[str, int]:
    """How many of each kind were created, updated, …"""
    return {kind: tally[what] for kind, tally in told["objects"].items()}


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """All files of a store: one that was written again is another one."""
    stats = {path: path.stat() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {str(path): (stat.st_ino, stat.st_mtime_ns) for path, stat in stats.items()}


def expected(filled: Filled) -> dict[str, list[float]]:
    """What models predict, by each way to load them."""
    run, model = filled.ids["run"], filled.ids["model"]
    doubled = [
        "models:/churn@champion",
        "models:/churn/4",
        "models:/churn@copy",
        f"models:/{model}",
        f"runs:/{run}/model",
    ]
    tripled = ["models:/churn/2", "models:/churn@challenger", f"runs:/{run}/plain"]
    return {**dict.fromkeys(doubled, DOUBLED), **dict.fromkeys(tripled, TRIPLED)}


def test_a_file_store_is_the_same_to_mlflow_after_a_move_and_its_models_load(
    filled: Filled, runsync: Runner, tmp_path: Path
) -> None:
    store = tmp_path / "mlruns"
    assert counts(import_(runsync, filled.bundle, f"{store}"), "created") == WHOLE
    assert client("read", f"{store}") == filled.told
    before = state(store)
    assert counts(import_(runsync, filled.bundle, f"{store}"), "unchanged") == WHOLE
    assert state(store) == before
    assert verify(runsync, filled.bundle, store, "--verify-artifacts")["differences"] == []
    assert client("predict", f"{store}", *expected(filled)) == expected(filled)
    assert client("next", f"{store}", "churn") == 9
    assert client("next", f"{store}", "empty") == 1


def test_models_go_from_a_file_store_into_a_database_and_back(
    filled: Filled, databases: Databases, runsync: Runner, tmp_path: Path
) -> None:
    database, place = databases.fresh("sqlite"), ("--artifacts", tmp_path / "artifacts")
    (tmp_path / "artifacts").mkdir()
    moved = tmp_path / "moved" / "mlruns"
    shutil.copytree(filled.away, moved)
    assert counts(sync(runsync, f"{moved}", database.url, *place), "created") == WHOLE
    assert _without_odd(client("read", database.for_mlflow)) == _without_odd(filled.told)
    back = tmp_path / "back" / "mlruns"
    export(runsync, database.url, tmp_path / "bundle", *place)
    import_(runsync, tmp_path / "bundle", f"{back}")
    assert _without_odd(client("read", f"{back}")) == _without_odd(filled.told)
    assert verify(runsync, moved, back)["differences"] == []
    assert client("predict", f"{back}", *expected(filled)) == expected(filled)


def _without_odd(told: dict[str, Any]) -> dict[str, Any]:
    """A database keeps other numbers for NaN and infinity in metrics of logged models; of each metric MLflow tells all
    points there, and the last ones in a file store."""
    models = {
        id: {
            **model,
            "metrics": sorted({m[0]: m[1:] for m in model["metrics"] if m[0] not in ("loss", "gain")}.items()),
        }
        for id, model in told["logged"].items()
    }
    return {**told, "logged": models}


def test_sync_brings_what_changed_and_no_version_twice(filled: Filled, runsync: Runner, tmp_path: Path) -> None:
    source, target = tmp_path / "one" / "mlruns", tmp_path / "two" / "mlruns"
    shutil.copytree(filled.away, source)
    sync(runsync, f"{source}", f"{target}")
    assert client("next", f"{source}", "churn") == 9
    churn = source / "models" / "churn"
    (churn / "aliases" / "champion").write_text("2")
    meta = churn / "version-2" / "meta.yaml"
    meta.write_text(meta.read_text().replace("Production", "Archived"))
    (churn / "meta.yaml").write_text((churn / "meta.yaml").read_text().replace("who leaves", "new"))
    pending = source / filled.ids["experiment"] / "models" / filled.ids["pending"]
    (pending / "meta.yaml").write_text((pending / "meta.yaml").read_text().replace("status: 1", "status: 2"))
    (pending / "tags" / "new").write_text("tag")
    foreseen = sync(runsync, f"{source}", f"{target}", "--dry-run")
    told = sync(runsync, f"{source}", f"{target}")
    changed = {"logged-models": 1, "registered-models": 1, "model-versions": 1, "model-aliases": 1}
    changed |= dict.fromkeys(PROMPTS, 0)
    assert counts(told, "updated") == counts(foreseen, "updated") == changed
    assert counts(told, "created")["model-versions"] == counts(foreseen, "created")["model-versions"] == 1
    assert client("read", f"{target}") == client("read", f"{source}")


@pytest.mark.slow
def test_an_import_that_is_killed_at_any_write_leaves_a_registry_that_mlflow_reads_and_is_finished_by_the_next_one(
    filled: Filled, runsync: Runner, tmp_path: Path
) -> None:
    moment, store = 1, tmp_path / "mlruns"
    while True:
        shutil.rmtree(store, ignore_errors=True)
        killed = run_until(moment, signal.SIGKILL, ("import", filled.bundle, store), tmp_path)
        assert all((folder / "meta.yaml").exists() for folder in (store / "models").glob("*"))
        assert all((folder / "meta.yaml").exists() for folder in (store / "models").glob("*/version-*"))
        if killed.code != -signal.SIGKILL:
            break
        if moment % 20 == 1:
            assert set(client("read", f"{store}")["registered"]) <= {"churn", "empty"}
        import_(runsync, filled.bundle, f"{store}")
        # An empty folder stays where the end came between the last rename and its removal.
        assert not [left for left in tmp_path.rglob(".runsync*") if not left.is_dir() or any(left.iterdir())]
        assert counts(import_(runsync, filled.bundle, f"{store}"), "unchanged") == WHOLE
        assert client("read", f"{store}") == filled.told
        moment += 13
    assert killed.code == 0, killed.told


@pytest.mark.slow
def test_a_server_on_a_file_store_that_was_moved_serves_the_same_models(
    filled: Filled, runsync: Runner, tmp_path: Path
) -> None:
    folder = tmp_path / "server"
    import_(runsync, filled.bundle, f"{folder}/mlruns")
    with MlflowServer(
        executable("3"),
        folder=folder,
        extra=("--backend-store-uri", f"{folder}/mlruns"),
        environment={"MLFLOW_ALLOW_FILE_STORE": "true"},
    ) as server:
        assert client("read", server.url) == filled.told
        assert client("predict", server.url, *expected(filled)) == expected(filled)


@pytest.mark.slow
def test_models_go_from_a_file_store_to_a_server_and_back_without_a_second_one(
    filled: Filled, runsync: Runner, tmp_path: Path
) -> None:
    source, fresh = tmp_path / "mlruns", tmp_path / "fresh" / "mlruns"
    shutil.copytree(filled.away, source)
    with MlflowServer(executable("3"), folder=tmp_path / "server") as server:
        sync(runsync, f"{source}", server.url)
        names = {"models:/churn@champion": DOUBLED, "models:/churn@challenger": TRIPLED, "models:/churn/4": DOUBLED}
        assert client("predict", server.url, *names) == names
        before, links = state(source / "models"), client("read", f"{source}")["links"]
        told = sync(runsync, server.url, f"{source}")
        assert counts(told, "created") == dict.fromkeys(WHOLE, 0)
        assert state(source / "models") == before
        assert client("read", f"{source}")["links"] == links
        before = state(source)
        sync(runsync, server.url, f"{source}")
        assert state(source) == before
        sync(runsync, server.url, f"{fresh}")
    assert client("predict", f"{fresh}", *names) == names
    told = client("read", f"{fresh}")
    assert {name: model[:3] for name, model in told["registered"].items()} == {
        name: model[:3] for name, model in filled.told["registered"].items()
    }


def test_files_that_only_a_version_has_go_along_and_nothing_else_does(
    filled: Filled, runsync: Runner, tmp_path: Path
) -> None:
    source, target, moved = (tmp_path / name / "mlruns" for name in ("one", "two", "three"))
    shutil.copytree(filled.away, source)
    loose = source / filled.ids["experiment"] / "loose"
    (loose / "model" / "data").mkdir(parents=True)
    (loose / "model" / "data" / "weights").write_text("7")
    (loose / "evil").symlink_to("/etc")
    places = {9: loose / "model", 10: "/etc", 11: loose / "evil", 12: f"{source}/../../../../../../etc"}
    version = source / "models" / "churn" / "version-7"
    for number, place in places.items():
        there = Path(shutil.copytree(version, version.with_name(f"version-{number}")))
        meta = (there / "meta.yaml").read_text().replace("s3://elsewhere/model", f"{place}")
        (there / "meta.yaml").write_text(meta.replace("version: 7", f"version: {number}"))
        (source / "models" / "churn" / "aliases" / f"a{number}").write_text(f"{number}")
    told = sync(runsync, f"{source}", f"{target}", code=3)
    assert len(told["problems"]) == 3
    assert {error["name"] for error in told["failed"]} == {"churn@a10", "churn@a11", "churn@a12"}
    own = target / "models" / "churn" / "files"
    files = {path.relative_to(own).as_posix(): path.read_text() for path in own.rglob("*") if path.is_file()}
    assert files == {"9/artifacts/data/weights": "7"}
    told = sync(runsync, f"{source}", f"{target}", code=3)
    assert (told["artifacts"], counts(told, "unchanged")["model-versions"]) == (0, 10)
    moved.parent.mkdir()
    target.rename(moved)
    shutil.rmtree(source)
    runsync("models", "get", moved, "churn@a9", "--into", tmp_path / "got")
    assert (tmp_path / "got" / "data" / "weights").read_text() == "7"


@pytest.mark.slow
def test_the_registry_of_mlflow_2_is_the_same_to_it_after_a_move(runsync: Runner, tmp_path: Path) -> None:
    source, target = tmp_path / "one" / "mlruns", tmp_path / "two" / "mlruns"
    script = Path(__file__).with_name("registry_of_mlflow_2.py")

    def mlflow_2(*arguments: object) -> Any:
        done = forks.run(executable("2"), [str(script), *map(str, arguments)], clean_environment(), tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    mlflow_2("fill", source)
    told = mlflow_2("read", source)
    sync(runsync, f"{source}", f"{target}")
    shutil.rmtree(source)
    assert mlflow_2("read", target) == told
    assert mlflow_2("next", target) == 4


@pytest.mark.slow
def test_models_of_deleted_runs_and_experiments_come_along(filled: Filled, runsync: Runner, tmp_path: Path) -> None:
    source, target = tmp_path / "one" / "mlruns", tmp_path / "two" / "mlruns"
    shutil.copytree(filled.away, source)
    experiment = filled.ids["experiment"]
    (source / experiment).rename(source / ".trash" / experiment)
    for times in range(2):
        told = sync(runsync, f"{source}", f"{target}")
        assert counts(told, ("created", "unchanged")[times]) == WHOLE
    assert verify(runsync, source, target, "--verify-artifacts")["differences"] == []
    (target / ".trash" / experiment).rename(target / experiment)
    meta = target / experiment / "meta.yaml"
    meta.write_text(meta.read_text().replace("lifecycle_stage: deleted", "lifecycle_stage: active"))
    assert client("predict", f"{target}", *expected(filled)) == expected(filled)
