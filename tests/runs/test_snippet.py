"""The printed code runs: models trained into real servers predict in it what they predict themselves."""

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Fleet, Runner, executable
from support import forks
from support.forks import clean_environment

import runsync
from runsync.bundle.snapshot import open_snapshot
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
    done = forks.run(mlflow, arguments, environment, cwd or Path.cwd())
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


def test_the_snippet_of_a_bundle_predicts_from_files(trained: Trained, tmp_path: Path) -> None:
    run_id = trained.runs["frame"]["run_id"]
    bundle = tmp_path / "bundle"
    runsync.export(trained.url, bundle, selection=runsync.Selection(runs=(run_id,)))
    if trained.release == "3":
        with pytest.raises(NothingSelected, match="a bundle does not hold logged models"):
            runsync.snippet(str(bundle), run_id)
        return
    report = runsync.snippet(str(bundle), run_id)
    assert f"#   runsync artifacts get {bundle}@" in report.code
    _fetch(bundle, run_id, tmp_path / f"model-of-{run_id[:8]}")
    (tmp_path / "predict.py").write_text(report.code, encoding="utf-8")
    told = _python(trained.mlflow, "predict.py", cwd=tmp_path)
    assert _numbers(told) == pytest.approx(trained.runs["frame"]["expected"], abs=1e-6)


def _fetch(bundle: Path, run_id: str, into: Path) -> None:
    """What the command in the snippet's comment does."""
    snapshot = open_snapshot(bundle)
    (run,) = snapshot.batch([run_id], ()).runs
    for file in snapshot.artifacts(run):
        place = into / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"".join(snapshot.read_artifact(run, file)))
