"""What a server holds beside experiments and runs, counted so that a report can name what stays behind."""

from collections.abc import Sequence

from runsync.errors import RequestRefused, WorkspaceUnreachable
from runsync.model.protocol import NotCarried
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import listed, part, text
from runsync.workspaces.rest.server import API, API3

MOST = 1000
WHY = "this version carries experiments and runs"


def left_behind(client: Client, experiment_ids: Sequence[str]) -> list[NotCarried]:
    """One NotCarried for each kind of which there is any. A kind the server does not know is passed over."""
    kinds = (
        ("registered models", *_registered(client)),
        ("logged models", *_logged(client, experiment_ids)),
        ("traces", *_traces(client, experiment_ids)),
    )
    left = [NotCarried(what, count, WHY, names) for what, count, names in kinds if count != 0]
    if any(found.what == "logged models" for found in left):
        why = "the REST API does not tell them with the history"
        left.append(NotCarried("links from metric points to logged models and datasets", None, why))
    return left


def _registered(client: Client) -> tuple[int | None, tuple[str, ...]]:
    try:
        answer = client.get(f"{API}/registered-models/search", max_results=MOST)
    except (RequestRefused, WorkspaceUnreachable):
        return 0, ()
    models = listed(answer, "registered_models")
    count = None if answer.get("next_page_token") else len(models)
    return count, tuple(text(model, "name", "") for model in models[:20])


def _logged(client: Client, experiment_ids: Sequence[str]) -> tuple[int | None, tuple[str, ...]]:
    body = {"experiment_ids": list(experiment_ids), "max_results": 50}
    try:
        answer = client.post(f"{API}/logged-models/search", body)
    except RequestRefused:
        return 0, ()
    models = listed(answer, "models")
    count = None if answer.get("next_page_token") else len(models)
    return count, tuple(text(part(model, "info"), "model_id", "") for model in models[:20])


def _traces(client: Client, experiment_ids: Sequence[str]) -> tuple[int | None, tuple[str, ...]]:
    places = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": e}} for e in experiment_ids]
    try:
        answer = client.post(f"{API3}/traces/search", {"locations": places, "max_results": 500})
    except RequestRefused:
        return 0, ()
    traces = listed(answer, "traces")
    return (None if answer.get("next_page_token") else len(traces)), ()
