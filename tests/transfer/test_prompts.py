"""Prompts between servers, bundles and databases, as MLflow's own client tells them."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner, executable
from support.killing import run_until
from support.models_client import client
from support.proxy import FaultProxy
from support.seed import Seeder, tags_of
from support.servers import MlflowServer

from transfer.commands import export, import_, sync, verify, writes

pytestmark = pytest.mark.server

COUNTS = {"prompts": 1, "prompt-versions": 3, "prompt-aliases": 1}
PROMPT = {"mlflow.prompt.is_prompt": "true"}
TEXT = {**PROMPT, "mlflow.prompt.text": "Another text", "_mlflow_prompt_type": "text"}
Start = Callable[..., MlflowServer]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A server with a prompt that MLflow's client registered: versions 1, 2 (a chat) and 4 of five."""
    folder = tmp_path_factory.mktemp("prompts")
    with MlflowServer(executable("3"), folder=folder / "server", gunicorn=True) as server:
        client("prompts", server.wait().url)
        yield server


def told(server: MlflowServer, with_times: bool = False) -> Any:
    """What the client tells of a server, without the times that it sets itself."""
    found = client("told", server.url)
    for prompt in [] if with_times else found["prompts"].values():
        prompt[3] = None
        for version in prompt[4].values():
            version[-1] = None
    return found


def counts(report: dict[str, Any], what: str) -> dict[str, int]:
    """How many of each kind of prompts were created, …"""
    return {kind: tally[what] for kind, tally in report["objects"].items()}


@pytest.mark.parametrize("by_bundle", [False, True], ids=["sync", "bundle"])
def test_prompts_are_the_same_on_another_server_and_nothing_is_written_again(
    source: MlflowServer, start_server: Start, runsync: Runner, bundle: Path, by_bundle: bool
) -> None:
    target = start_server().wait()
    with Seeder(target.url) as seeder:
        seeder.create_experiment("of the target's own")  # ids of experiments differ

    def bring(url: str) -> dict[str, Any]:
        return import_(runsync, bundle, url) if by_bundle else sync(runsync, source.url, url)

    if by_bundle:
        export(runsync, source.url, bundle)
    assert counts(bring(target.url), "created") == COUNTS
    there = told(target)
    assert there == told(source)
    assert there["linked"] == ['[{"name": "greeting", "version": "1"}]']
    with FaultProxy(target.url) as proxy:
        assert counts(bring(proxy.url), "unchanged") == COUNTS
        assert writes(proxy) == []
    assert verify(runsync, bundle if by_bundle else source.url, target.url)["differences"] == []
    assert client("next", target.url, "greeting") == 5  # no server tells that 5 was given out, and deleted


def test_sync_follows_what_changes_and_what_goes(
    source: MlflowServer, start_server: Start, runsync: Runner, bundle: Path
) -> None:
    export(runsync, source.url, bundle)
    here, there = start_server().wait(), start_server().wait()
    import_(runsync, bundle, here.url)
    sync(runsync, here.url, there.url)
    with Seeder(here.url) as seeder:
        of_version = {"name": "greeting", "version": "2"}
        seeder.post("model-versions/set-tag", **of_version, key="_mlflow_prompt_model_config", value='{"top_p": 0.5}')
        seeder.call("PATCH", "model-versions/update", {**of_version, "description": "reworded"})
        seeder.post("registered-models/alias", name="greeting", alias="production", version="1")
        seeder.post("registered-models/alias", name="greeting", alias="old", version="1")
    report = sync(runsync, here.url, there.url)
    assert counts(report, "updated") == {"prompts": 0, "prompt-versions": 1, "prompt-aliases": 1}
    assert told(there) == told(here)
    with Seeder(here.url) as seeder:
        seeder.call("DELETE", "registered-models/alias", {"name": "greeting", "alias": "old"})
        seeder.call("DELETE", "model-versions/delete", {"name": "greeting", "version": "4"})
    left = sync(runsync, here.url, there.url)["not_carried"]
    assert {each["what"]: each["names"] for each in left if each["what"].startswith("deletions")} == {
        "deletions of prompt versions": ["greeting/4"],
        "deletions of prompt aliases": ["greeting@old"],
    }
    sync(runsync, here.url, there.url, "--delete", "--max-delete", "100%")
    assert told(there) == told(here)
    with Seeder(here.url) as seeder:
        seeder.call("DELETE", "registered-models/delete", {"name": "greeting"})
    sync(runsync, here.url, there.url, "--delete", "--max-delete", "100%")
    assert told(there)["prompts"] == {}


def test_what_the_target_has_of_its_own_is_named_and_not_touched(
    source: MlflowServer, start_server: Start, runsync: Runner
) -> None:
    target = start_server().wait()
    with Seeder(target.url) as seeder:
        seeder.post("registered-models/create", name="greeting", tags=tags_of(PROMPT))
        seeder.post("model-versions/create", name="greeting", source="dummy-source", tags=tags_of(TEXT))
    failed = sync(runsync, source.url, target.url, code=3)["failed"]
    assert {(each["kind"], each["name"]) for each in failed} == {("prompt version", "greeting/1")}
    assert "another version 1 of “greeting” (with another text)" in failed[0]["error"]
    versions = told(target)["prompts"]["greeting"][4]
    assert (versions["1"][2], set(versions)) == ("Another text", {"1", "2", "4"})


def test_a_name_that_a_model_has_is_not_taken_for_a_prompt(
    source: MlflowServer, start_server: Start, runsync: Runner
) -> None:
    target = start_server().wait()
    with Seeder(target.url) as seeder:
        seeder.post("registered-models/create", name="greeting", description="a model")
    report = sync(runsync, source.url, target.url, code=3)
    errors = {each["name"]: each["error"] for each in report["failed"]}
    assert "the target has a registered model “greeting”" in errors["greeting"]
    assert errors["greeting/2"] == "its prompt is not in the target"
    with Seeder(target.url) as seeder:
        model = seeder.call("GET", "registered-models/get", {"name": "greeting"})["registered_model"]
    assert (model["description"], model.get("latest_versions", []), model.get("tags", [])) == ("a model", [], [])


def test_prompts_go_with_their_experiments_and_with_runs_that_use_them(
    source: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    def exported(*options: str) -> dict[str, int]:
        return counts(export(runsync, source.url, tmp_path / "b", *options), "created")

    assert exported("--experiment", "Default") == {}
    assert exported("--experiment", "first") == COUNTS
    assert (
        counts(export(runsync, source.url, tmp_path / "c", "--filter", "attributes.status = 'FINISHED'"), "created")
        == COUNTS
    )
    only = export(runsync, source.url, tmp_path / "d", "--kinds", "prompts")
    assert (counts(only, "created"), only["runs"]["created"]) == ({"prompts": 1}, 0)


def test_prompts_are_listed_and_shown_with_texts_and_chats(source: MlflowServer, runsync: Runner, bundle: Path) -> None:
    export(runsync, source.url, bundle)
    for place in (source.url, str(bundle)):
        listed = json.loads(runsync("prompts", "list", place, "--json").stdout)["prompts"]
        assert [(p["name"], p["latest_version"], p["versions"], p["aliases"]) for p in listed] == [
            ("greeting", 4, 3, {"production": 2})
        ]
        shown = json.loads(runsync("prompts", "show", place, "greeting@production", "--json").stdout)
        (version,) = shown["versions"]
        assert (version["version"], version["commit_message"], version["tags"]) == (2, "for chats", {"language": "de"})
        assert [message["role"] for message in version["messages"]] == ["system", "user"]
        assert version["model_config"]["temperature"] == 0.2
        told = runsync("prompts", "show", place, "prompts:/greeting/1").stdout
        assert "Hello {{name}}" in told
        assert runsync("prompts", "show", place, "greting").returncode != 0
        assert "greeting" not in runsync("models", "list", place).stdout


@pytest.mark.slow
def test_a_killed_sync_is_finished_by_the_next_one(
    source: MlflowServer, start_server: Start, runsync: Runner, tmp_path: Path
) -> None:
    target = start_server().wait()
    for moment in range(1, 12, 2):
        run_until(moment, signal.SIGKILL, ("sync", source.url, target.url), tmp_path)
    sync(runsync, source.url, target.url)
    assert told(target) == told(source)
