"""What started a run, as its tags tell: a notebook at a revision, a project or a script at a commit, a job."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from runsync.errors import WrongUsage
from runsync.model.git_remote import COMMIT, Pages, Remote, pages, parse_remote
from runsync.model.redact import without_credentials

_GIT = "mlflow.source.git."
_DATABRICKS = "mlflow.databricks."


@dataclass(frozen=True, slots=True)
class Notebook:
    """A Databricks notebook. `revision` is a time in epoch milliseconds, as text; `url` shows that revision."""

    path: str = ""
    notebook_id: str = ""
    revision: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Every field is "" (or None) where the tags do not tell.

    `kind` is NOTEBOOK, JOB, PROJECT, LOCAL, … as MLflow has it; `name` the script, project or notebook; `folder` that
    of a project below its repository, `path` that of a notebook in it (a Git folder of Databricks). `refused` says why
    a repository that is told of may not be used.
    """

    kind: str = ""
    name: str = ""
    entry_point: str = ""
    backend: str = ""
    remote: Remote | None = None
    commit: str = ""
    branch: str = ""
    folder: str = ""
    path: str = ""
    dirty: bool | None = None
    web: Pages = field(default_factory=Pages)
    notebook: Notebook | None = None
    refused: str = ""


def code_of(tags: Mapping[str, str]) -> Code:
    """Reads the tags of a run."""
    name = tags.get("mlflow.source.name", "")
    commit = _first(tags, (_GIT + "commit", "mlflow.gitRepoCommit", _DATABRICKS + "gitRepoCommit"))
    commit = commit if COMMIT.fullmatch(commit) else ""
    address, folder = _repository(tags, name)
    remote, refused = None, ""
    try:
        remote = parse_remote(address) if address else None
    except WrongUsage as error:
        refused = str(error)
    provider = tags.get(_DATABRICKS + "gitRepoProvider", "")
    return Code(
        kind=tags.get("mlflow.source.type", ""),
        name=without_credentials(name),
        entry_point=tags.get("mlflow.project.entryPoint", ""),
        backend=tags.get("mlflow.project.backend", ""),
        remote=remote,
        commit=commit,
        branch=_first(tags, (_GIT + "branch", "mlflow.gitBranchName", _DATABRICKS + "gitRepoReference")),
        folder=folder,
        path=tags.get(_DATABRICKS + "gitRepoRelativePath", ""),
        dirty={"true": True, "false": False}.get(tags.get(_GIT + "dirty", "").lower()),
        web=pages(remote, commit, provider) if remote else Pages(),
        notebook=_notebook(tags),
        refused=without_credentials(refused),
    )


def _repository(tags: Mapping[str, str], name: str) -> tuple[str, str]:
    """Address and folder: a project run from Git is named `repository#folder`."""
    named, _, folder = name.partition("#")
    is_address = "://" in named or named.startswith("git@") or (tags.get("mlflow.source.type") == "PROJECT")
    told = (_GIT + "repoURL", "mlflow.gitRepoURL", "mlflow.gitRepoUrl", _DATABRICKS + "gitRepoUrl")
    address = _first(tags, told) or (named if is_address else "")
    return address.partition("#")[0], folder if is_address else ""


def _notebook(tags: Mapping[str, str]) -> Notebook | None:
    path, number, revision = (tags.get(f"{_DATABRICKS}notebook{part}", "") for part in ("Path", "ID", "RevisionID"))
    if not path and not number:
        return None
    base = _first(tags, (_DATABRICKS + "webappURL", _DATABRICKS + "workspaceURL"))
    base = base if "://" in base or not base else f"https://{base}"
    return Notebook(path, number, revision, _notebook_page(base, tags, number, revision))


def _notebook_page(base: str, tags: Mapping[str, str], number: str, revision: str) -> str:
    """The form of address that MLflow's own page uses; "" where the workspace or the notebook is not known."""
    try:
        parts = urlsplit(base)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname or not re.fullmatch(r"\d+", number, re.ASCII):
        return ""
    workspace = tags.get(_DATABRICKS + "workspaceID", "")
    asked = f"?o={quote(workspace, safe='')}" if workspace else ""
    at = f"/revision/{quote(revision, safe='')}" if revision else ""
    return f"{parts.scheme}://{parts.hostname}{port}/{asked}#notebook/{number}{at}"


def _first(tags: Mapping[str, str], names: Iterable[str]) -> str:
    return next((tags[name] for name in names if tags.get(name)), "")
