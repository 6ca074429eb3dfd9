"""What a server holds beside experiments and runs, counted so that a report can name what stays behind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from runsync.errors import RequestRefused
from runsync.model import threads
from runsync.model.left_behind import (
    EVALUATION_DATASETS,
    GATEWAY_ENDPOINTS,
    LOGGED_MODELS,
    METRIC_LINKS,
    MODEL_VERSIONS,
    PROMPTS,
    REGISTERED_MODELS,
    TRACES,
    WEBHOOKS,
    Kind,
)
from runsync.model.protocol import NotCarried
from runsync.workspaces.http import OPTIONAL, Client
from runsync.workspaces.http.fields import Json, listed, part, text
from runsync.workspaces.rest.server import API, API3

MOST = 1000
IS_PROMPT = "tags.`mlflow.prompt.is_prompt` = 'true'"
"""A prompt is a registered model with this tag, and only a search for the tag finds it."""
WHY = "this version carries experiments and runs"
UNKNOWN = frozenset({404, 405, 501})
"""Statuses of a server that has no such endpoint: an older MLflow."""


def is_unknown(error: RequestRefused) -> bool:
    """Whether a server has no such thing; else it may have it, and does not tell."""
    return error.status in UNKNOWN


@dataclass(frozen=True, slots=True)
class _Look:
    """Asks for one kind. `name` is the list in the answer, `called` what one of them is called."""

    kind: Kind
    name: str
    called: Callable[[Json], str]
    ask: Callable[[Client], dict[str, Any]]


def left_behind(client: Client, experiment_ids: Sequence[str], is_mlflow: bool) -> list[NotCarried]:
    """One NotCarried for each kind of which there is any, or of which the server does not tell.

    A kind the server does not know is passed over; of one that is not MLflow's own, some are not asked for. Nor are
    issues, scorers, label schemas and review queues: a server lists them for one experiment at a time, and listing
    label schemas makes one (MLflow 3.17).
    """
    looks = [*_looks(experiment_ids), *(_looks_at_mlflow(experiment_ids) if is_mlflow else ())]
    with threads.pool(len(looks), "runsync-request") as pool:  # side by side: they take one round trip
        left = [found for found in pool.map(lambda look: _found(look, client), looks) if found is not None]
    if any(found.kind == LOGGED_MODELS.name and found.why == WHY for found in left):
        why = "the REST API does not tell them with the history"
        left.append(METRIC_LINKS.left(None, why))
    return left


def _found(look: _Look, client: Client) -> NotCarried | None:
    """What there is of a kind; None where there is nothing, or where the server has no such kind."""
    try:
        answer = look.ask(client)
        found = listed(answer, look.name)
        names = tuple(filter(None, map(look.called, found[:20])))
    except RequestRefused as error:
        if is_unknown(error) or (look.kind is PROMPTS and error.status == HTTPStatus.BAD_REQUEST):
            return None  # not every registry can be asked for a tag
        status = f"HTTP {error.status}" if error.status else "no answer that makes sense"
        return look.kind.left(None, f"the server does not tell whether there are any ({status})")
    count = None if answer.get("next_page_token") else len(found)
    return None if count == 0 else look.kind.left(count, WHY, names)


def _looks(experiment_ids: Sequence[str]) -> list[_Look]:
    places = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": e}} for e in experiment_ids]
    logged = {"experiment_ids": list(experiment_ids), "max_results": 50}
    return [
        _Look(REGISTERED_MODELS, "registered_models", _name, _get(f"{API}/registered-models/search", max_results=MOST)),
        _Look(MODEL_VERSIONS, "model_versions", _nameless, _get(f"{API}/model-versions/search", max_results=MOST)),
        _Look(LOGGED_MODELS, "models", _id, _post(f"{API}/logged-models/search", **logged)),
        _Look(TRACES, "traces", _nameless, _post(f"{API3}/traces/search", locations=places, max_results=500)),
    ]


def _looks_at_mlflow(experiment_ids: Sequence[str]) -> list[_Look]:
    within = {"experiment_ids": list(experiment_ids), "max_results": 50}
    return [
        _Look(PROMPTS, "registered_models", _name, _get(f"{API}/registered-models/search", filter=IS_PROMPT)),
        _Look(EVALUATION_DATASETS, "datasets", _name, _post(f"{API3}/datasets/search", **within)),
        _Look(WEBHOOKS, "webhooks", _name, _get(f"{API}/webhooks", max_results=50)),
        _Look(GATEWAY_ENDPOINTS, "endpoints", _name, _get(f"{API3}/gateway/endpoints/list")),
    ]


def _get(path: str, **parameters: Any) -> Callable[[Client], dict[str, Any]]:
    return lambda client: client.get(path, care=OPTIONAL, **parameters)


def _post(path: str, **body: Any) -> Callable[[Client], dict[str, Any]]:
    return lambda client: client.post(path, body, care=OPTIONAL)


def _name(model: Json) -> str:
    return text(model, "name", "")


def _id(model: Json) -> str:
    return text(part(model, "info"), "model_id", "")


def _nameless(thing: Json) -> str:
    return ""
