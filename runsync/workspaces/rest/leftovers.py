"""What a server holds beside experiments and runs, counted so that a report can name what stays behind."""

from collections.abc import Callable, Sequence
from typing import Any

from runsync.errors import RequestRefused
from runsync.model.left_behind import LOGGED_MODELS, METRIC_LINKS, REGISTERED_MODELS, TRACES, Kind
from runsync.model.protocol import NotCarried
from runsync.workspaces.http import OPTIONAL, Client
from runsync.workspaces.http.fields import Json, listed, part, text
from runsync.workspaces.rest.server import API, API3

MOST = 1000
WHY = "this version carries experiments and runs"
UNKNOWN = frozenset({404, 405, 501})
"""Statuses of a server that has no such endpoint: an older MLflow."""


def is_unknown(error: RequestRefused) -> bool:
    """Whether a server has no such thing; else it may have it, and does not tell."""
    return error.status in UNKNOWN


def left_behind(client: Client, experiment_ids: Sequence[str]) -> tuple[list[NotCarried], list[str]]:
    """One NotCarried for each kind of which there is any, and a note for each of which we are not told.

    A kind the server does not know is passed over.
    """
    left: list[NotCarried] = []
    untold: list[str] = []
    places = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": e}} for e in experiment_ids]
    logged = {"experiment_ids": list(experiment_ids), "max_results": 50}
    traced = {"locations": places, "max_results": 500}

    def look(kind: Kind, name: str, of: Callable[[Json], str] | None, ask: Callable[[], dict[str, Any]]) -> None:
        try:
            answer = ask()
        except RequestRefused as error:
            if not is_unknown(error):
                status = f"HTTP {error.status}" if error.status else "no answer"
                untold.append(f"whether there are {kind.title}, which stay behind, the server does not tell ({status})")
            return
        found = listed(answer, name)
        count = None if answer.get("next_page_token") else len(found)
        if count != 0:
            left.append(kind.left(count, WHY, tuple(of(one) for one in found[:20]) if of else ()))

    search = f"{API}/registered-models/search"
    look(REGISTERED_MODELS, "registered_models", _name, lambda: client.get(search, care=OPTIONAL, max_results=MOST))
    search3 = f"{API}/logged-models/search"
    look(LOGGED_MODELS, "models", _id, lambda: client.post(search3, logged, care=OPTIONAL))
    look(TRACES, "traces", None, lambda: client.post(f"{API3}/traces/search", traced, care=OPTIONAL))
    if any(found.kind == LOGGED_MODELS.name for found in left):
        why = "the REST API does not tell them with the history"
        left.append(METRIC_LINKS.left(None, why))
    return left, untold


def _name(model: Json) -> str:
    return text(model, "name", "")


def _id(model: Json) -> str:
    return text(part(model, "info"), "model_id", "")
