"""The printed code runs: models trained into real servers predict in it what they predict themselves."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Fleet, Runner, executable
from support import forks
from support.forks import clean_environment

import runsync
from runsync.errors import NothingSelected


class Trained(NamedTuple):
    url: str
    mlflow: Path
    release: str
    runs: dict[str, Any]


@pytest.fixture(scope="module", params=["3", "2"])
def trained(request: pytest.FixtureRequest, fleet: Fleet) -> Trained:
    release: str = request.param
    server = fleet.get(f"mlflow{release}_a")
    mlflow = executable(release)
    script = Path(__file__).with_name("train_models.py")
    told = _python(mlflow, str(script), server.url, f"snippets {os.getpid()} {release}")
    return Trained(server.url, mlflow, release, json.loads(told.splitlines()[-1]))


def _python(mlflow: Path, *arguments: str, cwd: Path | None = None) -> str:
    environment = clean_environment() | {"MLFLOW_DISABLE_TELEMETRY": "true", "NO_PROXY": "127.0.0.1"}
    done = forks.run(mlflow, arguments, environment, cwd or Path.cwd(), ["sklearn.linear_model"])
    assert done.returncode == 0, done.stderr
    return done.stdout


def _numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]


@pytest.mark.parametrize("kind", ["frame", "tensor"])
def test_the_pandas_snippet_predicts_what_the_model_predicts(trained: Trained, kind: str, tmp_path: Path) -> None:
    run = trained.runs[kind]
    report = runsync.snippet(trained.url, run["run_id"])
    (tmp_path / "predict.py").write_text(report.code, encoding="utf-8")
    told = _python(trained.mlflow, "predict.py", cwd=tmp_path)
    assert _numbers(told) == pytest.approx(run["expected"], abs=1e-6)
    assert (report.model, report.uri.startswith("models:/m-")) == ("model", trained.release == "3")


def test_with_several_models_one_must_be_named_and_the_error_lists_them(trained: Trained, tmp_path: Path) -> None:
    run = trained.runs["two"]
    with pytest.raises(NothingSelected, match=r"2 models: name one with --model \(.*first.*second"):
        runsync.snippet(trained.url, run["run_id"])
    with pytest.raises(NothingSelected, match="no model “third”"):
        runsync.snippet(trained.url, run["run_id"], model="third")
    report = runsync.snippet(trained.url, run["run_id"], model="second")
    (tmp_path / "predict.py").write_text(report.code, encoding="utf-8")
    assert _numbers(_python(trained.mlflow, "predict.py", cwd=tmp_path)) == pytest.approx(run["expected"], abs=1e-6)


def test_the_command_prints_the_code_and_nothing_else(trained: Trained, runsync: Runner) -> None:
    where = trained.url.replace("http://", "http://ada:secret@")
    done = runsync("runs", "snippet", where, trained.runs["frame"]["run_id"], "--spark")
    assert (done.returncode, done.stderr) == (0, "")
    compile(done.stdout, "snippet", "exec")
    assert "spark_udf" in done.stdout
    assert "secret" not in done.stdout
    shown = json.loads(runsync("runs", "snippet", trained.url, trained.runs["frame"]["run_id"], "--json").stdout)
    assert (shown["library"], shown["models"]) == ("pandas", ["model"])


@pytest.fixture
def run(runsync: Runner) -> Runner:
    """The command line, beside the package of the same name."""
    return runsync


def test_the_snippet_of_a_bundle_predicts_from_files(trained: Trained, run: Runner, tmp_path: Path) -> None:
    run_id = trained.runs["frame"]["run_id"]
    bundle = tmp_path / "bundle"
    runsync.export(trained.url, bundle, selection=runsync.Selection(runs=(run_id,)))
    report = runsync.snippet(str(bundle), run_id)
    group = "models" if trained.release == "3" else "artifacts"
    (command,) = re.findall(rf"#   runsync ({group} get {bundle}@.*)", report.code)
    assert run(*shlex.split(command), cwd=tmp_path).returncode == 0
    (tmp_path / "predict.py").write_text(report.code, encoding="utf-8")
    told = _python(trained.mlflow, "predict.py", cwd=tmp_path)
    assert _numbers(told) == pytest.approx(trained.runs["frame"]["expected"], abs=1e-6)
