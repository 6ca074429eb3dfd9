"""A run is run again from what reproduce wrote; what a server wrote is never run by a shell or by git."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import ROOT
from support.memory import export_into
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from runsync.errors import WrongUsage
from runsync.model.experiment import Experiment
from runsync.testing.memory import MemorySource, run_with_metrics

RUN_ID = "ab" * 16
TRAIN = """\
import argparse, json, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.5)
lr = parser.parse_args().lr
weight = 0.0
for _ in range(10):
    weight += lr * (1 - weight)
print(json.dumps({"weight": weight}))
"""


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, encoding="utf-8").stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "jobs").mkdir(parents=True)
    (folder / "jobs/train.py").write_text(TRAIN)
    (folder / "requirements.txt").write_text("pip\n")
    _git(folder, "init", "--quiet")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "-m", "first")
    return folder


def _bundle(tmp_path: Path, tags: dict[str, str], **more: Any) -> str:
    files = more.pop("files", {})
    run = run_with_metrics(RUN_ID, {}, tags=tags, **more)
    export_into(tmp_path / "bundle", MemorySource([Experiment("1", "e")], [run], {}, {RUN_ID: files}))
    return str(tmp_path / "bundle")


def _valid(report: Any) -> dict[str, Any]:
    schema = json.loads((ROOT / "schemas/v1/reproduce-report.schema.json").read_text())
    document: dict[str, Any] = report.to_document()
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


def _script(folder: Path, *arguments: str) -> str:
    command = ["sh", str(folder / "reproduce.sh"), *arguments]
    environment = {**os.environ, "PYTHON": sys.executable, "PIP_OPTIONS": "--no-index"}
    return subprocess.run(command, env=environment, check=True, capture_output=True, encoding="utf-8").stdout


@pytest.mark.slow
def test_a_run_on_a_server_comes_out_the_same_again(
    mlflow3_a: MlflowServer, prefix: str, repository: Path, tmp_path: Path
) -> None:
    weight = json.loads(subprocess.check_output([sys.executable, repository / "jobs/train.py", "--lr", "0.25"]))[
        "weight"
    ]
    commit = _git(repository, "rev-parse", "HEAD")
    tags = {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "/home/ada/work/jobs/train.py",
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.repoURL": f"file://{repository}",
    }
    with Seeder(mlflow3_a.url) as seeder:
        run_id = seeder.create_run(seeder.create_experiment(prefix + "e"), "r", tags=tags)
        seeder.log_batch(run_id, params={"lr": "0.25"}, metrics=[("weight", weight, 1, 0)])
        seeder.put_artifact(run_id, "model/MLmodel", b"flavors: {python_function: {}}\n")
        seeder.put_artifact(run_id, "model/requirements.txt", b"pip\n")
        version = f"{sys.version_info[0]}.{sys.version_info[1]}.0"
        seeder.put_artifact(run_id, "model/python_env.yaml", f"python: {version}\n".encode())
    (repository / "jobs/train.py").write_text("raise SystemExit('a later one')\n")
    _git(repository, "commit", "--quiet", "-am", "later")
    into = tmp_path / "again"
    planned = runsync.reproduce(mlflow3_a.url, run_id, into, dry_run=True)
    assert (_valid(planned)["commit"], into.exists()) == (commit, False)
    report = runsync.reproduce(mlflow3_a.url, run_id, into)
    assert (report.exit_code, report.missing, report.python) == (0, [], version)
    assert _valid(report)["start"] == ["python", "./jobs/train.py"]
    assert "cd code && python ./jobs/train.py" in _script(into)
    assert json.loads((into / "params.json").read_text()) == {"lr": "0.25"}
    assert json.loads(_script(into, "run", "--lr", "0.25")) == {"weight": weight}
    assert runsync.reproduce(mlflow3_a.url, run_id, into).exit_code == 0


def test_a_project_with_a_submodule_is_started_with_its_entry_point_and_params(
    repository: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "lib.py").write_text("x = 1\n")
    _git(library, "init", "--quiet")
    _git(library, "add", ".")
    _git(library, "commit", "--quiet", "-m", "library")
    _git(repository, "submodule", "--quiet", "add", str(library), "jobs/library")
    _git(repository, "commit", "--quiet", "-m", "with it")
    params = {"lr": "0.1", "odd": "'; touch owned; $(touch owned) `touch owned`\n#", "-x": "--help"}
    tags = {
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": f"file://{repository}#jobs",
        "mlflow.source.git.commit": _git(repository, "rev-parse", "HEAD"),
        "mlflow.project.entryPoint": "fit; touch owned",
    }
    into = tmp_path / "again"
    where = _bundle(tmp_path, tags, params=params, files={"conda.yaml": b"dependencies: [python=3.11.7, {pip: [pip]}]"})
    report = runsync.reproduce(where, RUN_ID, into)
    assert (report.exit_code, report.missing, report.python) == (0, [], "3.11.7")
    assert (into / "code/jobs/library/lib.py").read_text() == "x = 1\n"
    assert (into / "environment/pip-packages.txt").read_text() == "pip\n"
    (into / "venv/bin").mkdir(parents=True)
    stub = f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} "$@"\n'
    stub += f'exec {sys.executable} -c "import json, sys; print(json.dumps(sys.argv[1:]))" "$@"\n'
    (into / "venv/bin/python").write_text(stub)
    (into / "venv/.whole").touch()
    (into / "venv/bin/python").chmod(0o755)
    given = [word for name, value in sorted(params.items()) for word in ("-P", f"{name}={value}")]
    expected = ["-m", "mlflow", "run", ".", "--entry-point=fit; touch owned", "--env-manager=local", *given]
    assert json.loads(_script(into, "run")) == expected
    assert "fit; touch owned" in _script(into)
    assert list(tmp_path.rglob("owned")) == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ext::sh -c touch% owned", "no address of a Git repository"),
        ("--upload-pack=touch owned", "no address of a Git repository"),
        ("http://127.0.0.1:1/x", "refused"),
        ("file:///no/such/repository", "git clone: fatal:"),
    ],
)
def test_hostile_or_lost_repositories_are_told_and_the_rest_is_written(tmp_path: Path, address: str, told: str) -> None:
    tags = {
        "mlflow.source.name": "train.py",
        "mlflow.source.git.commit": "0" * 40,
        "mlflow.source.git.repoURL": address,
    }
    into = tmp_path / "again"
    report = runsync.reproduce(_bundle(tmp_path, tags, files={"requirements.txt": b"pip\n"}), RUN_ID, into)
    assert report.exit_code == 3
    assert [m.what for m in report.missing] == ["code"]
    assert told in _valid(report)["missing"][0]["why"]
    assert (into / "environment/requirements.txt").read_text() == "pip\n"
    assert list(tmp_path.rglob("owned")) == []
    assert {file.name for file in into.iterdir()} == {"run.json", "params.json", "environment", "reproduce.sh"}


def test_a_repository_may_be_named_and_a_commit_that_is_not_in_it_is_told(repository: Path, tmp_path: Path) -> None:
    tags = {"mlflow.source.name": "jobs/train.py", "mlflow.source.git.commit": "1" * 40}
    where = _bundle(tmp_path, tags)
    lost = runsync.reproduce(where, RUN_ID, tmp_path / "again", repository=str(repository))
    assert any("is not in" in m.why for m in lost.missing)
    assert any("--repository" in m.why for m in runsync.reproduce(where, RUN_ID, tmp_path / "other").missing)


def test_hooks_of_a_repository_are_not_run_and_links_out_of_it_are_not_followed(
    repository: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "train.py").write_text("")
    (secret / "requirements.txt").write_text("secret\n")
    (repository / "out").symlink_to(secret)
    (repository / "requirements.txt").unlink()
    (repository / "requirements.txt").symlink_to(secret / "requirements.txt")
    _git(repository, "add", ".")
    _git(repository, "commit", "--quiet", "-m", "links")
    tags = {
        "mlflow.source.name": "out/train.py",
        "mlflow.source.git.commit": _git(repository, "rev-parse", "HEAD"),
        "mlflow.source.git.repoURL": str(repository),
        "mlflow.source.git.dirty": "true",
    }
    report = runsync.reproduce(_bundle(tmp_path, tags), RUN_ID, tmp_path / "again")
    assert (report.start, report.exit_code) == ([], 3)
    assert [m.what for m in report.missing] == ["uncommitted changes", "environment", "start"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    where = _bundle(tmp_path, {})
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    with pytest.raises(WrongUsage, match="is not empty"):
        runsync.reproduce(where, RUN_ID, mine)
    assert [file.name for file in mine.iterdir()] == ["thesis.txt"]
