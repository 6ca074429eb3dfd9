"""Who a server takes us for, and what it lets us do, as far as MLflow's basic-auth app tells."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runsync.errors import RequestRefused
from runsync.model.experiment import Experiment
from runsync.model.finding import Finding, ok, warning
from runsync.model.wording import many
from runsync.workspaces.http import OPTIONAL, Client
from runsync.workspaces.http.fields import identifier, listed, text
from runsync.workspaces.rest.server import API, API3

LOOKED_AT = 50
"""Experiments of which the right to write is asked, the newest."""
MAY_WRITE = ("EDIT", "MANAGE")
NAMED = 5
UNSEEN = "experiments that it may not read are not shown to it, and would be missing from an export without a word"
SEE_ALL = "to carry a whole workspace, use an administrator's account"
_LET_WRITE = (
    "for an import or a change, have an administrator give it EDIT there; with --prefix an import makes experiments of "
    "its own, which it may manage"
)
_LET_PROMOTE = "to promote into them, have an administrator give it EDIT there"


def rights(client: Client, experiments: Sequence[Experiment]) -> Iterator[Finding]:
    """Of these experiments, which are all that are shown to us."""
    user = _user(client)
    if user is None:
        yield ok("identity", _untold(client))
        return
    name = f"user “{user.get('username')}”"
    if user.get("is_admin"):
        yield ok("identity", f"{name}, an administrator")
        yield ok("rights", "all")
        return
    yield ok("identity", f"{name}, no administrator")
    yield warning("rights", f"{name} is no administrator: {UNSEEN}", SEE_ALL)
    yield from _writing(client, user, experiments)


def _writing(client: Client, user: Mapping[str, Any], experiments: Sequence[Experiment]) -> Iterator[Finding]:
    newest = experiments[-LOOKED_AT:]
    found = _permissions(client, user, newest)
    writable = sum(permission in MAY_WRITE for permission in found.values())
    untold = len(newest) - len(found)
    told = f"it may write to {writable:,} of {many(len(newest), 'experiment')}"
    told += ", the newest" if len(experiments) > len(newest) else ""
    told += f"; of {untold:,} it is not told" if untold else ""
    yield ok("rights", told) if writable == len(newest) else warning("rights", told, _LET_WRITE)


def rights_on_models(client: Client, names: Sequence[str]) -> Iterator[Finding]:
    """Whether versions of these registered models may be made and their aliases moved, where that is told."""
    user = _user(client)
    if user is None or user.get("is_admin"):
        return
    told: Mapping[str, str] = {
        text(given, "name", ""): text(given, "permission", "") for given in listed(user, "registered_model_permissions")
    }
    if "registered_model_permissions" not in user:
        told = _told_of(client, user, "registered_model", names)
    refused = [name for name in names if told.get(name, MAY_WRITE[0]) not in MAY_WRITE]
    if refused:
        which = f"{', '.join(refused[:NAMED])}{' …' if len(refused) > NAMED else ''}"
        yield warning("rights", f"it may not change {many(len(refused), 'registered model')}: {which}", _LET_PROMOTE)


def _told_of(client: Client, user: Mapping[str, Any], kind: str, ids: Sequence[str]) -> dict[str, str]:
    """Permissions by id, of resources of a kind, as far as they are told."""
    found = {}
    for id in ids:
        asked = {"username": user.get("username"), "resource_type": kind}
        answer = _asked(client, f"{API3}/users/permissions/get", **asked, resource_id=id)
        if "permission" not in answer:
            break
        found[id] = str(answer["permission"])
    return found


def _user(client: Client) -> Mapping[str, Any] | None:
    """MLflow 3 tells who we are; MLflow 2 tells only of the user that we say we are."""
    credentials, user = client.credentials, _asked(client, f"{API}/users/current").get("user")
    if user is None and credentials.username and not credentials.token:
        user = _asked(client, f"{API}/users/get", username=credentials.username).get("user")
    return user if isinstance(user, dict) else None


def _permissions(client: Client, user: Mapping[str, Any], experiments: Sequence[Experiment]) -> dict[str, str]:
    """By experiment id, where it is told. Before MLflow 3.12 only what was given to the user by name."""
    if "experiment_permissions" in user:
        ids = {e.experiment_id for e in experiments}
        given = {identifier(g, "experiment_id"): text(g, "permission") for g in listed(user, "experiment_permissions")}
        return {experiment_id: permission for experiment_id, permission in given.items() if experiment_id in ids}
    return _told_of(client, user, "experiment", [experiment.experiment_id for experiment in experiments])


def _untold(client: Client) -> str:
    if client.identity is not None:
        return f"{client.identity.told}; the server lets us in, and does not tell whom it takes us for"
    if client.credentials.token or client.credentials.username:
        return "the server lets us in, and does not tell whom it takes us for"
    return "nobody: the server asks for no login"


def _asked(client: Client, path: str, **parameters: Any) -> dict[str, Any]:
    try:
        return client.get(path, care=OPTIONAL, **parameters)
    except RequestRefused:
        return {}
