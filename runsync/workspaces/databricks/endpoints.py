"""Which endpoints of a workspace answer us. Only what reads is asked, mostly of a run that is not there: “there is no
such run” is an answer. The bulk endpoints are not tried, as nothing but a deletion would show them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from runsync.errors import RequestRefused
from runsync.model.experiment import Experiment
from runsync.model.finding import Finding, ok, warning
from runsync.workspaces.databricks.clusters import API as CLUSTERS
from runsync.workspaces.databricks.notebooks import API as TREE
from runsync.workspaces.databricks.volumes import FOLDERS
from runsync.workspaces.http import Client
from runsync.workspaces.rest.server import API, API3

RUN = "0" * 32
"""No run has this id."""
VOLUME = "/Volumes/runsync/runsync/none"
ABSENT = frozenset({"ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "NOT_IMPLEMENTED"})
"""What Databricks says of endpoints that a workspace does not have (databricks-sdk)."""
RUNTIMES = f"{CLUSTERS}/spark-versions"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is asked, and what does not work where there is no answer ("": nothing that runsync carries)."""

    name: str
    ask: Callable[[], object]
    lost: str = ""
    remedy: str = ""

    def refusal(self) -> str:
        """Why it does not answer; "" where it does."""
        try:
            self.ask()
        except RequestRefused as error:
            if error.code in ABSENT or error.status in (401, 403) or (error.status == 404 and not error.code):
                return error.code or str(error.status)
        return ""


def endpoints(client: Client, home: str, experiments: Sequence[Experiment]) -> Iterator[Finding]:
    """What answers, with a warning for each that does not and would be needed."""
    found = {each: each.refusal() for each in (*_needed(client, home), *_further(client, experiments))}
    there = ", ".join(each.name for each, why in found.items() if not why) or "none"
    lacking = ", ".join(f"{each.name} ({why})" for each, why in found.items() if why and not each.lost)
    told = f"these answer: {there}" + (f"; these do not: {lacking}" if lacking else "")
    yield ok("endpoints", f"{told}; bulk deletion and restoration are not tried, as only a change would show them")
    for each, why in found.items():
        if why and each.lost:
            yield warning("endpoints", f"{each.name} do not answer ({why}): {each.lost}", each.remedy)


def _needed(client: Client, home: str) -> Iterator[Endpoint]:
    yield Endpoint(
        "metric histories",
        lambda: client.get(f"{API}/metrics/get-history", run_id=RUN, metric_key="none", max_results=1),
        "no metrics can be exported or verified",
        "have an administrator let this identity, and what stands on the way, ask for metrics/get-history",
    )
    yield Endpoint(
        "credentials for artifacts",
        lambda: client.post(f"{API}/artifacts/credentials-for-read", {"run_id": RUN, "path": ["none"]}),
        "files that Databricks keeps cannot be read",
        "have an administrator let it ask for them; --no-artifacts leaves artifacts out",
    )
    yield Endpoint(
        "exports of notebooks",
        lambda: client.get(f"{TREE}/export", path=f"{home}/runsync none", format="SOURCE"),
        "--notebooks brings none, and runs reproduce has no notebook",
        "have an administrator switch on “Notebook and file exporting” in the workspace's settings",
    )
    yield Endpoint(
        "clusters",
        lambda: client.get(RUNTIMES),
        "runs reproduce can neither find nor start one",
        "runs reproduce --notebook-only does without",
    )


def _further(client: Client, experiments: Sequence[Experiment]) -> Iterator[Endpoint]:
    ids = [e.experiment_id for e in experiments[:1]]
    places = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": e}} for e in ids]
    models = {"experiment_ids": ids, "max_results": 1}
    yield Endpoint("volumes", lambda: client.get(FOLDERS + quote(VOLUME)))
    yield Endpoint("model registry", lambda: client.get(f"{API}/registered-models/search", max_results=1))
    yield Endpoint("Unity Catalog", lambda: client.get(f"{API}/unity-catalog/registered-models/search", max_results=1))
    yield Endpoint("logged models", lambda: client.post(f"{API}/logged-models/search", models))
    yield Endpoint("traces", lambda: client.post(f"{API3}/traces/search", {"locations": places, "max_results": 1}))
