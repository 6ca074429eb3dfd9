"""Which Git addresses may be used, and which page shows a commit."""

import pytest

from runsync.errors import WrongUsage
from runsync.model.code import code_of
from runsync.model.git_remote import Pages, pages, parse_remote

SHA = "0123abc" * 5 + "01234"


@pytest.mark.parametrize(
    ("address", "repository", "commit"),
    [
        ("https://github.com/acme/churn.git", "https://github.com/acme/churn", "/commit/"),
        ("git@github.com:acme/churn.git", "https://github.com/acme/churn", "/commit/"),
        ("ssh://git@github.com:22/acme/churn", "https://github.com/acme/churn", "/commit/"),
        ("https://gitlab.com/a/b/c.git", "https://gitlab.com/a/b/c", "/-/commit/"),
        ("https://gitlab.corp.example:8443/a/b", "https://gitlab.corp.example:8443/a/b", "/-/commit/"),
        ("git@bitbucket.org:acme/churn.git", "https://bitbucket.org/acme/churn", "/commits/"),
        (
            "https://bitbucket.corp.example/scm/ML/churn.git",
            "https://bitbucket.corp.example/projects/ML/repos/churn",
            "/commits/",
        ),
        ("https://acme@dev.azure.com/acme/ML/_git/churn", "https://dev.azure.com/acme/ML/_git/churn", "/commit/"),
        ("git@ssh.dev.azure.com:v3/acme/ML/churn", "https://dev.azure.com/acme/ML/_git/churn", "/commit/"),
        ("https://acme.visualstudio.com/ML/_git/churn", "https://acme.visualstudio.com/ML/_git/churn", "/commit/"),
    ],
)
def test_the_page_of_a_commit_is_known_for_the_usual_hosts(address: str, repository: str, commit: str) -> None:
    assert pages(parse_remote(address), SHA) == Pages(repository, repository + commit + SHA)


def test_a_host_nobody_knows_shows_its_repository_only_unless_the_provider_is_told() -> None:
    remote = parse_remote("https://code.corp.example/a/b.git")
    assert pages(remote, SHA) == Pages("https://code.corp.example/a/b", "")
    assert pages(remote, SHA, "gitHub").commit == f"https://code.corp.example/a/b/commit/{SHA}"
    assert pages(parse_remote("/srv/git/a"), SHA) == Pages()


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://ada:secret@github.com/a/b?token=secret#secret", "https://github.com/a/b"),
        ("https://secret@github.com/a/b", "https://github.com/a/b"),
        ("ssh://git:secret@github.com/a/b", "ssh://git@github.com/a/b"),
        ("file:///srv/git/a", "file:///srv/git/a"),
        ("/srv/git/a", "/srv/git/a"),
    ],
)
def test_credentials_in_a_remote_are_left_out(address: str, kept: str) -> None:
    assert parse_remote(address).address == kept


@pytest.mark.parametrize(
    "address",
    [
        "--upload-pack=touch /tmp/x",
        "-oProxyCommand=x",
        "ext::sh -c touch% /tmp/x",
        "fd::17",
        "http://github.com/a/b",
        "ssh://-oProxyCommand=x/a",
        "ssh://-l@host/a",
        "-x@github.com:a/b",
        "git@-oProxyCommand=x:a",
        "file://host/share",
        "file:relative",
        "relative/path",
        "https:///a",
        "https://[bad/a",
        "https://github.com/a\nb",
        "javascript://github.com/a",
        "transport-helper::https://github.com/a/b",
        "",
    ],
)
def test_what_git_could_take_for_a_command_is_refused(address: str) -> None:
    with pytest.raises(WrongUsage):
        parse_remote(address)


def test_the_tags_of_a_notebook_give_the_page_of_its_revision() -> None:
    databricks = "mlflow.databricks."
    tags = {
        "mlflow.source.type": "NOTEBOOK",
        "mlflow.source.name": "/Users/ada/churn",
        databricks + "notebookPath": "/Users/ada/churn",
        databricks + "notebookID": "77",
        databricks + "notebookRevisionID": "1700000000000",
        databricks + "webappURL": "https://me:secret@adb-1.azuredatabricks.net/x",
        databricks + "workspaceID": "42",
    }
    notebook = code_of(tags).notebook
    assert notebook is not None
    assert notebook.url == "https://adb-1.azuredatabricks.net/?o=42#notebook/77/revision/1700000000000"
    for hostile in ("javascript:alert(1)", "file:///etc", "https://", "http://[", "https://x:y"):
        found = code_of({**tags, databricks + "webappURL": hostile}).notebook
        assert found is not None
        assert found.url == ""


def test_a_project_run_from_git_tells_its_repository_in_its_name() -> None:
    tags = {
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": "https://secret@github.com/acme/churn#train/deep",
        "mlflow.project.entryPoint": "fit",
        "mlflow.source.git.commit": SHA,
        "mlflow.source.git.dirty": "True",
    }
    code = code_of(tags)
    assert code.remote is not None
    assert (code.remote.address, code.folder, code.entry_point) == (
        "https://github.com/acme/churn",
        "train/deep",
        "fit",
    )
    assert (code.dirty, code.web.commit) == (True, f"https://github.com/acme/churn/commit/{SHA}")
    assert "secret" not in repr(code)
    assert code_of({**tags, "mlflow.source.git.commit": "--help"}).commit == ""
    assert "refused" in code_of({"mlflow.source.git.repoURL": "http://x/y"}).refused
    assert code_of({}).remote is None
