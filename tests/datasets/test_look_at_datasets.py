"""datasets list, show and get, on workspaces and bundles."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Runner, executable
from support import forks
from support.databases import Databases
from support.forks import clean_environment

import runsync as api
from runsync.bundle import schemas

SCRIPT = Path(forks.__file__).with_name("mlflow_datasets.py")


@pytest.fixture(scope="module")
def places(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A database that MLflow's client filled, and a bundle of it."""
    database, bundle = databases.fresh("sqlite"), tmp_path_factory.mktemp("datasets") / "bundle"
    arguments = [str(SCRIPT), "fill", database.for_mlflow]
    done = forks.run(executable("3"), arguments, clean_environment() | forks.QUIET, SCRIPT.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    assert api.export(database.url, bundle).exit_code == 0
    return {"database": database.url, "bundle": str(bundle)}


@pytest.mark.parametrize("kind", ["database", "bundle"])
def test_they_are_listed_shown_and_written_to_a_file(
    places: dict[str, str], kind: str, tmp_path: Path, runsync: Runner
) -> None:
    where = places[kind]
    listed = json.loads(runsync("datasets", "list", where, "--json").stdout)
    schemas.check("datasets-list-report", listed, "the report")
    told = {(one["name"], one["records"], len(one["experiments"])) for one in listed["datasets"]}
    assert told == {("golden", 4, 2), ("golden", 1, 1), ("lonely", 0, 0), ("many", 1100, 1)}
    text = runsync("datasets", "list", where, "--dataset", "m*").stdout
    assert text.splitlines()[1].split()[1:4] == ["many", "1,100", "curated"]
    shown = runsync("datasets", "show", where, "many")
    assert "… and 1,090 more records" in shown.stdout
    whole = json.loads(runsync("datasets", "show", where, "many", "--json").stdout)
    schemas.check("dataset-report", whole, "the report")
    assert {record["inputs"]["n"] for record in whole["records"]} == set(range(1100))
    golden = next(one["dataset_id"] for one in listed["datasets"] if one["records"] == 4)
    file = tmp_path / "golden.jsonl"
    assert runsync("datasets", "get", where, golden, "--into", file, "--dry-run").stdout.startswith(
        "Would write 4 records"
    )
    assert not file.exists()
    done = json.loads(runsync("datasets", "get", where, golden, "--into", file, "--json").stdout)
    schemas.check("datasets-get-report", done, "the report")
    records: list[dict[str, Any]] = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert {"plain text", None} < {r["outputs"] if not isinstance(r["outputs"], dict) else "" for r in records}
    assert "Was heißt" in file.read_text("utf-8")


def test_what_cannot_be_meant_is_told(places: dict[str, str], tmp_path: Path, runsync: Runner) -> None:
    where = places["bundle"]
    for name, told, code in (
        ("golden", "2 evaluation datasets are called “golden”: name one by its id", 2),
        ("lonly", "there is no evaluation dataset “lonly”: did you mean “lonely”?", 1),
    ):
        done = runsync("datasets", "show", where, name)
        assert (done.returncode, told in done.stderr) == (code, True), done.stderr
    assert runsync("datasets", "list", where, "--dataset", "x*").returncode == 1
    done = runsync("datasets", "list", ROOT / "examples" / "mlruns")
    assert (done.returncode, "evaluation datasets are not read from" in done.stderr) == (2, True)
    done = runsync("datasets", "get", where, "lonely", "--into", tmp_path / "no" / "file")
    assert (done.returncode, "cannot write" in done.stderr) == (2, True)
