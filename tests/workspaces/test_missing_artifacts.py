"""Artifacts that cannot be had, that lead astray, or that get lost: named, and the rest goes on."""

import json
from pathlib import Path

import pytest
from conftest import Runner
from support import proxy as faults
from support.damage import manifest_of
from support.oracle import Reader
from support.proxy import FaultProxy, Rule
from support.seed import Seeder, points
from support.servers import MlflowServer

from runsync import list_artifacts
from runsync.bundle.check import check
from workspaces.failing import BRIEF, import_


@pytest.fixture
def two_runs(mlflow3_a: MlflowServer, prefix: str) -> tuple[str, str, str]:
    """An experiment of two runs with two artifacts each: its name and the runs' ids."""
    with Seeder(mlflow3_a.url) as seeder:
        experiment_id = seeder.create_experiment(prefix + "files")
        ids = [seeder.create_run(experiment_id, name) for name in ("good", "bad")]
        for run_id in ids:
            points(seeder, run_id, "loss", 10)
            for path in ("a.txt", "sub/b.txt"):
                seeder.put_artifact(run_id, path, f"{path} of {run_id}\n".encode())
            seeder.finish(run_id)
    return prefix + "files", ids[0], ids[1]


def test_an_artifact_that_is_gone_at_the_source_is_named_and_the_next_export_tries_again(
    two_runs: tuple[str, str, str], mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    name, _, bad = two_runs
    rule = Rule(faults.respond(404), f"artifacts/{r'[0-9]+'}/{bad}/artifacts/sub/b.txt", "GET", count=None)
    export = ("export", "--experiment", name, "--json")
    with FaultProxy(mlflow3_a.url, rule) as proxy:
        done = runsync(*export, proxy.url, tmp_path / "b")
    assert done.returncode == 3
    report = json.loads(done.stdout)
    assert [(p["run_id"], p["kind"], p["name"]) for p in report["problems"]] == [(bad, "artifact", "sub/b.txt")]
    assert (report["runs"]["created"], report["artifacts"], report["metric_points"]) == (2, 3, 20)
    assert check(tmp_path / "b").faults == []
    again = runsync(*export, mlflow3_a.url, tmp_path / "b")
    assert again.returncode == 0
    report = json.loads(again.stdout)
    assert (report["runs"]["updated"], report["runs"]["unchanged"]) == (1, 1)
    assert manifest_of(tmp_path / "b")["counts"]["artifacts"] == 4


def test_an_empty_artifact_that_cannot_be_read_does_not_arrive_as_an_empty_one(
    two_runs: tuple[str, str, str], mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, runsync: Runner
) -> None:
    name, _, bad = two_runs
    with Seeder(mlflow3_a.url) as seeder:
        seeder.put_artifact(bad, "sub/empty.py", b"")
    with FaultProxy(mlflow3_a.url, Rule(faults.respond(404), "artifacts/sub/empty.py", "GET", count=None)) as proxy:
        done = runsync("sync", proxy.url, mlflow3_b.url, "--experiment", name, "--json")
    report = json.loads(done.stdout)
    assert [(p["kind"], p["name"]) for p in report["problems"]] == [("artifact", "sub/empty.py")]
    assert (done.returncode, report["artifacts"]) == (3, 4)
    again = runsync("sync", mlflow3_a.url, mlflow3_b.url, "--experiment", name, "--json")
    assert (again.returncode, json.loads(again.stdout)["artifacts"]) == (0, 1)


def test_an_artifact_file_that_was_removed_behind_the_servers_back_does_not_stop_anything(
    two_runs: tuple[str, str, str], mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    name, _, bad = two_runs
    (folder,) = mlflow3_a.artifact_root.glob(f"*/{bad}/artifacts")
    shown = folder / "a.txt"
    content = shown.read_bytes()
    # Listed by the server, and not readable: a link to nowhere.
    shown.unlink()
    shown.symlink_to(folder / "nowhere")
    try:
        done = runsync("export", mlflow3_a.url, tmp_path / "b", "--experiment", name, "--json", env=BRIEF)
    finally:
        shown.unlink()
        shown.write_bytes(content)
    report = json.loads(done.stdout)
    assert done.returncode == 3, report
    assert {p["run_id"] for p in report["problems"]} == {bad}
    assert report["runs"]["created"] == 2


def test_a_path_outside_the_run_is_one_problem_and_the_others_of_the_run_arrive(
    two_runs: tuple[str, str, str], mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    name, good, bad = two_runs
    outside = ["../../x", "/etc/x", "a/../../../x", "..", "sub/../../x", "not/listed"]
    files = [{"path": name, "is_dir": False, "file_size": 3} for name in (*outside, "m:loss.png", "..\\x")]
    listing = json.dumps({"files": [*files, {"path": "odd", "file_size": "many"}]}).encode()
    rules = [
        Rule(faults.respond(200, body=listing), f"artifacts/list.*run_id={bad}", count=None),
        Rule(faults.respond(200, body=b"bad"), f"{bad}/artifacts/", count=None),
        Rule(faults.respond(200, body=b"bad"), "mlflow-artifacts/artifacts/(?!.*" + good + ")", count=None),
    ]
    before = set(tmp_path.rglob("*"))
    with FaultProxy(mlflow3_a.url, *rules) as proxy:
        done = runsync("export", proxy.url, tmp_path / "deep/er/b", "--experiment", name, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 3
    assert [(p["run_id"], p["kind"], p["name"]) for p in report["problems"]] == [
        (bad, "artifact", name) for name in sorted([*outside, "odd"])
    ]
    assert all("is refused: " in problem["reason"] for problem in report["problems"])
    made = set(tmp_path.rglob("*")) - before
    assert all(place.is_relative_to(tmp_path / "deep") for place in made)
    listed = list_artifacts(str(tmp_path / "deep/er/b"), bad)
    assert [file.path for file in listed.files if not file.fault] == ["..\\x", "m:loss.png"]
    assert {file.path for file in listed.files if file.fault} == {*outside, "odd"}


def test_a_target_that_loses_what_it_was_sent_is_found_out(
    files_bundle: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner
) -> None:
    """A proxy that answers 200 to uploads and throws them away."""
    rule = Rule(faults.respond(200, body=b"{}"), "mlflow-artifacts/artifacts/.*megabytes", "PUT", count=None)
    with FaultProxy(mlflow3_b.url, rule) as proxy:
        code, report, _ = import_(runsync, files_bundle, proxy.url, prefix)
    assert code == 3
    assert any("three megabytes.bin" in problem["name"] for problem in report["problems"])
    # It is not taken for whole: the next import brings what is missing.
    code, report, _ = import_(runsync, files_bundle, mlflow3_b.url, prefix)
    assert code == 0
    paths = [p for run in Reader(mlflow3_b.url).read([prefix + "*"]).runs.values() for p in run["artifacts"]]
    assert "big/three megabytes.bin" in paths
