"""Writes that meet those of others: a server refuses one of the two, and takes it when it is sent again."""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson

from runsync.errors import ABSENT, RequestRefused
from runsync.log import LOG
from runsync.model.experiment import ACTIVE, DELETED
from runsync.workspaces.http import NEEDED, Care, Client, json_of
from runsync.workspaces.http.fields import part
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.server import API

_SIGNS = re.compile(
    r"UNIQUE constraint|UniqueViolation|unique constraint|Duplicate entry|IntegrityError|StaleDataError"
    r"|PendingRollbackError|database (table )?is locked|deadlock|could not serialize|Lock wait timeout"
    r"|Record has changed since last read|concurrent update",
    re.IGNORECASE,
)
"""What MLflow passes on of SQLAlchemy and of SQLite, PostgreSQL, MySQL and MariaDB; Databricks answers 409."""


_TRIES = 10
Send = Callable[[Client, str, Mapping[str, Any], Care], dict[str, Any]]
"""As `post`."""


def is_inactive(error: RequestRefused) -> bool:
    """Whether a write was refused because its run or experiment was deleted."""
    return "must be in the 'active' state" in str(error)


def is_collision(error: RequestRefused) -> bool:
    """Whether a write was refused for what another client wrote in the same moment."""
    return error.status == HTTPStatus.CONFLICT or _SIGNS.search(str(error)) is not None


def is_untagged(error: RequestRefused) -> bool:
    """Whether a tag was not taken away because it is gone already: by another client, or by a request whose answer was
    lost."""
    return "No tag with name" in str(error)


def post(client: Client, path: str, body: Mapping[str, Any], care: Care = NEEDED) -> dict[str, Any]:
    """Posts what may be done twice (`runs/set-tag`), again after each collision as long as patience lasts."""
    return after_collisions(client, path, lambda: client.post(f"{API}/{path}", body, care=care))


def send(client: Client, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The same by another method, such as PATCH."""
    content, headers = orjson.dumps(body), {"Content-Type": "application/json"}
    return after_collisions(
        client, path, lambda: json_of(client.send(method, f"{API}/{path}", content=content, headers=headers))
    )


def after_collisions(client: Client, path: str, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Does it again after each collision, as long as patience lasts."""
    failures = 0
    while True:
        try:
            return act()
        except RequestRefused as error:
            failures += 1
            if not is_collision(error) or failures > client.patience.tries:
                raise
            delay = client.patience.delay(failures)
            LOG.warning("%s/%s: another client wrote the same; again in %.1f s", client.url, path, delay)
            client.pause(delay)


def post_to_deleted(
    client: Client, path: str, body: Mapping[str, Any], run_id: str, care: Care = NEEDED, send: Send = post
) -> None:
    """Posts to a run that is active for as long as it is filled, and deleted after that. Another import of the same run
    may have deleted it by now: then it is restored first."""

    def restore(error: RequestRefused) -> bool:
        run = wire.run(part(client.get(f"{API}/runs/get", run_id=run_id), "run"))
        if run.lifecycle_stage == DELETED:
            post(client, "runs/restore", {"run_id": run_id})
        # Where it is active by now, another import has restored it after we were refused.
        return run.lifecycle_stage == DELETED or is_inactive(error)

    again(client, lambda: send(client, path, body, care), restore)


def again(client: Client, act: Callable[[], object], mend: Callable[[RequestRefused], bool]) -> None:
    """Does what is refused once more, as long as `mend` finds, and takes away, what stood against it."""
    failures = 0
    while True:
        try:
            act()
            return
        except RequestRefused as error:
            failures += 1
            if failures > _TRIES or not mend(error):
                raise
        if failures > 1:  # several imports are at it: they must not meet again and again
            client.pause(client.patience.delay(failures))


def to_stage(client: Client, experiment_id: str, stage: str) -> None:
    """Deletes or restores an experiment. MLflow refuses one that is so already, by another client or by a request whose
    answer was lost: that is no fault. Where a third client has changed it back by then, it is sent again."""
    verb, other = ("restore", DELETED) if stage == ACTIVE else ("delete", ACTIVE)

    def act() -> None:
        try:
            post(client, f"experiments/{verb}", {"experiment_id": experiment_id})
        except RequestRefused:
            if stage_of(client, experiment_id) != stage:
                raise

    again(client, act, lambda error: error.code == ABSENT and stage_of(client, experiment_id) == other)


def stage_of(client: Client, experiment_id: str) -> str:
    """The lifecycle stage of an experiment; "" where it is not there at all."""
    try:
        answer = client.get(f"{API}/experiments/get", experiment_id=experiment_id)
    except RequestRefused as error:
        if error.code != ABSENT:
            raise
        return ""
    return wire.experiment(part(answer, "experiment")).lifecycle_stage
