"""The logged models of MLflow 3: what a server tells of them, and their files, which the server itself fetches."""

from collections.abc import Iterator

from runsync.download import as_listed
from runsync.errors import RequestRefused
from runsync.model.paths import unsafe
from runsync.model.run import ArtifactFile, LoggedModel
from runsync.workspaces.http import Client
from runsync.workspaces.rest.server import AJAX, API


def logged_model(client: Client, model_id: str) -> LoggedModel:
    """A logged model with its files, sorted by path. Raises RequestRefused."""
    place = f"{API}/logged-models/{_plain(model_id)}"
    info = client.get(place).get("model", {}).get("info", {})
    files = sorted(_listed(client, place), key=lambda file: file.path)
    return LoggedModel(model_id, str(info.get("name") or model_id), tuple(files))


def read_model_file(client: Client, model: LoggedModel, file: ArtifactFile) -> Iterator[bytes]:
    """The bytes of one file. Raises RequestRefused."""
    place = f"{AJAX}/logged-models/{_plain(model.model_id)}/artifacts/files"
    chunks = client.download(place, {"artifact_file_path": file.path}, f"artifact “{file.path}”")
    return as_listed(chunks, file.path, file.size)


def _listed(client: Client, place: str) -> Iterator[ArtifactFile]:
    folders = [""]
    while folders:
        folder = folders.pop()
        asked = {"artifact_directory_path": folder} if folder else {}
        for entry in client.get(f"{place}/artifacts/directories", **asked).get("files", []):
            path = str(entry["path"])
            if unsafe(path) or path.rpartition("/")[0] != folder:
                raise RequestRefused("the server lists a file of a logged model outside of it")
            if entry.get("is_dir"):
                folders.append(path)
            else:
                yield ArtifactFile(path, int(entry.get("file_size", 0)))


def _plain(model_id: str) -> str:
    """Ids stand in the path of a request."""
    if not model_id.replace("-", "").isalnum():
        raise RequestRefused("a logged model has an id with characters that no id has")
    return model_id
