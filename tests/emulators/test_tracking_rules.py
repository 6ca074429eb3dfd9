"""What the emulator refuses of tracking, and what it adds by itself."""

import json

import pytest
import requests

from emulators.calls import Caller
from emulators.databricks import Databricks, Doubts, Limits, SimulatedClock

DAY = 24 * 60 * 60


def tags_of(call: Caller, experiment: str) -> dict[str, str]:
    found = call.get("experiments/get", experiment_id=experiment)["experiment"]["tags"]
    return {tag["key"]: tag["value"] for tag in found}


def run_of(call: Caller, run: str) -> dict[str, dict[str, str]]:
    data = call.get("runs/get", run_id=run)["run"]["data"]
    return {kind: {each["key"]: each["value"] for each in data.get(kind, [])} for kind in ("params", "tags", "metrics")}


def test_unknown_fields_and_endpoints_are_errors_and_are_noted(call: Caller) -> None:
    assert call.refused("runs/search", experiment_ids=["1"], max_result=3)[1] == "MALFORMED_REQUEST"
    assert call.refused("runs/serach")[:2] == (404, "ENDPOINT_NOT_FOUND")
    assert call.refused("runs/get", "GET", run_id="x", verbose="1")[1] == "MALFORMED_REQUEST"
    assert call.refused("runs/log-metric", run_id="x", key="k", value="much", timestamp=1)[1] == "MALFORMED_REQUEST"
    assert call("POST", "runs/log-metric", data='{"run_id":"x","key":"k","value":NaN,"timestamp":1}').status_code == 400
    assert len(call.workspace.violations) == 5


def test_what_open_source_servers_have_may_be_asked_for(call: Caller) -> None:
    assert call.refused("/api/3.0/mlflow/server-info", "GET")[0] == 404
    assert not call.workspace.violations


def test_credentials_are_refused_as_a_real_workspace_refuses_them(call: Caller) -> None:
    assert Caller(call.workspace, None).refused("experiments/search")[:2] == (401, 401)
    assert Caller(call.workspace, "dapi0").refused("experiments/search") == (403, 403, "Invalid access token.")
    assert call.workspace.directory.refused == ["dapi0"]


def test_tokens_of_oauth_expire(call: Caller) -> None:
    token = call.workspace.directory.issue(call.workspace.principal, call.workspace.clock.now() + 3600)
    assert Caller(call.workspace, token)("POST", "experiments/search", json={}).ok
    call.workspace.clock.advance(3600)
    assert Caller(call.workspace, token).refused("experiments/search")[0] == 403


def test_names_of_experiments_are_paths_whose_folder_is_there(call: Caller) -> None:
    status, code, message = call.refused("experiments/create", name="plain")
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message.startswith("Got an invalid experiment name 'plain'. An experiment name must be an absolute path")
    missing = call.refused("experiments/create", name="/Users/ana@example.com/a/b")
    assert missing == (404, "RESOURCE_DOES_NOT_EXIST", "Parent directory /Users/ana@example.com/a does not exist.")
    call.post("/api/2.0/workspace/mkdirs", path="/Users/ana@example.com/a")
    call.post("/api/2.0/workspace/mkdirs", path="/Users/ana@example.com/a")
    call.post("experiments/create", name="/Users/ana@example.com/a/b")
    assert call.refused("experiments/create", name="/Users/ana@example.com/a/b")[1] == "RESOURCE_ALREADY_EXISTS"
    assert call.refused("/api/2.0/workspace/mkdirs", path="/Users/nobody")[1] == "DIRECTORY_PROTECTED"


def test_the_prefix_workspace_is_taken_off_and_then_not_found(call: Caller) -> None:
    name = f"/Workspace{call.workspace.home}/x"
    call.post("experiments/create", name=name)
    assert call.refused("experiments/get-by-name", "GET", experiment_name=name)[0] == 404
    _status, code, message = call.refused("experiments/create", name=name)
    assert (code, message) == ("RESOURCE_ALREADY_EXISTS", "Node named 'x' already exists")
    assert call.get("experiments/get-by-name", experiment_name=name.removeprefix("/Workspace"))


def test_the_server_adds_its_tags_to_experiments_and_lets_nobody_change_them(call: Caller) -> None:
    experiment = call.experiment(tags=[{"key": "mine", "value": "1"}])
    assert tags_of(call, experiment) == {
        "mine": "1",
        "mlflow.ownerId": call.workspace.owner.user_id,
        "mlflow.ownerEmail": "ana@example.com",
        "mlflow.experimentType": "MLFLOW_EXPERIMENT",
        "mlflow.experiment.sourceName": "/Users/ana@example.com/e",
    }
    fields = {"experiment_id": experiment, "key": "mlflow.ownerId", "value": "1"}
    assert call.refused("experiments/set-experiment-tag", **fields)[2] == "Cannot update tag 'mlflow.ownerId'"
    call.post("experiments/update", experiment_id=experiment, new_name="/Users/ana@example.com/f")
    assert tags_of(call, experiment)["mlflow.experiment.sourceName"] == "/Users/ana@example.com/f"


def test_the_server_adds_its_tags_to_runs_and_lets_nobody_change_them(call: Caller) -> None:
    experiment = call.experiment()
    parent = call.run(experiment, user_id="somebody", tags=[{"key": "mlflow.user", "value": "somebody"}])
    child = call.run(experiment, tags=[{"key": "mlflow.parentRunId", "value": parent}])
    grandchild = call.run(experiment, tags=[{"key": "mlflow.parentRunId", "value": child}])
    assert run_of(call, parent)["tags"]["mlflow.user"] == "ana@example.com"
    assert call.get("runs/get", run_id=parent)["run"]["info"]["user_id"] == ""
    assert "mlflow.rootRunId" not in run_of(call, parent)["tags"]
    assert [run_of(call, each)["tags"]["mlflow.rootRunId"] for each in (child, grandchild)] == [parent, parent]
    for key in ("mlflow.rootRunId", "mlflow.log-model.history"):
        fields = {"run_id": parent, "tags": [{"key": "a", "value": "1"}, {"key": key, "value": "x"}]}
        assert call.refused("runs/log-batch", **fields)[2] == f"Cannot update tag '{key}'"
        made = call.refused("runs/create", experiment_id=experiment, tags=[{"key": key, "value": "x"}])
        assert made[2] == f"Cannot update tag '{key}'"
    assert run_of(call, parent)["tags"]["a"] == "1"


def test_batches_have_limits(call: Caller) -> None:
    run = call.run(call.experiment())
    point = {"key": "m", "value": 1, "timestamp": 1}
    pairs = [{"key": f"k{index}", "value": "v"} for index in range(101)]
    assert "at most 1000 metrics" in call.refused("runs/log-batch", run_id=run, metrics=[point] * 1001)[2]
    assert "at most 100 params" in call.refused("runs/log-batch", run_id=run, params=pairs)[2]
    assert "at most 100 tags" in call.refused("runs/log-batch", run_id=run, tags=pairs)[2]
    fields = {"metrics": [point] * 900, "params": pairs[:50], "tags": pairs[:51]}
    assert "at most 1000 metrics, params, and tags" in call.refused("runs/log-batch", run_id=run, **fields)[2]
    large = [{"key": f"k{index}", "value": "v" * 20_000} for index in range(60)]
    assert "at most 1000000 bytes" in call.refused("runs/log-batch", run_id=run, tags=large)[2]
    call.post("runs/log-batch", run_id=run, params=[{"key": "p", "value": "1"}])
    assert "Changing param values" in call.refused("runs/log-parameter", run_id=run, key="p", value="2")[2]


def test_runs_and_experiments_have_quotas() -> None:
    limits = Limits(points_per_run=3, params_per_run=2, tags_per_run=4, runs_per_experiment=1, tags_per_experiment=5)
    with Databricks(rates=None, limits=limits) as workspace:
        call = Caller(workspace)
        experiment = call.experiment()
        run = call.run(experiment)
        points = [{"key": "m", "value": 1, "timestamp": index, "step": index} for index in range(4)]
        pairs = [{"key": f"k{index}", "value": "v"} for index in range(5)]
        for fields in ({"metrics": points}, {"params": pairs}, {"tags": pairs}):
            _status, code, message = call.refused("runs/log-batch", run_id=run, **fields)
            assert code == "BAD_REQUEST"
            assert "exceeded maximum allowed number" in message
        assert len(call.get("metrics/get-history", run_id=run, metric_key="m")["metrics"]) == 3
        assert call.refused("runs/create", experiment_id=experiment)[1] == "BAD_REQUEST"
        call.post("experiments/set-experiment-tag", experiment_id=experiment, key="a", value="")
        assert call.refused("experiments/set-experiment-tag", experiment_id=experiment, key="b", value="")[0] == 400


def test_pages_have_limits_and_tokens_are_for_one_question(call: Caller) -> None:
    experiment = call.experiment()
    runs = [call.run(experiment, start_time=time) for time in range(3)]
    assert call.refused("runs/search", experiment_ids=[experiment], max_results=50_001)[0] == 400
    assert call.refused("runs/search", experiment_ids=[])[0] == 400
    assert call.refused("runs/search", experiment_ids=[str(n) for n in range(101)])[0] == 400
    assert call.refused("experiments/search", max_results=3001)[0] == 400
    assert call.refused("logged-models/search", experiment_ids=[experiment], max_results=51)[0] == 400
    fields = {"run_id": runs[0], "metric_key": "m", "max_results": 25_001}
    assert call.refused("metrics/get-history", "GET", **fields)[0] == 400
    page = call.post("runs/search", experiment_ids=[experiment], max_results=2)
    token = page["next_page_token"]
    rest = call.post("runs/search", experiment_ids=[experiment], max_results=2, page_token=token)
    told = [each["info"]["run_id"] for each in page["runs"] + rest["runs"]]
    assert told == runs[::-1]
    fields = {"experiment_ids": [experiment], "page_token": token, "filter": "status = 'FAILED'"}
    assert "Invalid page token" in call.refused("runs/search", **fields)[2]


def test_searches_understand_the_filters_that_are_documented(call: Caller) -> None:
    experiment = call.experiment()
    for index in range(4):
        run = call.run(experiment, start_time=index, run_name=f"run {index}")
        call.post(
            "runs/log-batch",
            run_id=run,
            metrics=[{"key": "a b", "value": "NaN" if index == 3 else index, "timestamp": 1}],
            params=[{"key": "p-x", "value": str(index)}] if index else [],
        )

    def found(condition: str, *order: str) -> list[str]:
        fields = {"experiment_ids": [experiment], "filter": condition, "order_by": list(order)}
        runs = call.post("runs/search", **fields).get("runs", [])
        return [each["info"]["run_name"][-1] for each in runs]

    assert found("metrics.`a b` >= 1 and attributes.start_time < 3") == ["2", "1"]
    assert found("params.\"p-x\" LIKE '%' AND run_name ILIKE 'RUN _'") == ["3", "2", "1"]
    assert found("params.p-x IS NULL") == ["0"]
    assert found("attributes.run_name IN ('run 0', 'run 2')", "attributes.start_time ASC") == ["0", "2"]
    assert found("status = 'RUNNING'", "params.`p-x` DESC") == ["3", "2", "1", "0"]
    for wrong in ("a OR b", "metrics.a = 'x'", "params.x > 1", "nothing.x = '1'", "metrics.a > 1 OR metrics.a < 0"):
        assert call.refused("runs/search", experiment_ids=[experiment], filter=wrong)[0] == 400


def test_deleted_things_are_kept_for_thirty_days(call: Caller) -> None:
    experiment, other = call.experiment(), call.experiment("other")
    run = call.run(experiment)
    call.post("runs/delete", run_id=run)
    call.post("experiments/delete", experiment_id=other)
    call.workspace.clock.advance(29 * DAY)
    call.post("runs/restore", run_id=run)
    call.post("runs/delete", run_id=run)
    call.workspace.clock.advance(31 * DAY)
    assert call.refused("runs/restore", run_id=run)[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    assert call.refused("experiments/restore", experiment_id=other)[0] == 404
    fields = {"experiment_id": experiment, "min_timestamp_millis": 0}
    assert call.post("databricks/runs/restore-runs", **fields) == {"runs_restored": 0}


def test_bulk_deletion_takes_at_most_ten_thousand(call: Caller) -> None:
    experiment = call.experiment()
    fields = {"experiment_id": experiment, "max_timestamp_millis": 1}
    for number in (0, 10_001):
        assert call.refused("databricks/runs/delete-runs", **fields, max_runs=number)[0] == 400


@pytest.mark.parametrize("by_start_time", [False, True])
def test_bulk_deletion_looks_at_one_of_two_times(by_start_time: bool) -> None:
    with Databricks(rates=None, clock=SimulatedClock(), doubts=Doubts(bulk_by_start_time=by_start_time)) as workspace:
        call = Caller(workspace)
        experiment = call.experiment()
        call.run(experiment, start_time=5)
        fields = {"experiment_id": experiment, "max_timestamp_millis": 1000}
        assert call.post("databricks/runs/delete-runs", **fields)["runs_deleted"] == int(by_start_time)


def test_a_deleted_experiment_leaves_its_name_to_others(call: Caller) -> None:
    first = call.experiment()
    call.post("experiments/delete", experiment_id=first)
    second = call.experiment()
    found = call.get("experiments/get-by-name", experiment_name=f"{call.workspace.home}/e")
    assert found["experiment"]["experiment_id"] == second
    assert call.refused("experiments/restore", experiment_id=first)[1] == "RESOURCE_ALREADY_EXISTS"


def test_numbers_can_come_as_text_and_tags_twice() -> None:
    with Databricks(rates=None, doubts=Doubts(longs_as_text=True, duplicate_tags=True)) as workspace:
        call = Caller(workspace)
        experiment = call.experiment()
        run = call.run(experiment, start_time="5")
        assert call.get("runs/get", run_id=run)["run"]["info"]["start_time"] == "5"
        tags = call.get("experiments/get", experiment_id=experiment)["experiment"]["tags"]
        assert [tag["key"] for tag in tags].count("mlflow.ownerId") == 2


def test_two_workspaces_do_not_know_each_other() -> None:
    with Databricks() as source, Databricks() as target:
        assert Caller(source, target.token).refused("experiments/search")[0] == 403
        headers = {"X-Databricks-Workspace-Id": target.workspace_id, "Authorization": f"Bearer {source.token}"}
        answer = requests.post(f"{source.url}/api/2.0/mlflow/experiments/search", json={}, headers=headers, timeout=300)
        assert answer.status_code == 400
        assert source.violations
        assert target.token not in json.dumps([each.__dict__ for each in source.requests])
        assert {source.token, source.client_secret} <= source.secrets
