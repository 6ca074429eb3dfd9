"""Clusters, and the libraries on them."""

import secrets
from typing import TYPE_CHECKING, Any

from emulators.databricks.errors import Refusal, invalid
from emulators.databricks.fields import anything, choice, integer, many, message, text
from emulators.databricks.routing import Call, Route

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks

RUNTIMES = {
    "9.1.x-scala2.12": "9.1 LTS (includes Apache Spark 3.1.2, Scala 2.12)",
    "15.4.x-gpu-ml-scala2.12": "15.4 LTS ML (includes Apache Spark 3.5.0, GPU, Scala 2.12)",
    "15.4.x-scala2.12": "15.4 LTS (includes Apache Spark 3.5.0, Scala 2.12)",
    "custom:release__16.x": "custom",
}
BOOTS = 2
"""How often a starting cluster says PENDING before it says RUNNING."""


class Cluster:
    """One cluster: what it was made of, its state, and the libraries on it."""

    def __init__(self, cluster_id: str, settings: dict[str, Any], creator: str, state: str = "PENDING") -> None:
        self.cluster_id = cluster_id
        self.settings = settings
        self.creator = creator
        self.state = state
        self.asked = 0
        self.libraries: list[dict[str, Any]] = []

    def describe(self) -> dict[str, Any]:
        """The cluster as the API tells it."""
        return {
            "cluster_id": self.cluster_id,
            "creator_user_name": self.creator,
            "state": self.state,
            "state_message": "",
            "cluster_source": "API",
            "driver_node_type_id": self.settings.get("node_type_id", ""),
            "spec": self.settings,
            **self.settings,
        }


class Clusters:
    """All clusters by id."""

    def __init__(self) -> None:
        self.by_id: dict[str, Cluster] = {}
        self.policies: dict[str, frozenset[str]] = {}
        """Who may use them, by name; admins may use all."""

    def add(self, settings: dict[str, Any], creator: str, state: str = "PENDING") -> Cluster:
        """A new cluster."""
        number = secrets.randbelow(10**6)
        cluster = Cluster(f"1009-{number:06}-{secrets.token_hex(4)}", settings, creator, state)
        self.by_id[cluster.cluster_id] = cluster
        return cluster

    def need(self, cluster_id: str) -> Cluster:
        """The cluster of an id. Raises Refusal: 400, unlike everything else that is not there."""
        cluster = self.by_id.get(cluster_id)
        if cluster is None:
            raise invalid(f"Cluster {cluster_id} does not exist")
        return cluster


def create(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """A new cluster, which starts."""
    settings = dict(call.fields)
    sized = [name for name in ("num_workers", "autoscale", "is_single_node") if name in settings]
    if not sized:
        raise invalid("Missing required field: size (num_workers or autoscale)")
    if not settings.get("node_type_id") and not settings.get("instance_pool_id"):
        raise invalid("Missing required field: node_type_id or instance_pool_id")
    return {"cluster_id": workspace.clusters.add(settings, call.user.name).cluster_id}


def get(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One cluster; one that starts is running when it was asked for often enough."""
    cluster = workspace.clusters.need(call.fields["cluster_id"])
    if cluster.state == "PENDING":
        cluster.asked += 1
        if cluster.asked >= BOOTS:
            cluster.state, cluster.asked = "RUNNING", 0
    return cluster.describe()


def spark_versions(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The runtimes that clusters may have."""
    return {"versions": [{"key": key, "name": name} for key, name in RUNTIMES.items()]}


def list_policies(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The policies that the caller may use."""
    user = call.user
    may = [name for name, users in workspace.clusters.policies.items() if user.name in users or "admins" in user.groups]
    told = [{"policy_id": name.encode().hex().upper(), "name": name, "definition": "{}"} for name in may]
    return {"policies": told, "total_count": len(told)}


def start(workspace: "Databricks", call: Call) -> None:
    """Starts a cluster that has ended."""
    cluster = workspace.clusters.need(call.fields["cluster_id"])
    if cluster.state != "TERMINATED":
        raise Refusal("INVALID_STATE", f"Cluster {cluster.cluster_id} is in unexpected state {cluster.state}.")
    cluster.state = "PENDING"


def delete(workspace: "Databricks", call: Call) -> None:
    """Ends a cluster; it stays in the list."""
    workspace.clusters.need(call.fields["cluster_id"]).state = "TERMINATED"


def list_clusters(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """All clusters, in pages."""
    found = [cluster.describe() for cluster in workspace.clusters.by_id.values()]
    size = call.fields.get("page_size", 20)
    if not 1 <= size <= 100:
        raise invalid("page_size must be 1 to 100")
    page, token = workspace.pages.cut(found, size, "clusters", call.fields.get("page_token"))
    return {"clusters": list(page)} | ({"next_page_token": token} if token else {})


def install(workspace: "Databricks", call: Call) -> None:
    """Puts libraries on a running cluster."""
    cluster = workspace.clusters.need(call.fields["cluster_id"])
    if cluster.state == "TERMINATED":
        raise Refusal("INVALID_STATE", f"Cluster {cluster.cluster_id} is terminated")
    libraries = call.fields["libraries"]
    if not libraries or any(len(each) != 1 for each in libraries):
        raise invalid("Every library must be of exactly one kind")
    cluster.libraries += [each for each in libraries if each not in cluster.libraries]


def cluster_status(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The libraries of a cluster."""
    cluster = workspace.clusters.need(call.fields["cluster_id"])
    status = "INSTALLED" if cluster.state == "RUNNING" else "PENDING"
    told = [{"library": each, "status": status, "is_library_for_all_clusters": False} for each in cluster.libraries]
    return {"cluster_id": cluster.cluster_id, "library_statuses": told}


SETTINGS = dict.fromkeys(
    [
        "apply_policy_default_values",
        "aws_attributes",
        "azure_attributes",
        "clone_from",
        "cluster_log_conf",
        "custom_tags",
        "docker_image",
        "driver_instance_pool_id",
        "driver_node_type_flexibility",
        "enable_elastic_disk",
        "enable_local_disk_encryption",
        "gcp_attributes",
        "init_scripts",
        "instance_pool_id",
        "is_single_node",
        "kind",
        "policy_id",
        "remote_disk_throughput",
        "runtime_engine",
        "single_user_name",
        "spark_conf",
        "spark_env_vars",
        "ssh_public_keys",
        "total_initial_remote_disk_size",
        "use_ml_runtime",
        "worker_node_type_flexibility",
        "workload_type",
        "dependency_mode",
    ],
    anything,
)
MODE = choice(
    "DATA_SECURITY_MODE_AUTO",
    "DATA_SECURITY_MODE_DEDICATED",
    "DATA_SECURITY_MODE_STANDARD",
    "LEGACY_PASSTHROUGH",
    "LEGACY_SINGLE_USER",
    "LEGACY_SINGLE_USER_STANDARD",
    "LEGACY_TABLE_ACL",
    "NONE",
    "SINGLE_USER",
    "USER_ISOLATION",
)
SCALE = message("min_workers max_workers", min_workers=integer, max_workers=integer)
CREATE = message(
    "spark_version",
    **SETTINGS,
    cluster_name=text,
    spark_version=text,
    node_type_id=text,
    driver_node_type_id=text,
    num_workers=integer,
    autoscale=SCALE,
    autotermination_minutes=integer,
    data_security_mode=MODE,
)
PYPI = message("package", package=text, repo=text)
LIBRARY = message(
    jar=text,
    egg=text,
    whl=text,
    requirements=text,
    pypi=PYPI,
    cran=PYPI,
    maven=message("coordinates", coordinates=text, repo=text, exclusions=many(text)),
)
ONE = message("cluster_id", cluster_id=text)
LIST = message(page_size=integer, page_token=text, filter_by=anything, sort_by=anything)
POLICIES = message(sort_column=choice("POLICY_CREATION_TIME", "POLICY_NAME"), sort_order=choice("ASC", "DESC"))
INSTALL = message("cluster_id libraries", cluster_id=text, libraries=many(LIBRARY))
ROUTES = (
    Route("POST", "/api/2.1/clusters/create", create, CREATE, rate="clusters"),
    Route("GET", "/api/2.1/clusters/get", get, ONE, rate="clusters"),
    Route("POST", "/api/2.1/clusters/start", start, ONE, rate="clusters"),
    Route("POST", "/api/2.1/clusters/delete", delete, ONE, rate="clusters"),
    Route("GET", "/api/2.1/clusters/list", list_clusters, LIST, rate="clusters"),
    Route("GET", "/api/2.1/clusters/spark-versions", spark_versions, rate="clusters"),
    Route("GET", "/api/2.0/policies/clusters/list", list_policies, POLICIES, rate="clusters"),
    Route("POST", "/api/2.0/libraries/install", install, INSTALL, rate="clusters"),
    Route("GET", "/api/2.0/libraries/cluster-status", cluster_status, ONE, rate="clusters"),
)
