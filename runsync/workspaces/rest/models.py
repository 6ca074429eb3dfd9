"""The logged models of MLflow 3: what a server tells of them, and their files, which the server itself fetches."""

from collections.abc import Iterator
from typing import Any

from runsync.download import as_listed
from runsync.errors import RequestRefused
from runsync.model.run import ArtifactFile, LoggedModel
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, listed, part, text
from runsync.workspaces.rest.folders import walk
from runsync.workspaces.rest.names import unfit_folder
from runsync.workspaces.rest.server import AJAX, API


def logged_model(client: Client, model_id: str) -> LoggedModel:
    """A logged model with its files, sorted by path. Raises RequestRefused."""
    place = f"{API}/logged-models/{_plain(model_id)}"
    info = part(part(client.get(place), "model"), "info")
    files = sorted(_listed(client, place), key=lambda file: file.path)
    return LoggedModel(model_id, text(info, "name", "") or model_id, tuple(files))


def read_model_file(client: Client, model: LoggedModel, file: ArtifactFile) -> Iterator[bytes]:
    """The bytes of one file. Raises RequestRefused."""
    place = f"{AJAX}/logged-models/{_plain(model.model_id)}/artifacts/files"
    chunks = client.download(place, {"artifact_file_path": file.path}, f"artifact “{file.path}”")
    return as_listed(chunks, file.path, file.size)


def _listed(client: Client, place: str) -> Iterator[ArtifactFile]:
    def entries(folder: str) -> Iterator[Json]:
        asked: dict[str, Any] = {"artifact_directory_path": folder} if folder else {}
        return iter(listed(client.get(f"{place}/artifacts/directories", **asked), "files"))

    return walk("the server", entries, unfit=unfit_folder)


def _plain(model_id: str) -> str:
    """Ids stand in the path of a request."""
    if not model_id.replace("-", "").isalnum():
        raise RequestRefused("a logged model has an id with characters that no id has")
    return model_id
