"""The example bundle is sound, can be read without runsync as docs/bundles.md shows, and goes into a real server."""

import gzip
import hashlib
import json
import runpy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Runner
from jsonschema import Draft202012Validator
from support.servers import MlflowServer

import runsync as library

BUNDLE = ROOT / "examples" / "bundle"


def test_the_example_is_a_sound_bundle_with_nothing_unused(runsync: Runner) -> None:
    report = library.check(BUNDLE)
    assert (report.exit_code, report.snapshots, report.unused) == (0, 1, [])
    done = runsync("check", BUNDLE)
    assert done.returncode == 0, done.stderr
    assert "Sound." in done.stdout


def test_inspect_tells_what_the_example_holds(runsync: Runner) -> None:
    done = runsync("inspect", BUNDLE)
    assert done.returncode == 0, done.stderr
    assert "2 experiments (0 deleted), 4 runs (1 deleted)" in done.stdout
    assert "http://localhost:5000" in done.stdout


def test_every_document_of_the_example_is_valid() -> None:
    (snapshot,) = BUNDLE.glob("snapshots/*.json")
    assert_valid("runsync", json.loads((BUNDLE / "runsync.json").read_text()))
    assert_valid("snapshot", json.loads(snapshot.read_text()))
    for kind, suffix in (("experiment", "experiments"), ("run", "runs")):
        (part,) = BUNDLE.glob(f"parts/*.{suffix}.jsonl.gz")
        for document in documents(part):
            assert_valid(kind, document)


def test_every_part_and_blob_of_the_example_is_named_by_its_hash() -> None:
    files = [file for folder in ("parts", "blobs") for file in (BUNDLE / folder).rglob("*") if file.is_file()]
    assert len(files) == 5
    for file in files:
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name.split(".")[0]


def test_two_runs_with_the_same_file_share_one_blob() -> None:
    (part,) = BUNDLE.glob("parts/*.runs.jsonl.gz")
    files = [file for run in documents(part) for file in run["artifacts"]]
    assert len(files) == 3
    assert len({file["sha256"] for file in files}) == 2


def test_the_example_holds_nothing_of_the_machine_it_was_made_on() -> None:
    (part,) = BUNDLE.glob("parts/*.runs.jsonl.gz")
    texts = [file.read_text() for file in BUNDLE.glob("**/*.json")] + [json.dumps(d) for d in documents(part)]
    assert not [text for text in texts if "/home" in text or "/tmp" in text or "file:" in text]


def test_the_readme_s_way_to_read_a_bundle_without_runsync_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("builtins.print", lambda *_: None)
    found: dict[str, Any] = {}
    exec(block_of("import pyarrow.parquet"), found)
    assert sorted(run["name"] for run in found["runs"]) == ["C=0.5", "nightly", "sweep", "wrong data"]
    child = next(run for run in found["runs"] if run["name"] == "C=0.5")
    assert [point["value"] for point in found["history"](child) if point["key"] == "loss"] == [0.69, 0.52, 0.44, 0.41]


def test_a_run_s_points_stand_where_its_document_says() -> None:
    (part,) = BUNDLE.glob("parts/*.runs.jsonl.gz")
    for run in documents(part):
        table = pq.read_table(BUNDLE / f"parts/{run['metrics_part']}.metrics.parquet")
        points = table.slice(run["first_row"], run["metric_points"])
        assert set(points["run_id"].to_pylist()) == {run["run_id"]}
        assert set(points["key"].to_pylist()) == {metric["key"] for metric in run["latest_metrics"]}


def test_the_example_goes_into_a_server_and_verifies(runsync: Runner, mlflow3_b: MlflowServer, prefix: str) -> None:
    done = runsync("import", BUNDLE, mlflow3_b.url, "--prefix", prefix, "--verify-artifacts")
    assert done.returncode == 0, done.stdout + done.stderr
    done = runsync("verify", BUNDLE, mlflow3_b.url, "--prefix", prefix, "--verify-artifacts")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 runs, 10 metric points, 3 artifacts (by bytes)" in done.stdout


def test_the_script_that_made_the_example_makes_it_again(mlflow3_a: MlflowServer, prefix: str, tmp_path: Path) -> None:
    make_bundle = runpy.run_path(str(ROOT / "examples" / "make_bundle.py"))["make_bundle"]
    report = make_bundle(mlflow3_a.url, tmp_path / "bundle", prefix)
    assert report.exit_code == 0
    made, committed = library.inspect(tmp_path / "bundle"), library.inspect(BUNDLE)
    assert made.snapshot.counts == committed.snapshot.counts
    assert made.snapshot.selection != committed.snapshot.selection


def documents(part: Path) -> list[dict[str, Any]]:
    with gzip.open(part) as lines:
        return [json.loads(line) for line in lines]


def assert_valid(kind: str, document: object) -> None:
    schema = json.loads((ROOT / "schemas" / "v1" / f"{kind}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(document)


def block_of(marker: str) -> str:
    """The Python block of docs/bundles.md that contains `marker`."""
    blocks = (ROOT / "docs" / "bundles.md").read_text(encoding="utf-8").split("```python\n")[1:]
    (block,) = [code for block in blocks if marker in (code := block.split("\n```")[0])]
    return block
