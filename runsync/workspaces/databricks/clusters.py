"""Clusters of a workspace, and notebooks cloned beside them: the `Workbench` of Databricks.

A run keeps of its cluster what it was made of, without what is not a setting (`disk_spec`). A cluster that is made in
place of one that is gone carries that one's id in a tag, so that the next time it is found and not made again.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from runsync.contract.workbench import Clone, Cluster, ClusterOfRun, Library
from runsync.errors import RequestRefused
from runsync.kinds.notebooks import Notebook
from runsync.workspaces.databricks.notebooks import Notebooks, checked_folder
from runsync.workspaces.http import NOT_DONE, Client, post_once
from runsync.workspaces.http.fields import every, identifier, pages, part, text

API = "/api/2.1/clusters"
INSTALL = "/api/2.0/libraries/install"
STAND_IN = "runsync-source-cluster"
"""The tag of a cluster that stands in for another."""
UP = frozenset({"PENDING", "RUNNING", "RESTARTING", "RESIZING"})
SETTINGS = (
    "cluster_name",
    "spark_version",
    "node_type_id",
    "driver_node_type_id",
    "num_workers",
    "autoscale",
    "autotermination_minutes",
)
"""What of a run's cluster can be given to a new one."""
PAGE = 100


class DatabricksWorkbench:
    """See `contract.workbench`."""

    def __init__(self, client: Client, workspace_id: str) -> None:
        self._client = client
        self._notebooks = Notebooks(client)
        self._pages = f"{client.url}/{f'?o={quote(workspace_id)}' if workspace_id else ''}"

    def clone(self, notebook: Notebook, text: bytes, folder: str, dry_run: bool) -> Clone:
        """See `Workbench`."""
        path = f"{checked_folder(folder)}/{posixpath.basename(notebook.path)}"
        places = (path, f"{path}@{notebook.revision or notebook.modified_at or 'last'}")
        place, is_new = self._notebooks.put(places, notebook, text, writes=not dry_run)
        there = self._notebooks.status(place)
        page = f"{self._pages}#notebook/{there['object_id']}" if there else ""
        return Clone(place, is_new, page)

    def cluster(self, cluster_id: str) -> Cluster | None:
        """See `Workbench`. One that is gone is told by 400, INVALID_PARAMETER_VALUE (databricks-sdk)."""
        try:
            return self._told(self._client.get(f"{API}/get", cluster_id=cluster_id))
        except RequestRefused as error:
            if "does not exist" in str(error):
                return None
            raise

    def stand_in(self, cluster_id: str) -> Cluster | None:
        """See `Workbench`."""
        for document in self._all():
            if part(document, "custom_tags").get(STAND_IN) == cluster_id:
                return self._told(document)
        return None

    def settings(self, cluster: ClusterOfRun) -> dict[str, Any]:
        """See `Workbench`."""
        settings = {name: cluster.settings[name] for name in SETTINGS if cluster.settings.get(name) not in (None, "")}
        if "autoscale" in settings:
            settings.pop("num_workers", None)
        return settings

    def start(self, cluster: Cluster) -> None:
        """See `Workbench`. Where an answer was lost, it is refused the next time: then it is starting."""

        def found(error: RequestRefused) -> Mapping[str, Any] | None:
            there = self.cluster(cluster.cluster_id)
            return {} if there is not None and there.is_up else None

        post_once(self._client, f"{API}/start", {"cluster_id": cluster.cluster_id}, found)

    def create(self, cluster: ClusterOfRun) -> Cluster:
        """See `Workbench`. Unless it is sure that none was made, it is asked for once: the next one would be a second.

        One whose answer was lost is found by its tag.
        """
        settings = self.settings(cluster)
        tags = {STAND_IN: cluster.cluster_id} if cluster.cluster_id else {}

        def found(error: RequestRefused) -> Mapping[str, Any] | None:
            there = self.stand_in(cluster.cluster_id) if tags else None
            return {"cluster_id": there.cluster_id} if there is not None else None

        made = post_once(self._client, f"{API}/create", {**settings, "custom_tags": tags}, found, NOT_DONE)
        return self._told({**settings, **made, "state": "PENDING"})

    def install(self, cluster_id: str, libraries: Sequence[Library]) -> None:
        """See `Workbench`."""
        self._client.post(INSTALL, {"cluster_id": cluster_id, "libraries": list(libraries)})

    def _all(self) -> Iterator[Mapping[str, Any]]:
        def ask(token: str) -> dict[str, Any]:
            asked: dict[str, Any] = {"page_token": token} if token else {}
            return self._client.get(f"{API}/list", page_size=PAGE, **asked)

        return every(pages(ask, "clusters"))

    def _told(self, document: Mapping[str, Any]) -> Cluster:
        cluster_id = identifier(document, "cluster_id")
        page = f"{self._pages}#setting/clusters/{quote(cluster_id)}/configuration"
        return Cluster(cluster_id, text(document, "cluster_name", ""), document.get("state") in UP, page)
