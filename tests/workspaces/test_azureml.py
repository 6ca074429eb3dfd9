"""Azure ML, as far as its documents tell: experimental, within its limits, with nothing lost silently and no secret."""

import json
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import Runner
from emulators.azureml.gate import CLIENT, MLFLOW, SCOPE, SECRET, TENANT, Gate
from support import models_by_rest
from support.rich import small_workspace
from support.secrets import MARK, SEARCH
from support.seed import Seeder, points
from support.servers import MlflowServer

import runsync as library
from runsync.errors import AccessDenied, RequestRefused, WrongUsage
from runsync.model.selection import Selection
from runsync.transfer.places import open_workspace
from runsync.workspaces.azureml.address import is_azureml, resolve
from workspaces.doctor import examined, names_a_run

PUBLIC = f"azureml://westeurope.api.azureml.ms/mlflow/v1.0{SCOPE}"


@pytest.fixture
def gate(mlflow3_b: MlflowServer) -> Iterator[Gate]:
    with Gate(mlflow3_b.url) as gate:
        yield gate


@pytest.fixture
def env(gate: Gate) -> dict[str, str]:
    """A service principal."""
    return {
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_CLIENT_SECRET": SECRET,
        "AZURE_AUTHORITY_HOST": gate.url,
        "RUNSYNC_PATIENCE": "20",
    }


@pytest.fixture
def signed_in(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process, in which workspaces are opened."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_workspace_goes_to_azure_and_comes_back_and_what_azure_does_not_take_is_named(
    mlflow3_a: MlflowServer, gate: Gate, env: dict[str, str], prefix: str, runsync: Runner, tmp_path: Path
) -> None:
    with Seeder(mlflow3_a.url) as seeder:
        facts = small_workspace(seeder, prefix)
        run_id = seeder.create_run(seeder.create_experiment(f"{prefix}long"), "long")
        points(seeder, run_id, "loss", 1500)
        for first in (0, 100, 200):
            seeder.log_batch(run_id, params={f"p{number}": "1" for number in range(first, first + 100)})
        seeder.finish(run_id)
    selected = ("--experiment", f"{prefix}*", "--log-file", tmp_path / "log")
    there = runsync("sync", mlflow3_a.url, gate.address, *selected, "--json", env=env)
    told = json.loads(there.stdout)
    too_many = [problem for problem in told["problems"] if problem["reason"] == "the target takes 200 params a run"]
    assert there.returncode == 3
    assert too_many
    assert too_many == told["problems"], [p for p in told["problems"] if p not in too_many][:5]
    assert told["notes"][0].startswith("Azure ML is experimental here")
    verified = runsync("verify", mlflow3_a.url, gate.address, *selected, "--verify-artifacts", "--json", env=env)
    found = json.loads(verified.stdout)["differences"]
    assert verified.returncode == 4
    assert {difference["field"].partition(".")[0] for difference in found} == {"params"}, found[:5]
    back = runsync("export", gate.address, "bundle", *selected, env=env)
    assert back.returncode == 0, back.stdout + back.stderr
    assert "Azure ML is experimental here" in back.stdout
    same = runsync("verify", "bundle", gate.address, *selected, "--verify-artifacts", env=env)
    assert same.returncode == 0, same.stdout + same.stderr
    # MLflow itself refuses one of two requests with the same new dataset: it is sent again.
    refused = [request.target for request, status in gate.seen if status in (400, 401, 403)]
    assert not [target for target in refused if "log-inputs" not in target]
    assert facts.runs


def test_a_model_goes_to_azures_registry_with_its_runs_and_its_files(
    mlflow3_a: MlflowServer, gate: Gate, signed_in: pytest.MonkeyPatch, prefix: str, tmp_path: Path
) -> None:
    name = f"{prefix}churn"
    with Seeder(mlflow3_a.url) as seeder:
        models_by_rest.fill(seeder, prefix, name, logged=False)
    selection = Selection(models=(name,))
    for action in ("created", "unchanged"):
        report = library.sync(mlflow3_a.url, gate.address, selection=selection)
        counts = {kind: getattr(tally, action) for kind, tally in report.objects.items()}
        assert (counts, report.failed, report.problems) == ({"registered-models": 1, "model-versions": 3}, [], [])
        assert {(left.kind, left.names) for left in report.left_behind} == {
            ("model-aliases", (f"{name}@champion", f"{name}@old"))
        }
    verified = library.verify(mlflow3_a.url, gate.address, selection=selection, accept=["model-aliases"])
    assert (verified.differences, verified.exit_code) == ([], 0)
    got = library.get_model(gate.address, f"{name}/4", into=tmp_path / "model")
    assert (len(got.files), (tmp_path / "model" / "data" / "weights.bin").read_bytes()) == (2, b"second" * 100)
    assert not [request.target for request, status in gate.seen if status in (400, 401, 403, 404)]


def test_versions_that_were_deleted_at_the_source_are_deleted_and_models_are_named(
    mlflow3_a: MlflowServer,
    start_server: Callable[..., MlflowServer],
    env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    prefix: str,
) -> None:
    target = start_server("3").wait()
    with Seeder(mlflow3_a.url) as seeder, Gate(target.url) as gate:
        for name, value in (env | {"AZURE_AUTHORITY_HOST": gate.url}).items():
            monkeypatch.setenv(name, value)
        names = [f"{prefix}{name}" for name in ("churn", "gone")]
        for name in names:
            seeder.post("registered-models/create", name=name)
            for _ in range(3):
                seeder.post("model-versions/create", name=name, source="s3://elsewhere/model")
        library.sync(mlflow3_a.url, gate.address, selection=Selection(models=tuple(names)))
        seeder.call("DELETE", "model-versions/delete", {"name": names[0], "version": "2"})
        seeder.call("DELETE", "registered-models/delete", {"name": names[1]})
        selection = Selection(kinds=("registered-models", "model-versions", "model-aliases"))
        for _ in range(2):
            report = library.sync(mlflow3_a.url, gate.address, selection=selection, delete=True, max_delete="100%")
            assert [one for one in report.failed if prefix in one["name"]] == []
            (left,) = (left for left in report.not_carried if left.what == "deletions of registered models")
            assert (left.names, left.kind) == ((names[1],), "")
    with Seeder(target.url) as seeder:
        found = seeder.call("GET", "model-versions/search")["model_versions"]
        models = seeder.call("GET", "registered-models/search")["registered_models"]
    mine = [(one["name"], one["version"]) for one in found if prefix in one["name"]]
    assert sorted(mine) == [(names[0], "1"), (names[0], "3")]
    assert [one["name"] for one in models if prefix in one["name"]] == names


def test_a_new_name_that_azure_cannot_give_is_named_and_the_runs_go_on_under_the_old_one(
    mlflow3_a: MlflowServer, gate: Gate, signed_in: pytest.MonkeyPatch, prefix: str
) -> None:
    selection = Selection(experiments=(prefix + "*",))
    with Seeder(mlflow3_a.url) as seeder:
        home = seeder.create_experiment(prefix + "home")
        seeder.finish(seeder.create_run(home, "first"))
        assert library.sync(mlflow3_a.url, gate.address, selection=selection).exit_code == 0
        seeder.post("experiments/update", experiment_id=home, new_name=prefix + "new")
        seeder.finish(seeder.create_run(home, "second"))
    told = library.sync(mlflow3_a.url, gate.address, selection=selection)
    assert (told.exit_code, told.runs.created, told.runs.unchanged, told.runs.failed) == (3, 1, 1, 0)
    (failed,) = told.failed
    assert "Azure ML cannot rename experiments" in failed["error"]
    assert f"--rename '{home}={prefix}home'" in failed["error"]
    kept = library.sync(mlflow3_a.url, gate.address, selection=selection, rename={home: prefix + "home"})
    assert (kept.exit_code, kept.runs.unchanged) == (0, 2)


def test_filters_and_orders_that_azure_lacks_are_held_here(
    mlflow3_b: MlflowServer, gate: Gate, env: dict[str, str], prefix: str, runsync: Runner
) -> None:
    with Seeder(mlflow3_b.url) as seeder:
        home = seeder.create_experiment(prefix + "home")
        for number, name in enumerate(("alpha", "alps", "beta")):
            run_id = seeder.create_run(home, name, start_time=1_700_000_000_000 + number)
            seeder.log_batch(run_id, params={"kind": name}, metrics=[("val loss", 3.0 - number, 0, 0)])
            seeder.finish(run_id)
    listed = ("runs", "list", gate.address, "--experiment", prefix + "home", "--json")
    found = runsync(*listed, "--filter", "params.kind LIKE 'al%' AND metrics.`val loss` < 2.5 OR tags.x = 'y'", env=env)
    assert found.returncode == 0, found.stderr
    assert [run["name"] for run in json.loads(found.stdout)["runs"]] == ["alps"]
    best = runsync(*listed, "--order-by", "metrics.`val loss` ASC", "--limit", "2", env=env)
    assert best.returncode == 0, best.stderr
    assert [run["name"] for run in json.loads(best.stdout)["runs"]] == ["beta", "alps"]


def test_doctor_tells_who_logs_in_what_azure_does_not_tell_and_its_limits(
    mlflow3_b: MlflowServer, gate: Gate, env: dict[str, str], prefix: str, runsync: Runner
) -> None:
    with Seeder(mlflow3_b.url) as seeder:
        run_id = seeder.create_run(seeder.create_experiment(prefix + "home"), "run", start_time=4_000_000_000_000)
    gate.blobs.files[f"{run_id}/file.txt"] = b"content"
    told = examined(runsync, gate.address, env)
    assert "warning: it tells no version. Azure ML is experimental here" in told["server"][0]
    assert told["identity"][0].startswith("ok: logged in by client secret; the server lets us in")
    assert "AzureML Data Scientist" in told["rights"][0]
    assert told["limits"][0].startswith("ok: 200 params a run")
    assert names_a_run(told["artifacts"][0])
    assert not [text for texts in told.values() for text in texts if text.startswith("failure")]
    asked = [request for request, _ in gate.seen if "/oauth2/" not in request.target and request.method == "POST"]
    assert not [request.target for request in asked if "/search" not in request.target]


def test_doctor_tells_what_azure_refuses_as_a_finding(
    gate: Gate, env: dict[str, str], runsync: Runner, tmp_path: Path
) -> None:
    wrong = examined(runsync, gate.address, env | {"AZURE_CLIENT_SECRET": f"not/the secret{MARK}"}, code=13)
    assert "failure: http" in wrong["access"][0]
    assert "check AZURE_CLIENT_SECRET, which may have expired" in wrong["access"][0]
    gate.tokens[(ended := gate.token())].until = 0.0
    file = SEARCH.holds_secrets(tmp_path / "runsync.toml")
    file.write_text(f'[workspaces.ml]\nuri = "{gate.address}"\ntoken = "{ended}"\n')
    over = examined(runsync, "ml", {}, code=13)
    assert "refused access (HTTP 401, by token): it needs a role such as AzureML Data Scientist" in over["access"][0]
    other = examined(runsync, gate.address.replace("workspaces/ws", "workspaces/gone"), env, code=13)
    assert len(other) == 1
    assert next(iter(other.values()))[0].startswith("failure")


def test_a_token_that_is_refused_is_asked_for_anew(gate: Gate, signed_in: pytest.MonkeyPatch) -> None:
    workspace = open_workspace(gate.address)
    gate.tokens.clear()
    assert workspace.experiments(Selection())
    workspace.close()
    assert [status for request, status in gate.seen if "/oauth2/" in request.target] == [200, 200]
    assert 401 in [status for _, status in gate.seen]


def test_a_token_is_asked_for_anew_before_it_ends(gate: Gate, signed_in: pytest.MonkeyPatch) -> None:
    gate.lasts = 2
    workspace = open_workspace(gate.address)
    time.sleep(1.1)
    assert workspace.experiments(Selection())
    workspace.close()
    assert not [status for _, status in gate.seen if status == 401]
    assert len(gate.tokens) > 1


def test_a_client_secret_that_is_wrong_is_told_and_not_shown(gate: Gate, signed_in: pytest.MonkeyPatch) -> None:
    signed_in.setenv("AZURE_CLIENT_SECRET", f"not/the secret{MARK}")
    with pytest.raises(AccessDenied, match="gives no token to client-of-tests of tenant contoso-tenant") as caught:
        open_workspace(gate.address)
    assert "not/the secret" not in str(caught.value)


def test_a_token_may_be_given_and_one_that_ended_is_told(gate: Gate, tmp_path: Path) -> None:
    file = SEARCH.holds_secrets(tmp_path / "runsync.toml")
    file.write_text(f'[workspaces.ml]\nuri = "{gate.address}"\ntoken = "{gate.token()}"\n')
    workspace = open_workspace("ml", config=str(file))
    assert workspace.place.address.startswith("azureml://127.0.0.1:")
    workspace.close()
    gate.tokens.clear()
    with pytest.raises(AccessDenied, match=r"refused access \(HTTP 401, by token\): it needs a role"):
        open_workspace("ml", config=str(file))


def test_azure_identity_is_asked_where_nothing_else_is_told(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    class Credential:
        def __init__(self, authority: str) -> None:
            self.authority = authority

        def get_token(self, scope: str) -> SimpleNamespace:
            asked.append((self.authority, scope))
            return SimpleNamespace(token=gate.token(), expires_on=2_000_000_000)

    module = types.ModuleType("azure.identity")
    module.DefaultAzureCredential = Credential  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "azure", types.ModuleType("azure"))
    monkeypatch.setitem(sys.modules, "azure.identity", module)
    open_workspace(gate.address).close()
    assert asked == [("https://login.microsoftonline.com", "https://management.azure.com/.default")]


def test_without_any_identity_it_is_told_what_to_do(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(WrongUsage, match="set AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, or az login"):
        open_workspace(gate.address)


def test_an_experiment_is_not_renamed_there(gate: Gate, signed_in: pytest.MonkeyPatch) -> None:
    workspace = open_workspace(gate.address)
    with pytest.raises(RequestRefused, match="Azure ML cannot rename experiments"):
        workspace.editor().rename_experiment("1", "other")
    workspace.close()


def test_a_history_that_azure_would_cut_is_told(
    mlflow3_b: MlflowServer, gate: Gate, env: dict[str, str], prefix: str, runsync: Runner
) -> None:
    gate.cuts = True
    with Seeder(mlflow3_b.url) as seeder:
        home = seeder.create_experiment(prefix + "home")
        for name, count in (("long", 1500), ("whole", 998), ("short", 10)):
            run_id = seeder.create_run(home, name)
            points(seeder, run_id, "loss", count)
            seeder.finish(run_id)
    done = runsync("export", gate.address, "bundle", "--experiment", prefix + "home", "--json", env=env)
    told = json.loads(done.stdout)
    assert done.returncode == 3
    assert (told["runs"]["created"], told["runs"]["failed"]) == (2, 1)
    assert "Azure ML gives 998 points and no further page" in done.stdout


def test_an_address_that_ended_is_asked_for_anew_and_never_told(
    mlflow3_b: MlflowServer, gate: Gate, env: dict[str, str], prefix: str, runsync: Runner, tmp_path: Path
) -> None:
    with Seeder(mlflow3_b.url) as seeder:
        run_id = seeder.create_run(seeder.create_experiment(prefix + "home"), "run")
        seeder.finish(run_id)
    gate.blobs.files |= {f"{run_id}/{number}.txt": b"text" for number in range(5)}
    gate.blobs.ended = 1_000_000
    arguments = ("export", gate.address, "bundle", "--experiment", prefix + "home", "--log-file", tmp_path / "log")
    refused = runsync(*arguments, env=env)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "answered 403 (HEAD of an artifact)" in refused.stdout + refused.stderr
    gate.blobs.ended = 3
    done = runsync(*arguments, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 artifacts" in done.stdout


@pytest.mark.parametrize(
    ("typed", "url", "login"),
    [
        (PUBLIC, f"https://westeurope.api.azureml.ms{MLFLOW}", "https://login.microsoftonline.com"),
        (PUBLIC + "?", f"https://westeurope.api.azureml.ms{MLFLOW}", "https://login.microsoftonline.com"),
        (
            PUBLIC.replace("azureml:", "https:").replace("v1.0", "v2.0"),
            f"https://westeurope.api.azureml.ms{MLFLOW}",
            "https://login.microsoftonline.com",
        ),
        (
            PUBLIC.replace("westeurope.api.azureml.ms", "usgovvirginia.api.ml.azure.us"),
            f"https://usgovvirginia.api.ml.azure.us{MLFLOW}",
            "https://login.microsoftonline.us",
        ),
        (
            PUBLIC.replace("westeurope.api.azureml.ms", "chinaeast2.api.ml.azure.cn"),
            f"https://chinaeast2.api.ml.azure.cn{MLFLOW}",
            "https://login.chinacloudapi.cn",
        ),
    ],
)
def test_a_tracking_uri_tells_where_the_api_is_and_where_tokens_come_from(typed: str, url: str, login: str) -> None:
    address = resolve(typed, environ={})
    assert is_azureml(typed)
    assert (address.url, address.cloud.login) == (url, login)
    assert address.printable == url.replace("https:", "azureml:")


@pytest.mark.parametrize(
    "typed",
    [
        "azureml://",
        "azureml://host/mlflow/v1.0/subscriptions/x",
        PUBLIC.replace("azureml://", "azureml://me:hunter2@"),
        PUBLIC.replace("azureml://", "http://"),
        PUBLIC.replace("westeurope.api.azureml.ms", "host:port"),
    ],
)
def test_what_is_no_tracking_uri_is_refused(typed: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        resolve(typed, environ={})
    assert "hunter2" not in str(caught.value)
