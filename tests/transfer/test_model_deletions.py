"""sync and models that were deleted at the source: told always, followed when asked, never more than was brought."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Runner
from support import proxy as faults
from support.databases import Databases
from support.proxy import FaultProxy, Rule
from support.seed import Seeder
from support.servers import MlflowServer

import runsync as package
from transfer.commands import Report, sync, writes

FOLLOWED = ("--delete", "--max-delete", "100%")


def make_model(seeder: Seeder, run_id: str, name: str, versions: int, **aliases: int) -> None:
    tags = [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]
    seeder.post("registered-models/create", name=name, description="about it", tags=tags)
    for _ in range(versions):
        make_version(seeder, run_id, name, tags)
    for alias, version in aliases.items():
        set_alias(seeder, name, alias, version)


def make_version(seeder: Seeder, run_id: str, name: str, tags: list[dict[str, str]]) -> None:
    seeder.post("model-versions/create", name=name, source=f"runs:/{run_id}/model", run_id=run_id, tags=tags)


def set_alias(seeder: Seeder, name: str, alias: str, version: int) -> None:
    seeder.post("registered-models/alias", name=name, alias=alias, version=str(version))


def delete(seeder: Seeder, what: str, **named: str) -> None:
    seeder.call("DELETE", what, named)


def make_logged(seeder: Seeder, home: str, name: str) -> str:
    tags = [{"key": "a", "value": "1"}, {"key": "b c d", "value": "2"}]
    info = seeder.post("logged-models", experiment_id=home, name=name, tags=tags)["model"]["info"]
    seeder.call("PATCH", f"logged-models/{info['model_id']}", {"model_id": info["model_id"], "status": 2})
    return str(info["model_id"])


def fill(seeder: Seeder) -> dict[str, str]:
    """Models of which `remove` takes some away; gives the ids of the logged ones."""
    home = seeder.create_experiment("models")
    run_id = seeder.create_run(home, "one")
    seeder.put_artifact(run_id, "model/MLmodel", b"flavors: {}\n")
    seeder.finish(run_id)
    make_model(seeder, run_id, "keep", 3, champion=2, old=1)
    make_model(seeder, run_id, "gone", 1, champion=1)
    make_model(seeder, run_id, "half", 1)
    return {name: make_logged(seeder, home, name) for name in ("kept", "lost")}


def remove(seeder: Seeder, logged: dict[str, str]) -> None:
    set_alias(seeder, "keep", "champion", 1)
    delete(seeder, "registered-models/alias", name="keep", alias="old")
    for name in ("gone", "half"):
        delete(seeder, "registered-models/delete", name=name)
    for version in ("2", "3"):
        delete(seeder, "model-versions/delete", name="keep", version=version)
    delete(seeder, "registered-models/delete-tag", name="keep", key="b")
    delete(seeder, "model-versions/delete-tag", name="keep", version="1", key="b")
    seeder.call("PATCH", "registered-models/update", {"name": "keep", "description": ""})
    delete(seeder, f"logged-models/{logged['kept']}/tags/b%20c%20d", model_id=logged["kept"])
    delete(seeder, f"logged-models/{logged['lost']}", model_id=logged["lost"])


def told(url: str) -> dict[str, Any]:
    """What a server has of models, with the tags that are not runsync's."""

    def own(tags: list[dict[str, str]]) -> dict[str, str]:
        return {tag["key"]: tag.get("value", "") for tag in tags if not tag["key"].startswith("runsync.")}

    with Seeder(url) as seeder:
        models = seeder.call("GET", "registered-models/search").get("registered_models", [])
        versions = seeder.call("GET", "model-versions/search").get("model_versions", [])
        ids = [e["experiment_id"] for e in seeder.post("experiments/search", max_results=100)["experiments"]]
        logged = seeder.post("logged-models/search", experiment_ids=ids).get("models", [])
    aliases = {f"{m['name']}@{a['alias']}": int(a["version"]) for m in models for a in m.get("aliases", ())}
    return {
        "models": {m["name"]: (m.get("description", ""), own(m.get("tags", []))) for m in models},
        "versions": {f"{v['name']}/{v['version']}": own(v.get("tags", [])) for v in versions},
        "aliases": aliases,
        "logged": {m["info"]["name"]: own(m["info"].get("tags", [])) for m in logged},
    }


def deletions(report: Report) -> dict[str, int]:
    """How many were told and not followed, by what they are."""
    found = (left for left in report["not_carried"] if left["what"].startswith("deletions of "))
    return {left["what"].removeprefix("deletions of "): left["count"] for left in found}


UNFOLLOWED = {"logged models": 1, "registered models": 1, "model versions": 3, "model aliases": 2, "models": 2}
LEFT: dict[str, Any] = {
    "models": {"keep": ("", {"a": "1", "local": "x"}), "half": ("about it", {"a": "1", "b": "2"}), "own": ("", {})},
    "versions": {"keep/1": {"a": "1"}, "keep/2": {"a": "1", "b": "2"}, "half/2": {}},
    "aliases": {"keep@champion": 1, "keep@mine": 2},
    "logged": {"kept": {"a": "1"}},
}


def test_what_was_brought_is_deleted_and_what_was_made_there_stays(
    start_server: Callable[..., MlflowServer], databases: Databases, tmp_path: Any, runsync: Runner
) -> None:
    servers = [start_server("3") for _ in range(2)]
    source, target = (server.wait() for server in servers)
    database = databases.fresh("sqlite")
    stored = (database.url, "--artifacts", tmp_path / "artifacts")
    (tmp_path / "artifacts").mkdir()
    with Seeder(source.url) as seeder, Seeder(target.url) as receiver:
        logged = fill(seeder)
        for place in ((target.url,), stored, (tmp_path / "mlruns",)):
            sync(runsync, source.url, *place)
        set_alias(receiver, "keep", "mine", 2)
        receiver.post("registered-models/set-tag", name="keep", key="local", value="x")
        for name in ("half", "own"):
            if name == "own":
                receiver.post("registered-models/create", name=name)
            else:
                receiver.post("model-versions/create", name=name, source="s3://elsewhere/model")
        remove(seeder, logged)

    left = sync(runsync, source.url, target.url)
    assert deletions(left) == UNFOLLOWED
    before = told(target.url)
    assert before["aliases"] == {"keep@champion": 1, "keep@old": 1, "keep@mine": 2, "gone@champion": 1}
    assert before["models"]["keep"] == LEFT["models"]["keep"]
    with FaultProxy(source.url) as other:  # nothing came from there
        assert deletions(sync(runsync, other.url, target.url, *FOLLOWED)) == {}
    with FaultProxy(target.url) as proxy:
        braked = runsync("sync", source.url, proxy.url, "--delete")
        assert (braked.returncode, writes(proxy)) == (4, [])
        assert "more than --max-delete 10% allows: nothing was written" in braked.stderr
        planned = sync(runsync, source.url, proxy.url, *FOLLOWED, "--dry-run")
        assert (writes(proxy), told(target.url)) == ([], before)
    done = sync(runsync, source.url, target.url, *FOLLOWED)
    for report, words in ((planned, "would be deleted in the target"), (done, "deleted in the target, as")):
        notes = [note for note in report["notes"] if words in note]
        assert [note.split(" ", 1)[0] for note in notes] == ["1", "1", "3", "2"]
        assert deletions(report) == {"models": 2}
    assert told(target.url) == LEFT
    with FaultProxy(target.url) as proxy:
        sync(runsync, source.url, proxy.url, *FOLLOWED)
        assert writes(proxy) == []

    sync(runsync, source.url, *stored, *FOLLOWED)
    assert database.execute("SELECT name, description FROM registered_models") == [("keep", None)]
    versions = "SELECT version, current_stage FROM model_versions WHERE name = 'keep' ORDER BY version"
    assert database.execute(versions) == [(1, "None"), (2, "Deleted_Internal"), (3, "Deleted_Internal")]
    assert database.execute("SELECT alias, version FROM registered_model_aliases") == [("champion", 1)]
    own = "WHERE key NOT LIKE 'runsync.%'"
    for table in ("registered_model_tags", "model_version_tags"):
        assert database.execute(f"SELECT key FROM {table} {own}") == [("a",)]
    alive = "SELECT name FROM logged_models WHERE lifecycle_stage = 'active'"
    assert database.execute(alive) == [("kept",)]
    again = sync(runsync, source.url, *stored, *FOLLOWED)
    assert [again["objects"][kind]["unchanged"] for kind in sorted(again["objects"])] == [1, 1, 1, 1]
    assert not any("deleted" in note for note in again["notes"])

    store = tmp_path / "mlruns"
    registry = store / "models"
    sync(runsync, source.url, store, *FOLLOWED)
    assert [folder.name for folder in registry.iterdir() if (folder / "meta.yaml").exists()] == ["keep"]
    stages = {folder.name: stage(folder) for folder in (registry / "keep").glob("version-*")}
    assert stages == {"version-1": "None", "version-2": "Deleted_Internal", "version-3": "Deleted_Internal"}
    assert [file.name for file in (registry / "keep" / "aliases").iterdir()] == ["champion"]
    for folder in (registry / "keep", registry / "keep" / "version-1"):
        assert [file.name for file in (folder / "tags").iterdir() if not file.name.startswith("runsync.")] == ["a"]
    models = {field(file, "name"): field(file, "lifecycle_stage") for file in store.glob("*/models/m-*/meta.yaml")}
    assert models == {"kept": "active", "lost": "deleted"}
    again = sync(runsync, source.url, store, *FOLLOWED)
    assert [again["objects"][kind]["unchanged"] for kind in sorted(again["objects"])] == [1, 1, 1, 1]
    assert not any("deleted" in note for note in again["notes"])


def field(file: Path, name: str) -> str:
    """Of a meta.yaml."""
    return str(yaml.safe_load(file.read_text())[name])


def stage(folder: Path) -> str:
    return field(folder / "meta.yaml", "current_stage")


def has_fired(rule: Rule, _: object) -> bool:
    return rule.fired > 0


@pytest.mark.slow
def test_a_sync_that_is_stopped_between_any_two_deletions_is_finished_by_the_next(
    start_server: Callable[..., MlflowServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0.1")
    servers = [start_server("3") for _ in range(2)]
    source, target = (server.wait() for server in servers)
    with Seeder(source.url) as seeder:
        logged = fill(seeder)
        package.sync(source.url, target.url)
        remove(seeder, logged)
    for stops in range(40):
        met = Rule(faults.drop(), "delete|alias|set-tag|update|logged-models/m-", after=1 + stops // 6, count=None)
        others = Rule(faults.drop(), "", of=partial(has_fired, met), count=None)
        with FaultProxy(target.url, met, others) as proxy:
            if not package.sync(source.url, proxy.url, delete=True, max_delete="100%").stopped:
                break
    else:
        pytest.fail("it does not come to an end")
    assert stops > 2
    assert told(target.url) == told(source.url)
