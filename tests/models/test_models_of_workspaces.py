"""Models of a real server, of its database, and of a bundle of it: found, fetched, and loaded by MLflow from where they
were fetched to."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Runner, executable
from support import forks
from support.forks import clean_environment
from support.proxy import FaultProxy
from support.servers import MlflowServer

from runsync.model.identity import own_tags_removed

pytestmark = pytest.mark.server

SCRIPT = Path(__file__).parents[1] / "support" / "mlflow_models.py"
DOUBLED, TRIPLED = [2.0, 4.0], [3.0, 6.0]
"""What the two models that `mlflow_models` makes predict for 1 and 2."""


class Filled(NamedTuple):
    """A server with models, and each way to read them: the arguments of a command."""

    url: str
    ids: dict[str, str]
    places: dict[str, list[str]]


def client(folder: Path, *arguments: str) -> Any:
    """What the script answers: see `mlflow_models`."""
    done = forks.run(executable("3"), [str(SCRIPT), *arguments], clean_environment() | forks.QUIET, folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    import runsync

    folder = tmp_path_factory.mktemp("filled")
    with MlflowServer(executable("3"), folder=folder / "server", gunicorn=True) as server:
        ids = client(folder, "fill", server.url, "-")
        runsync.export(server.url, folder / "bundle")
        database = [f"sqlite:///{folder}/server/mlflow.db", "--artifacts", str(server.artifact_root)]
        yield Filled(server.url, ids, {"server": [server.url], "database": database, "bundle": [f"{folder}/bundle"]})


@pytest.fixture(params=["server", "database", "bundle", pytest.param("file store", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, filled: Filled, tmp_path: Path) -> list[str]:
    if request.param != "file store":
        return filled.places[request.param]
    import runsync

    (bundle,) = filled.places["bundle"]
    report = runsync.import_(bundle, f"{tmp_path}/mlruns", accept=["prompts", "label-schemas"])
    assert (report.failed, report.problems) == ([], [])  # files on S3 that nobody may read stay behind
    return [f"{tmp_path}/mlruns"]


def test_what_is_fetched_predicts_as_the_model_does(
    filled: Filled, place: list[str], runsync: Runner, tmp_path: Path
) -> None:
    where, *options = place
    expected = {
        "churn@champion": DOUBLED,
        "churn/2": TRIPLED,
        "churn/4": DOUBLED,
        "churn@challenger": TRIPLED,
        f"models:/{filled.ids['model']}": DOUBLED,
    }
    folders = {asked: tmp_path / re.sub(r"\W", "-", asked) for asked in expected}
    for asked, folder in folders.items():
        for action in ("fetched", "kept"):
            done = runsync("models", "get", where, asked, "--into", folder, "--json", *options)
            assert (done.returncode, {f["action"] for f in json.loads(done.stdout)["files"]}) == (0, {action}), asked
    told = client(tmp_path, "predict", filled.url, *(folder.as_uri() for folder in folders.values()))
    assert list(told.values()) == list(expected.values())


def test_every_place_tells_the_same_of_models(place: list[str], filled: Filled, runsync: Runner) -> None:
    where, *options = place
    (model, empty) = json.loads(runsync("models", "list", where, "--json").stdout)["models"]
    assert (model["name"], model["latest_version"], model["versions"]) == ("churn", 7, 6)
    assert model["aliases"] == {"challenger": 5, "champion": 1, "copy": 4}
    assert own_tags_removed(model["tags"]) == {"owner": "ada"}  # a copy has some of runsync's
    assert (empty["name"], empty["latest_version"], empty["versions"]) == ("empty", None, 0)
    shown = json.loads(runsync("models", "show", where, "churn@copy", "--json", *options).stdout)
    assert shown["of_version"]["home"] == {"kind": "logged-models", "id": filled.ids["model"], "path": ""}
    assert "MLmodel" in {file["path"] for file in shown["of_version"]["files"]}
    elsewhere = runsync("models", "show", where, "churn/7", *options)
    assert "s3://elsewhere/model" in elsewhere.stdout
    compared = json.loads(runsync("models", "compare", where, "churn/1", "churn/2", "--json").stdout)
    rows = {(row["group"], row["key"]): row["values"] for row in compared["rows"]}
    assert rows["params", "depth"] == ["3", None]
    assert rows["details", "stage"] == [None, "Production"]


def test_runs_and_experiments_tell_of_their_models(place: list[str], filled: Filled, runsync: Runner) -> None:
    where, *_ = place
    shown = json.loads(runsync("runs", "show", where, filled.ids["run"], "--json", "--no-artifacts").stdout)
    told = {(model["name"], model["status"], model["step"]) for model in shown["logged_models"]}
    assert told >= {("model", "READY", 0), ("checkpoint", "FAILED", 7)}
    assert {f"{v['name']}/{v['version']}" for v in shown["model_versions"]} >= {"churn/2", "churn/5", "churn/6"}
    assert json.loads(runsync("experiments", "show", where, "first", "--json").stdout)["logged_models"] == 3
    found = runsync("runs", "list", where, "--filter", "has_model_version", "--format", "jsonl").stdout
    assert {json.loads(line)["run_id"] for line in found.splitlines()} == {filled.ids["run"]}


@pytest.mark.parametrize("kind", ["server", "bundle"])
@pytest.mark.parametrize(("asked", "expected"), [("models:/churn@champion", "2.0"), ("models:/churn/2", "3.0")])
def test_the_snippet_of_a_version_runs(
    filled: Filled, kind: str, asked: str, expected: str, runsync: Runner, tmp_path: Path
) -> None:
    done = runsync("runs", "snippet", filled.places[kind][0], asked)
    for command in re.findall(r"#   runsync (.*)", done.stdout):
        assert runsync(*shlex.split(command), cwd=tmp_path).returncode == 0
    code = re.sub(r"pd\.DataFrame\(\{.*?\}\)", "[1.0]", done.stdout, flags=re.DOTALL)
    (tmp_path / "predict.py").write_text(code, encoding="utf-8")
    environment = clean_environment() | forks.QUIET
    told = forks.run(executable("3"), ["predict.py"], environment, tmp_path)
    assert expected in told.stdout, told.stderr


def test_looking_at_models_asks_for_lists_and_for_the_files_of_one(filled: Filled, runsync: Runner) -> None:
    with FaultProxy(filled.url) as proxy:
        runsync("models", "list", proxy.url)
        assert proxy.count("registered-models/search|model-versions/search") <= 4
        proxy.requests.clear()
        runsync("models", "show", proxy.url, "churn@champion")
        assert proxy.count("logged-models/m-[0-9a-f]+$") <= 1
