"""sync --delete for traces: what was deleted at the source is told, and followed under the brake when asked to."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import Runner
from support.databases import Databases
from support.proxy import FaultProxy
from support.servers import MlflowServer

import runsync as package

pytestmark = pytest.mark.server

KINDS = pytest.mark.parametrize(
    "kind", ["server", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("database", "file store"))]
)
Start = Callable[..., MlflowServer]


def call(server: MlflowServer, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    answer = requests.request(method, f"{server.url}/api/{path}", json=body or {}, timeout=30)
    assert answer.ok, answer.text
    return answer.json()


def make(server: MlflowServer, experiment_id: str, *names: str) -> None:
    """Traces without spans."""
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}
    told = {"trace_location": place, "request_time": "2026-11-01T12:00:00Z", "state": "OK"}
    for name in names:
        call(server, "POST", "3.0/mlflow/traces", {"trace": {"trace_info": {"trace_id": f"tr-{name}", **told}}})


def judge(server: MlflowServer, trace: str, name: str) -> str:
    """The id of feedback on it."""
    told = {
        "assessment_name": name,
        "trace_id": f"tr-{trace}",
        "source": {"source_type": "HUMAN", "source_id": "ada"},
        "feedback": {"value": True},
        "create_time": "2026-11-01T12:00:00Z",
        "last_update_time": "2026-11-01T12:00:00Z",
    }
    answer = call(server, "POST", f"3.0/mlflow/traces/tr-{trace}/assessments", {"assessment": told})
    return str(answer["assessment"]["assessment_id"])


def delete(server: MlflowServer, experiment_id: str, *names: str) -> None:
    ids = [f"tr-{name}" for name in names]
    call(server, "POST", "2.0/mlflow/traces/delete-traces", {"experiment_id": experiment_id, "request_ids": ids})


def there(place: str) -> dict[str, list[str]]:
    """Names of the assessments of each trace."""
    found = package.list_traces(place).traces
    return {trace.trace_id.removeprefix("tr-"): sorted(one.name for one in trace.assessments) for trace in found}


@pytest.mark.parametrize(
    "kind", ["server", *(pytest.param(k, marks=pytest.mark.slow) for k in ("database", "file store"))]
)
def test_traces_and_assessments_deleted_at_the_source_are_deleted_when_asked_to(
    kind: str, start_server: Start, runsync: Runner, databases: Databases, tmp_path: Path
) -> None:
    source = start_server().wait()
    experiment_id = str(call(source, "POST", "2.0/mlflow/experiments/create", {"name": "traced"})["experiment_id"])
    make(source, experiment_id, "a", "b", "c", "d")
    first, _ = judge(source, "a", "first"), judge(source, "a", "second")
    server = start_server().wait() if kind == "server" else None
    path = databases.fresh("sqlite").url if kind == "database" else str(tmp_path / "store")
    target = server.url if server is not None else path

    def sync(*options: object) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(runsync("sync", source.url, target, *options, "--json").stdout)
        return told

    assert sync()["objects"]["traces"]["created"] == 4
    if server is not None:
        (home,) = package.list_experiments(target, experiments=["traced"]).experiments
        make(server, home.experiment_id, "own")
        judge(server, "a", "added here")
    own, added = ({"own"}, ["added here"]) if server is not None else (set(), [])
    delete(source, experiment_id, "b", "c")
    call(source, "DELETE", f"3.0/mlflow/traces/tr-a/assessments/{first}")

    told = sync()
    deletions = [one for one in told["not_carried"] if one["what"] == "deletions of traces"]
    assert [(one["count"], sorted(one["names"])) for one in deletions] == [(2, ["tr-b", "tr-c"])]
    found = there(target)
    assert (set(found), found["a"]) == ({"a", "b", "c", "d", *own}, [*added, "second"])
    refused = runsync("sync", source.url, target, "--delete")
    assert (refused.returncode, "2 of 4 traces" in refused.stderr) == (4, True)
    planned = sync("--delete", "--max-delete", "50%", "--dry-run")
    assert any("2 traces would be deleted in the target: tr-" in note for note in planned["notes"])
    done = sync("--delete", "--max-delete", "2")
    assert (done["exit_code"], set(there(target))) == (0, {"a", "d", *own})
    assert any("2 traces deleted in the target, as at the source" in note for note in done["notes"])
    assert not any("deleted" in note for note in sync("--delete")["notes"])


@pytest.mark.parametrize(("options", "searches"), [({}, 1), ({"delete": True, "max_delete": "50%"}, 2)])
def test_traces_are_listed_once_on_each_side_and_twice_at_the_source_only_to_delete(
    options: dict[str, Any], searches: int, start_server: Start, tmp_path: Path
) -> None:
    source, target = start_server(), start_server()
    experiment_id = str(
        call(source.wait(), "POST", "2.0/mlflow/experiments/create", {"name": "traced"})["experiment_id"]
    )
    make(source, experiment_id, "a", "b")
    with FaultProxy(source.url) as one, FaultProxy(target.wait().url) as other:
        package.sync(one.url, other.url)
        delete(source, experiment_id, "b")
        for proxy in (one, other):
            proxy.clear()
        done = package.sync(one.url, other.url, **options)
        listed = [Counter(experiments_listed(proxy)) for proxy in (one, other)]
    assert [side.most_common(1)[0][1] for side in listed] == [searches, 1], listed
    assert set(there(target.url)) == ({"a"} if options else {"a", "b"})
    assert bool([left for left in done.not_carried if left.what == "deletions of traces"]) is not bool(options)


def experiments_listed(proxy: FaultProxy) -> Iterator[str]:
    """Once for each time that the traces of one were asked for."""
    for request in proxy.seen("3.0/mlflow/traces/search"):
        asked = json.loads(request.body)
        if asked["max_results"] > 1 and "filter" not in asked:
            yield from (place["mlflow_experiment"]["experiment_id"] for place in asked["locations"])
