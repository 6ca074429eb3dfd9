"""Filling an emulated Databricks workspace, and judging what lies in it, independently of runsync."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from emulators.databricks import Databricks

from support.oracle import ORIGIN, Reader
from support.seed import Seeder

KEPT = "runsync.kept."
ORIGIN_EXPERIMENT = "runsync.source.experiment_id"
REFUSED = ("mlflow.rootRunId", "mlflow.log-model.history", "mlflow.user")
OWNED = (
    *REFUSED,
    "mlflow.ownerId",
    "mlflow.ownerEmail",
    "mlflow.experimentType",
    "mlflow.experiment.sourceName",
    "mlflow.experiment.sourceType",
    "mlflow.experiment.sourceId",
)


def headers(workspace: Databricks) -> dict[str, str]:
    """Those of the workspace's owner."""
    return {"Authorization": f"Bearer {workspace.token}"}


class DatabricksSeeder(Seeder):
    """A `Seeder` that leaves out tags which a workspace sets itself; files are put straight into its storage."""

    def __init__(self, workspace: Databricks) -> None:
        super().__init__(workspace.url, headers(workspace))
        self._workspace = workspace

    def call(self, method: str, path: str, /, body: Any = None, **parameters: Any) -> dict[str, Any]:
        if body and "tags" in body:
            body = {**body, "tags": [tag for tag in body["tags"] if tag["key"] not in REFUSED]}
        return super().call(method, path, body, **parameters)

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        if key not in REFUSED:
            super().set_tag(run_id, key, value)

    def put_file(self, uri: str, path: str, content: bytes | Iterable[bytes]) -> None:
        body = content if isinstance(content, bytes) else b"".join(content)
        self._workspace.storage.objects[f"{uri.removeprefix('dbfs:')}/{path}"] = body


class DatabricksReader(Reader):
    """Reads a workspace as what was meant: tags that it refuses stand in others."""

    def __init__(self, workspace: Databricks) -> None:
        super().__init__(workspace.url, headers(workspace))
        self._workspace = workspace

    def _pages(self, ask: Any, name: str) -> Iterator[dict[str, Any]]:
        for document in super()._pages(ask, name):
            if name == "experiments":
                document["tags"] = _meant(document["tags"], ORIGIN_EXPERIMENT)
            if name == "runs":
                tags = document["data"]["tags"]
                user = next((tag["value"] for tag in tags if tag["key"] == KEPT + "user_id"), "")
                document["info"]["user_id"] = user
                document["data"]["tags"] = _meant(tags, ORIGIN)
            yield document

    def _bytes(self, run_id: str, artifact_uri: str, path: str) -> bytes:
        content: bytes = self._workspace.storage.objects[f"{artifact_uri.removeprefix('dbfs:')}/{path}"]
        return content


def _meant(tags: list[dict[str, str]], origin: str) -> list[dict[str, str]]:
    keys = {tag["key"] for tag in tags}
    found = []
    for tag in tags:
        key = tag["key"]
        if key == KEPT + "user_id" or (key in OWNED and origin in keys):
            continue
        found.append({**tag, "key": key.removeprefix(KEPT)})
    return found


def profile_file(workspaces: Mapping[str, Databricks]) -> str:
    """A `.databrickscfg` with the owner's token of each workspace, by profile name."""
    sections = (f"[{name}]\nhost = {one.url}\ntoken = {one.token}\n" for name, one in workspaces.items())
    return "\n".join(sections)
