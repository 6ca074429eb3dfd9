"""Where notebooks run: what a workspace must do so that a run can be reproduced there, and what a run tells of that."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from runsync.kinds.notebooks import Notebook

Library = Mapping[str, Any]
"""As Databricks writes it: {"pypi": {"package": "xgboost==2.0"}}, {"jar": "dbfs:/x.jar"}, …"""

_CLUSTER = "mlflow.databricks.cluster."


@dataclass(frozen=True, slots=True)
class ClusterOfRun:
    """The cluster that a run had, as its tags tell. `redacted` are libraries that they name and do not describe."""

    cluster_id: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    libraries: tuple[Library, ...] = ()
    redacted: tuple[Any, ...] = ()

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "ClusterOfRun":
        """Reads the tags of a run."""
        settings, libraries = _json(tags, "info"), _json(tags, "libraries")
        told = tags.get(f"{_CLUSTER}id", "")
        return cls(told, settings, _list(libraries, "installable"), _list(libraries, "redacted"))


def _json(tags: Mapping[str, str], name: str) -> dict[str, Any]:
    try:
        document = json.loads(tags.get(_CLUSTER + name, ""))
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _list(document: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    found = document.get(name)
    return tuple(found) if isinstance(found, list) else ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that is there. `is_up` also while it starts."""

    cluster_id: str
    name: str
    is_up: bool
    page: str


@dataclass(frozen=True, slots=True)
class Clone:
    """A notebook that was put into a folder; `page` shows it. `is_new` is false where it lay there already."""

    path: str
    is_new: bool
    page: str


class Workbench(Protocol):
    """Each method raises RequestRefused."""

    def clone(self, notebook: Notebook, text: bytes, folder: str, dry_run: bool) -> Clone:
        """Puts a notebook into a folder, over nothing that lies there. Raises WrongUsage for a folder that is none."""

    def cluster(self, cluster_id: str) -> Cluster | None:
        """The cluster of an id; None where it is gone."""

    def stand_in(self, cluster_id: str) -> Cluster | None:
        """One that was made here before in place of a cluster that is gone."""

    def settings(self, cluster: ClusterOfRun) -> dict[str, Any]:
        """What a new cluster like that one is made of."""

    def start(self, cluster: Cluster) -> None:
        """Has it start; does not wait for it."""

    def create(self, cluster: ClusterOfRun) -> Cluster:
        """Makes one of the same configuration, which starts, in place of one that is gone."""

    def install(self, cluster_id: str, libraries: Sequence[Library]) -> None:
        """Has libraries installed on one that is up, or starts; harmless for those that are there."""
