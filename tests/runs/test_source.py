"""What started a run, out of its tags; the browser gets web addresses only, the terminal no control characters."""

import json
import webbrowser
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from conftest import ROOT
from support.memory import export_into

from runsync.cli.journal import Journal
from runsync.cli.root import cli
from runsync.errors import NothingSelected
from runsync.model.experiment import Experiment
from runsync.testing.memory import MemorySource, run_with_metrics

SCRIPT, NOTEBOOK, HOSTILE, IN_GIT = "a" * 32, "b" * 32, "c" * 32, "d" * 32
SHA = "0123abc" * 5 + "01234"
PAGE = f"https://gitlab.com/acme/churn/-/commit/{SHA}"
TAGS = {
    SCRIPT: {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "train.py",
        "mlflow.source.git.commit": SHA,
        "mlflow.source.git.branch": "main",
        "mlflow.source.git.repoURL": "https://oauth2:secret@gitlab.com/acme/churn.git",
    },
    NOTEBOOK: {
        "mlflow.source.type": "NOTEBOOK",
        "mlflow.databricks.notebookPath": "/Users/ada/churn",
        "mlflow.databricks.notebookID": "77",
        "mlflow.databricks.notebookRevisionID": "1700000000000",
        "mlflow.databricks.workspaceURL": "adb-1.azuredatabricks.net",
    },
    IN_GIT: {
        "mlflow.source.type": "NOTEBOOK",
        "mlflow.databricks.notebookPath": "/Repos/ada/churn/train",
        "mlflow.databricks.notebookID": "78",
        "mlflow.databricks.workspaceURL": "adb-1.azuredatabricks.net",
        "mlflow.databricks.gitRepoUrl": "https://gitlab.com/acme/churn",
        "mlflow.databricks.gitRepoCommit": SHA,
        "mlflow.databricks.gitRepoProvider": "gitLab",
        "mlflow.databricks.gitRepoRelativePath": "train",
    },
    HOSTILE: {"mlflow.source.name": "x\x1b[31m\nred", "mlflow.databricks.webappURL": "javascript:alert(1)"},
}


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    runs = [run_with_metrics(run_id, {}, tags=tags) for run_id, tags in TAGS.items()]
    export_into(tmp_path / "bundle", MemorySource([Experiment("1", "e")], runs))
    return str(tmp_path / "bundle")


def _told(bundle: str, run_id: str, *options: str) -> str:
    arguments = ["runs", "source", bundle, run_id, *options]
    done = CliRunner().invoke(cli, arguments, obj={"journal": Journal(arguments)}, standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.output


def test_a_script_is_told_with_the_page_of_its_commit_and_no_secret(bundle: str) -> None:
    told = _told(bundle, SCRIPT)
    assert PAGE in told
    assert "secret" not in told
    document = json.loads(_told(bundle, SCRIPT, "--json"))
    schema = json.loads((ROOT / "schemas/v1/source-report.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    assert (document["repository"], document["url"]) == ("https://gitlab.com/acme/churn.git", PAGE)


def test_a_notebook_is_told_with_the_page_of_its_revision(bundle: str) -> None:
    document = json.loads(_told(bundle, NOTEBOOK, "--json"))
    schema = json.loads((ROOT / "schemas/v1/source-report.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["url"] == "https://adb-1.azuredatabricks.net/#notebook/77/revision/1700000000000"


def test_a_notebook_in_a_git_folder_is_told_with_the_commit_that_ran_not_with_what_it_is_now(bundle: str) -> None:
    document = json.loads(_told(bundle, IN_GIT, "--json"))
    assert document["url"] == PAGE
    assert document["notebook"]["url"] == "https://adb-1.azuredatabricks.net/#notebook/78"
    assert document["path"] == "train"


def test_the_browser_opens_web_pages_only(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    _told(bundle, SCRIPT, "--open")
    with pytest.raises(NothingSelected, match="no page on the web"):
        _told(bundle, HOSTILE, "--open")
    assert opened == [PAGE]


def test_control_characters_of_a_server_do_not_reach_the_terminal(bundle: str) -> None:
    assert "x\\x1b[31m\\nred" in _told(bundle, HOSTILE)
