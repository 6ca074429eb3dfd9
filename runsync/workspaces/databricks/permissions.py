"""Who may do what with an experiment: read from a workspace, and given in another.

`/api/2.0/permissions/experiments/{id}` answers with nothing for the experiment of a notebook (samples of
mlflow-export-import): its permissions are those of the notebook, it seems, whose id is that of the experiment, or that
its tag `mlflow.experiment.sourceId` tells where the notebook is in a Git folder.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import orjson

from runsync.contract.entities import EntitySource, OneByOne, WithoutFiles
from runsync.errors import ABSENT, ITEM_ERRORS, RequestRefused, may_pass
from runsync.kinds.permissions import GROUP, PERMISSIONS, SERVICE_PRINCIPAL, USER, Grant, Permissions
from runsync.kinds.scope import Scope
from runsync.model.lineage import is_copy
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.workspaces.http import Client, json_of
from runsync.workspaces.http.fields import listed, text

API = "/api/2.0/permissions"
SOURCE_ID = "mlflow.experiment.sourceId"
Source = EntitySource[Permissions]
_PRINCIPALS = {USER: "user_name", GROUP: "group_name", SERVICE_PRINCIPAL: "service_principal_name"}
_NO_PRINCIPAL = "principals that the target does not have"
_NO_LEVEL = "levels that experiments do not have, only notebooks"
_NO_EXPERIMENT = "experiments that are deleted in the target"


def read_permissions(client: Client, item: Permissions, notebook_id: str = "") -> Permissions:
    """With its grants; `notebook_id` is that of its notebook where it is another one. Raises RequestRefused."""
    notebook_id = notebook_id or (item.experiment_id if item.experiment_id.isdigit() else "")
    try:
        answer = client.get(f"{API}/experiments/{item.experiment_id}")
    except RequestRefused as error:
        if error.code != ABSENT or not notebook_id:
            raise
        answer = {}
    if "access_control_list" in answer or not notebook_id:
        return replace(item, grants=_grants(answer))
    answer = client.get(f"{API}/notebooks/{notebook_id}")
    return replace(item, object_type="notebook", grants=_grants(answer))


def _grants(answer: Mapping[str, Any]) -> tuple[Grant, ...]:
    found = []
    for entry in listed(answer, "access_control_list"):
        kind = next((kind for kind, name in _PRINCIPALS.items() if name in entry), "")
        for told in listed(entry, "all_permissions") if kind else ():
            above = tuple(str(place) for place in told.get("inherited_from_object") or ())
            principal, level = text(entry, _PRINCIPALS[kind]), text(told, "permission_level")
            found.append(Grant(kind, principal, level, bool(told.get("inherited")), above))
    return tuple(sorted(found, key=lambda g: (g.inherited, g.principal_type, g.principal, g.level, g.inherited_from)))


class PermissionsSource(OneByOne, WithoutFiles):
    """See `EntitySource`: those of every experiment."""

    is_exact = False

    def __init__(self, client: Client) -> None:
        self._client = client
        self._in_git_folders: dict[str, str] = {}
        """Ids of notebooks, by those of their experiments."""

    def list(self, scope: Scope) -> Iterator[Permissions]:
        """None is looked at yet."""
        natives = [e for e in scope.experiments if not is_copy(e)]
        self._in_git_folders = {e.experiment_id: e.tags[SOURCE_ID] for e in natives if SOURCE_ID in e.tags}
        yield from (Permissions(e.experiment_id, e.name) for e in scope.experiments)

    def complete(self, item: Permissions) -> Permissions:
        """See `read_permissions`."""
        return read_permissions(self._client, item, self._in_git_folders.get(item.experiment_id, ""))

    def read(self, item: Permissions) -> tuple[Permissions, Iterator[bytes]]:
        """They have no bytes."""
        return item, iter(())

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """All are listed."""
        return ()


class PermissionsTarget:
    """Gives them. Nobody loses a right that they have in the target, and what is inherited is not given again.

    `target_id` gives the target's id of an experiment, "" before it is made.
    """

    def __init__(self, client: Client, target_id: Callable[[str], str], asked: Mapping[str, Any]) -> None:
        self._client = client
        self._target_id = target_id
        self._is_asked = bool(asked.get(PERMISSIONS.name))
        self._left: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def plan(self, items: Sequence[Permissions], source: Source, pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        return self._each(items, source, pool, writes=False)

    def put(self, items: Sequence[Permissions], source: Source, pool: Executor, progress: Progress) -> list[Outcome]:
        """See `EntityTarget`."""
        return self._each(items, source, pool, writes=True)

    def finish(self, pool: Executor) -> list[Outcome]:
        """Nothing is left to do."""
        return []

    def left(self) -> list[NotCarried]:
        """What was not given, for want of its principal or its level, and what was not asked for."""
        return [
            PERMISSIONS.left(len(names), why, tuple(sorted(set(names))[:NAMED])) for why, names in self._left.items()
        ]

    def _each(self, items: Sequence[Permissions], source: Source, pool: Executor, writes: bool) -> list[Outcome]:
        if self._is_asked:
            return list(pool.map(lambda item: self._one(item, source, writes), items))
        self._leave("they are in the source, and given with --permissions", [item.name for item in items])
        return []

    def _one(self, item: Permissions, source: Source, writes: bool) -> Outcome:
        told = (PERMISSIONS.noun, item.experiment_id, item.name)
        try:
            wanted = source.complete(item)
            action = self._give(wanted, writes) if wanted.direct else UNCHANGED
        except ITEM_ERRORS as error:
            return Outcome(*told, FAILED, error=str(error), retry=may_pass(error))
        return Outcome(*told, action)

    def _give(self, item: Permissions, writes: bool) -> str:
        target_id = self._target_id(item.experiment_id)
        if not target_id:
            if not writes:
                return CREATE
            raise RequestRefused("its experiment is not in the target")
        try:
            there = read_permissions(self._client, Permissions(target_id))
        except RequestRefused as error:
            if error.code != ABSENT:
                raise
            self._leave(_NO_EXPERIMENT, [item.name])
            return UNCHANGED
        missing = [grant for grant in item.direct if not any(has.is_enough_for(grant) for has in there.direct)]
        unknown = [grant for grant in missing if not there.has_level(grant.level)]
        self._leave(_NO_LEVEL, [f"{grant.principal} {grant.level} on {item.name}" for grant in unknown])
        missing = [grant for grant in missing if there.has_level(grant.level)]
        given = self._write(item, there, missing) if writes and missing else len(missing)
        return (UPDATE if there.direct else CREATE) if given else UNCHANGED

    def _write(self, item: Permissions, there: Permissions, grants: Sequence[Grant]) -> int:
        """How many were given. One principal that is not there has the workspace refuse all of a request."""
        try:
            self._patch(there, grants)
            return len(grants)
        except RequestRefused as error:
            if error.code != ABSENT:
                raise
        given = 0
        for grant in grants:
            try:
                self._patch(there, [grant])
                given += 1
            except RequestRefused as error:
                if error.code != ABSENT:
                    raise
                self._leave(_NO_PRINCIPAL, [f"{grant.principal} ({grant.level} on {item.name})"])
        return given

    def _patch(self, there: Permissions, grants: Sequence[Grant]) -> None:
        """Where the target has them: with the experiment, or with the notebook whose id it has."""
        entries = [{_PRINCIPALS[g.principal_type]: g.principal, "permission_level": g.level} for g in grants]
        content = orjson.dumps({"access_control_list": entries})
        headers = {"Content-Type": "application/json"}
        place = f"{API}/{there.object_type}s/{there.experiment_id}"
        json_of(self._client.send("PATCH", place, content=content, headers=headers))

    def _leave(self, why: str, names: Sequence[str]) -> None:
        with self._lock:
            if names:
                self._left.setdefault(why, []).extend(names)
