"""What a server holds beside experiments and runs, counted so that a report can name what stays behind."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from runsync import threads
from runsync.errors import RequestRefused, TooMuch
from runsync.kinds.category import Category
from runsync.kinds.left_behind import (
    EVALUATION_DATASETS,
    GATEWAY_ENDPOINTS,
    ISSUES,
    LABEL_SCHEMAS,
    METRIC_LINKS,
    PROMPTS,
    REVIEW_QUEUES,
    SCORERS,
    TRACES,
    UNTOLD,
    WEBHOOKS,
    unsought,
)
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.not_carried import NotCarried
from runsync.workspaces.http import OPTIONAL, Care, Client
from runsync.workspaces.http.fields import Json, listed, pages, part, text
from runsync.workspaces.rest.server import API, API3

MOST = 1000
PART = 10
"""By which a list that is too much for the server is divided."""
IS_PROMPT = "tags.`mlflow.prompt.is_prompt` = 'true'"
"""A prompt is a registered model with this tag, and only a search for the tag finds it."""
WHY = "this version carries experiments and runs"
NAMED_AT_MOST = 100
"""Experiments that an address may name; for more of them, and where none are heeded (MLflow 3.13), all are listed."""
ONE_BY_ONE = "the server lists them for one experiment at a time"
NEEDS_ONE = "required parameter 'experiment_id'"
"""What a server complains of that does: label schemas and review queues of MLflow 3.17, scorers until 3.12."""
UNKNOWN = frozenset({404, 405, 501})
"""Statuses of a server that has no such endpoint: an older MLflow."""


def is_unknown(error: RequestRefused) -> bool:
    """Whether a server has no such thing; else it may have it, and does not tell."""
    return error.status in UNKNOWN


@dataclass(frozen=True, slots=True)
class _Look:
    """Asks for one kind. `name` is the list in the answer, `called` what one of them is called; `most` of them at a
    time, or as many as the server likes. `homes`: only those of these experiments count, where all are listed."""

    kind: Category
    name: str
    called: Callable[[Json], str]
    send: "_Send"
    most: int | None = None
    homes: frozenset[str] | None = None

    def some(self, client: Client) -> tuple[list[dict[str, Any]], bool]:
        """Some of them, and whether there are more. Raises RequestRefused."""
        if self.homes is None:
            answer = self._page(client)
            return listed(answer, self.name), bool(answer.get("next_page_token"))
        every = pages(lambda token: self._page(client, token), self.name)
        return [one for page in every for one in page if str(one.get("experiment_id")) in self.homes], False

    def _page(self, client: Client, token: str = "") -> dict[str, Any]:
        """A page; a shorter one where the server does not manage that, and then one of any length that it likes."""
        further = {"page_token": token} if token else {}
        for most in () if self.most is None else (self.most, self.most // PART):
            with suppress(TooMuch):
                return self.send(client, Care(is_optional=True, is_divisible=True), {"max_results": most, **further})
        return self.send(client, OPTIONAL, further)


_Send = Callable[[Client, Care, Json], dict[str, Any]]


def left_behind(
    client: Client, experiment_ids: Sequence[str], is_mlflow: bool, has_files: bool, are_models_carried: bool
) -> list[NotCarried]:
    """One NotCarried for each kind of which there is any, or of which the server does not tell.

    A kind the server does not know is passed over; of one that is not MLflow's own, some are not asked for, nor, where
    it `has_files` in place of a database, what only databases keep. What a server lists for one experiment at a time is
    not looked for: there may be thousands, and listing label schemas makes one (MLflow 3.17).
    """
    looks = [_look_at_traces(experiment_ids)]
    if not are_models_carried:
        looks += _looks_at_models(experiment_ids)
    if is_mlflow:
        looks += _looks_at_mlflow()
    if is_mlflow and not has_files:
        looks += _looks_at_database(experiment_ids)
    with threads.pool(len(looks), "runsync-request") as pool:  # side by side: they take one round trip
        asked = pool.map(lambda look: _found(look, client, has_files), looks)
        left = [found for found in asked if found is not None]
    if any(found.kind == LOGGED_MODELS.name and found.why == WHY for found in left):
        why = "the REST API does not tell them with the history"
        left.append(METRIC_LINKS.left(None, why))
    return left


def _found(look: _Look, client: Client, has_files: bool) -> NotCarried | None:
    """What there is of a kind; None where there is nothing, or where the server has no such kind."""
    try:
        found, has_more = look.some(client)
        names = tuple(filter(None, map(look.called, found[:20])))
    except RequestRefused as error:
        if NEEDS_ONE in str(error):
            return unsought(look.kind, ONE_BY_ONE)
        if is_unknown(error) or _has_none(look.kind, error.status, has_files):
            return None
        return look.kind.left(None, f"{UNTOLD} ({refusal(error)})")
    count = None if has_more else len(found)
    return None if count == 0 else look.kind.left(count, WHY, names)


def _has_none(kind: Category, status: int, has_files: bool) -> bool:
    """Whether a refusal means that there can be none."""
    if kind is PROMPTS:
        return status == HTTPStatus.BAD_REQUEST  # not every registry can be asked for a tag
    return kind is WEBHOOKS and has_files and status == HTTPStatus.INTERNAL_SERVER_ERROR  # the registry is of files too


def refusal(error: RequestRefused) -> str:
    """What became of the request for a list."""
    if not error.status:
        return "no answer that makes sense"
    return f"HTTP {error.status}" if error.status >= 300 else "it answers with a web page, such as a login page"


def _look_at_traces(experiment_ids: Sequence[str]) -> _Look:
    places = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": e}} for e in experiment_ids]
    return _Look(TRACES, "traces", _nameless, _post(f"{API3}/traces/search", locations=places), 500)


def _looks_at_models(experiment_ids: Sequence[str]) -> list[_Look]:
    logged = _post(f"{API}/logged-models/search", experiment_ids=list(experiment_ids))
    return [
        _Look(REGISTERED_MODELS.category, "registered_models", _name, _get(f"{API}/registered-models/search"), MOST),
        _Look(MODEL_VERSIONS.category, "model_versions", _nameless, _get(f"{API}/model-versions/search"), MOST),
        _Look(LOGGED_MODELS.category, "models", _id, logged, 50),
    ]


def _looks_at_mlflow() -> list[_Look]:
    return [
        _Look(PROMPTS, "registered_models", _name, _get(f"{API}/registered-models/search", filter=IS_PROMPT), 100),
        _Look(WEBHOOKS, "webhooks", _name, _get(f"{API}/webhooks"), 50),
    ]


def _looks_at_database(experiment_ids: Sequence[str]) -> list[_Look]:
    datasets = _post(f"{API3}/datasets/search", experiment_ids=list(experiment_ids))
    named = {"experiment_ids": list(experiment_ids)} if len(experiment_ids) <= NAMED_AT_MOST else {}
    scorers, issues = _get(f"{API3}/scorers/list", **named), _post(f"{API3}/issues/search")
    homes = frozenset(experiment_ids)
    return [
        _Look(EVALUATION_DATASETS, "datasets", _name, datasets, 50),
        _Look(GATEWAY_ENDPOINTS, "endpoints", _name, _get(f"{API3}/gateway/endpoints/list")),
        _Look(SCORERS, "scorers", lambda scorer: text(scorer, "scorer_name", ""), scorers, homes=homes),
        _Look(ISSUES, "issues", _name, issues, MOST, homes),
        _Look(LABEL_SCHEMAS, "label_schemas", _name, _get(f"{API3}/label-schemas/list"), homes=homes),
        _Look(REVIEW_QUEUES, "review_queues", _name, _get(f"{API3}/review-queues/list"), homes=homes),
    ]


def _get(path: str, **parameters: Any) -> _Send:
    return lambda client, care, most: client.get(path, care=care, **parameters, **most)


def _post(path: str, **body: Any) -> _Send:
    return lambda client, care, most: client.post(path, {**body, **most}, care=care)


def _name(model: Json) -> str:
    return text(model, "name", "")


def _id(model: Json) -> str:
    return text(part(model, "info"), "model_id", "")


def _nameless(thing: Json) -> str:
    return ""
