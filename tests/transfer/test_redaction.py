"""--redact: what must not leave is in no bundle and in no target, and all else is."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Runner, executable
from support import forks
from support.databases import Databases
from support.forks import clean_environment
from support.traces_client import client

RULES = """
marker = "***"
patterns = ["Paris", "v\\u00e4xt", "gr\\u00fcn", "plain te.t"]
paths = ["records.inputs.deep", "spans.attributes.\\"mlflow.spanInputs\\".question"]
"""
SCRIPT = Path(forks.__file__).with_name("mlflow_datasets.py")
LEFT = ("--accept", "prompts,prompt-versions,issues,logged-models,registered-models,missing-pieces")


@pytest.fixture(scope="module")
def source(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with traces and evaluation datasets."""
    database = databases.fresh("sqlite")
    client("fill", database.for_mlflow, str(tmp_path_factory.mktemp("traces")))
    arguments = [str(SCRIPT), "fill", database.for_mlflow]
    assert forks.run(executable("3"), arguments, clean_environment() | forks.QUIET, SCRIPT.parent).returncode == 0
    return database.url


def texts(bundle: Path) -> str:
    """All that a bundle says."""
    documents = [gzip.decompress(file.read_bytes()).decode() for file in bundle.glob("parts/*.jsonl.gz")]
    tables = [str(pq.read_table(file).to_pylist()) for file in bundle.glob("parts/*.parquet")]
    return "\n".join(documents + tables)


def test_what_must_not_leave_is_nowhere_and_all_else_is(
    source: str, tmp_path: Path, databases: Databases, runsync: Runner
) -> None:
    rules, bundle = tmp_path / "redact.toml", tmp_path / "bundle"
    rules.write_text(RULES, encoding="utf-8")
    kinds = ("--kinds", "runs", "--kinds", "traces", "--kinds", "evaluation-datasets")

    def told(*arguments: object, code: int = 0) -> dict[str, Any]:
        done = runsync(*arguments, *LEFT, "--json")
        assert done.returncode == code, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    told("export", source, tmp_path / "whole", *kinds)
    made = told("export", source, bundle, *kinds, "--redact", rules)
    (note,) = [note for note in made["notes"] if "redacted" in note]
    assert re.search(r"redact.toml: \d+ values of \d objects$", note)
    whole, redacted = texts(tmp_path / "whole"), texts(bundle)
    for word in ("Paris", "växt", "grün", "plain text", "deep"):
        assert word in whole
    assert [word for word in ("Paris", "växt", "grün", "plain text") if word in redacted] == []
    assert "Was heißt" in redacted
    again = told("export", source, bundle, *kinds, "--redact", rules)
    unchanged = {kind: tally["unchanged"] for kind, tally in again["objects"].items()}
    assert unchanged == {"traces": 6, "evaluation-datasets": 4}
    target = databases.fresh("sqlite").url
    place = ("--artifacts", tmp_path / "artifacts")
    told("sync", source, target, *kinds, *place, "--redact", rules)
    assert told("verify", source, target, *kinds, *place, "--redact", rules)["differences"] == []
    assert told("verify", source, target, *kinds, *place, code=4)["differences"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has neither patterns nor paths"),
        ("patterns = ['(']", "cannot be read"),
        ("patterns = ['.']", "matches the marker"),
        ("patterns = 'x'", "must be a list of texts"),
        ("other = 1", "has “other”"),
        ("paths = ['a..b']", "cannot be read"),
        ("no toml", "is no TOML"),
        ("marker = 1\npaths = ['a']", "must be a text"),
    ],
)
def test_rules_that_cannot_be_read_are_told(text: str, told: str, tmp_path: Path, runsync: Runner) -> None:
    rules = tmp_path / "redact.toml"
    rules.write_text(text, encoding="utf-8")
    done = runsync("export", tmp_path / "nowhere", tmp_path / "b", "--redact", rules)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert runsync("export", tmp_path / "nowhere", tmp_path / "b", "--redact", tmp_path / "none").returncode == 2
