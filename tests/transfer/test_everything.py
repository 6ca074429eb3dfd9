"""Every kind at once, as MLflow's own client made it on a real server: by one sync to an empty server, and by way of a
bundle into an empty database that another server opens. Its client tells the same there."""

import json
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import executable
from support import forks, models_client, traces_client
from support.databases import Databases, Fresh
from support.forks import clean_environment
from support.gateway import Gateway
from support.killing import run_until
from support.proxy import FaultProxy
from support.servers import MlflowServer

import runsync
from runsync import Selection, TransferReport
from runsync.kinds import CARRIED
from runsync.kinds.webhooks import WEBHOOKS
from transfer.commands import writes

HERE = Path(forks.__file__).parent
KINDS = tuple(kind.name for kind in CARRIED)
EVERYTHING = Selection(kinds=KINDS)
PLACES = ("mlflow.artifactLocation", "mlflow.trace.spansLocation")
ACCEPT = ("model-versions", "missing-pieces", "notebooks", "permissions", "gateway-secrets")
"""Versions whose files lie elsewhere; what an API cannot set, or keeps in another way."""
CARRY: dict[str, Any] = {"gateway": True, "accept": ACCEPT}


def script(name: str, verb: str, uri: str) -> Any:
    """What a script prints."""
    done = forks.run(executable("3"), [str(HERE / name), verb, uri], clean_environment() | forks.QUIET, HERE)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with MlflowServer(executable("3"), folder=tmp_path_factory.mktemp("filled")) as server:
        models_client.client("fill", server.url, "-", folder=tmp_path_factory.mktemp("client"))
        traces_client.client("fill", server.url, "-")
        for name in ("mlflow_objects.py", "mlflow_datasets.py"):
            script(name, "fill", server.url)
        Gateway(server.url).fill("of nobody")
        yield server


def told(url: str) -> dict[str, Any]:
    """All that the client tells."""
    traces = traces_client.client("read", url)
    for trace in traces.values():
        trace["tags"] = {key: value for key, value in trace["tags"].items() if key not in PLACES}
    objects, datasets = (script(name, "read", url) for name in ("mlflow_objects.py", "mlflow_datasets.py"))
    models = models_client.client("read", url)
    for prompt in models["prompts"].values():
        for version in prompt[4].values():
            version[5] = version[5] or ""  # no commit message
    gateway = json.loads(json.dumps(Gateway(url).told(with_secrets=False)))
    return {"traces": traces, "objects": objects, "datasets": datasets, "models": models, "gateway": gateway}


def alike(told: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """What no server sets by itself, with the ids of a copy."""
    text = json.dumps(told)
    for old, new in ids.items():
        text = text.replace(old, new)
    same: dict[str, Any] = json.loads(text)
    for trace in same["traces"].values():
        trace["trace_metadata"].pop("mlflow.trace.infoFinalized", None)
        trace.pop("trace_location")
    models = same["models"]
    for one in (*models["logged"].values(), *models["versions"].values()):
        for name in ("creation_timestamp", "last_updated_timestamp", "experiment_id", "user_id", "run_link"):
            one.pop(name, None)
        one["tags"].pop("mlflow.modelVersions", None)  # on servers with versions that were deleted
    for registered in models["registered"].values():
        del registered[3:]
        registered[1] = {key: value for key, value in registered[1].items() if key != "_mlflow_experiment_ids"}
    models["prompts"] = {name: [prompt[0], sorted(prompt[4])] for name, prompt in models["prompts"].items()}
    models["links"] = {run: [sorted(inputs), sorted(outputs)] for run, (inputs, outputs) in models["links"].items()}
    return same


def new_ids(report: TransferReport) -> dict[str, str]:
    """Of what has ids that nothing else can have."""
    kinds = ("runs", "logged-models", "issues")
    return {old: new for kind in kinds for old, new in report.id_map[kind].items()}


def counts(report: TransferReport) -> dict[str, tuple[int, int]]:
    """How many were created and updated, of each kind of which any were."""
    tallies = {"experiments": report.experiments, "runs": report.runs, **report.objects}
    return {kind: (t.created, t.updated) for kind, t in tallies.items() if t.created or t.updated}


def brought(source: str, target: str) -> TransferReport:
    done = runsync.sync(source, target, selection=EVERYTHING, **CARRY)
    assert (done.exit_code, done.failed) == (0, []), done
    return done


def test_one_sync_brings_all_of_it_to_an_empty_server_and_again_nothing_is_written(
    filled: MlflowServer, start_server: Callable[..., MlflowServer]
) -> None:
    there = start_server("3", gunicorn=False).wait()
    done = brought(filled.url, there.url)
    assert set(KINDS) - set(counts(done)) == {WEBHOOKS.name, "notebooks", "permissions"}
    wanted, found = alike(told(filled.url), new_ids(done)), alike(told(there.url), {})
    for part in wanted:
        assert found[part] == wanted[part]
    with FaultProxy(there.url) as proxy:
        assert counts(brought(filled.url, proxy.url)) == {}
        assert writes(proxy) == []
        verified = runsync.verify(filled.url, proxy.url, selection=EVERYTHING, **CARRY)
        assert (verified.exit_code, verified.differences) == (0, [])
        assert set(verified.objects) == {*counts(done)} - {"experiments", "runs"}
        assert writes(proxy) == []


def on_database(database: Fresh, artifacts: Path, folder: Path) -> MlflowServer:
    """A server that has a database, and the artifacts beside it."""
    server = MlflowServer(executable("3"), folder=folder, extra=("--backend-store-uri", database.for_mlflow))
    shutil.copytree(artifacts, server.artifact_root, dirs_exist_ok=True)
    return server


@pytest.mark.slow
def test_through_a_bundle_and_a_database_another_server_tells_the_same(
    filled: MlflowServer, databases: Databases, tmp_path: Path
) -> None:
    bundle, database, artifacts = tmp_path / "bundle", databases.fresh("sqlite"), tmp_path / "artifacts"
    assert runsync.export(filled.url, bundle, selection=EVERYTHING, **CARRY).exit_code == 0
    assert runsync.check(bundle).exit_code == 0
    access = runsync.Access(artifacts=str(artifacts))
    done = runsync.import_(bundle, database.url, **CARRY, access=access)
    assert (done.exit_code, done.failed) == (0, [])
    with on_database(database, artifacts, tmp_path / "server") as server:
        found, wanted = told(server.url), told(filled.url)
    for part in wanted:
        assert found[part] == wanted[part]
    assert counts(runsync.import_(bundle, database.url, **CARRY, access=access)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_random_the_next_one_brings_what_is_left(
    filled: MlflowServer, start_server: Callable[..., MlflowServer], tmp_path: Path, seed: int
) -> None:
    there, chance = start_server("3", gunicorn=False).wait(), random.Random(seed)
    kinds = [word for kind in KINDS for word in ("--kinds", kind)]
    arguments = ("sync", filled.url, there.url, *kinds, "--gateway", "--accept", ",".join(ACCEPT))
    moments = [chance.randrange(20, 500) for _ in range(6)]
    killed = [run_until(moment, signal.SIGKILL, arguments, tmp_path).code for moment in moments]
    assert -signal.SIGKILL in killed
    brought(filled.url, there.url)
    done = brought(filled.url, there.url)
    assert counts(done) == {}
    wanted, found = alike(told(filled.url), new_ids(done)), alike(told(there.url), {})
    for part in wanted:
        assert found[part] == wanted[part]
