"""What a server holds beside experiments and runs, counted so that a report can name what stays behind."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from runsync import threads
from runsync.errors import RequestRefused, TooMuch
from runsync.kinds.category import Category
from runsync.kinds.evaluation_datasets import EVALUATION_DATASETS
from runsync.kinds.label_schemas import LABEL_SCHEMAS
from runsync.kinds.left_behind import (
    GATEWAY_SECRETS,
    NO_SECRETS,
    PROMPT_OPTIMIZATION_JOBS,
    UNTOLD,
    unsought,
)
from runsync.kinds.prompts import PROMPTS
from runsync.kinds.review_queues import REVIEW_QUEUES
from runsync.kinds.scorers import SCORERS
from runsync.kinds.traces import TRACES
from runsync.model.not_carried import NotCarried
from runsync.workspaces.http import OPTIONAL, Care, Client
from runsync.workspaces.http.fields import Json, listed, pages, text
from runsync.workspaces.rest.server import API3

MOST = 1000
PART = 10
"""By which a list that is too much for the server is divided."""
WHY = "this version carries experiments and runs"
_ONLY_MLFLOW = "they are only looked for where MLflow's own server keeps them"
_ALSO_IN_CLOUDS = (PROMPTS, EVALUATION_DATASETS, SCORERS, LABEL_SCHEMAS, REVIEW_QUEUES)
"""What a cloud may keep behind endpoints of its own."""
ONE_BY_ONE = "the server lists them for one experiment at a time"
NEEDS_ONE = "required parameter 'experiment_id'"
"""What a server complains of that does: label schemas, review queues and jobs of MLflow 3.17, scorers until 3.12."""
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
    why: str = WHY

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


def left_behind(client: Client, experiment_ids: Sequence[str], is_mlflow: bool, has_files: bool) -> list[NotCarried]:
    """One NotCarried for each kind of which there is any, or of which the server does not tell.

    A kind the server does not know is passed over; of one that is not MLflow's own, some are not asked for, nor, where
    it `has_files` in place of a database, what only databases keep. What a server lists for one experiment at a time is
    not looked for: there may be thousands, and listing label schemas makes one (MLflow 3.17).
    """
    looks = [] if is_mlflow else [_look_at_traces(experiment_ids)]
    if is_mlflow and not has_files:
        looks += _looks_at_database(experiment_ids)
    with threads.pool(max(1, len(looks)), "runsync-request") as pool:  # side by side: they take one round trip
        asked = pool.map(lambda look: _found(look, client), looks)
        found = [left for left in asked if left is not None]
    return found if is_mlflow else [*found, *(unsought(kind.category, _ONLY_MLFLOW) for kind in _ALSO_IN_CLOUDS)]


def _found(look: _Look, client: Client) -> NotCarried | None:
    """What there is of a kind; None where there is nothing, or where the server has no such kind."""
    try:
        found, has_more = look.some(client)
        names = tuple(filter(None, map(look.called, found[:20])))
    except RequestRefused as error:
        if NEEDS_ONE in str(error):
            return unsought(look.kind, ONE_BY_ONE)
        if is_unknown(error):
            return None
        return look.kind.left(None, f"{UNTOLD} ({refusal(error)})")
    count = None if has_more else len(found)
    return None if count == 0 else look.kind.left(count, look.why, names)


def refusal(error: RequestRefused) -> str:
    """What became of the request for a list."""
    if not error.status:
        return "no answer that makes sense"
    return f"HTTP {error.status}" if error.status >= 300 else "it answers with a web page, such as a login page"


def _look_at_traces(experiment_ids: Sequence[str]) -> _Look:
    places = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": e}} for e in experiment_ids]
    return _Look(TRACES.category, "traces", _nameless, _post(f"{API3}/traces/search", locations=places), 500)


def _looks_at_database(experiment_ids: Sequence[str]) -> list[_Look]:
    jobs = _post(f"{API3}/prompt-optimization/jobs/search")
    homes = frozenset(experiment_ids)
    return [
        _Look(GATEWAY_SECRETS, "secrets", _name_of_secret, _get(f"{API3}/gateway/secrets/list"), why=NO_SECRETS),
        _Look(PROMPT_OPTIMIZATION_JOBS, "jobs", _nameless, jobs, homes=homes),
    ]


def _get(path: str, **parameters: Any) -> _Send:
    return lambda client, care, most: client.get(path, care=care, **parameters, **most)


def _post(path: str, **body: Any) -> _Send:
    return lambda client, care, most: client.post(path, {**body, **most}, care=care)


def _name_of_secret(secret: Json) -> str:
    return text(secret, "secret_name", "")


def _nameless(thing: Json) -> str:
    return ""
