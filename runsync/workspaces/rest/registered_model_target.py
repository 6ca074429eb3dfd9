"""Registered models and their aliases into a server."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from threading import Lock

from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, TAKEN, RequestRefused, may_pass
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.model.identity import own_tags_removed
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.workspaces.http import Client
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.collisions import post, send
from runsync.workspaces.rest.registered_models import RegisteredModelSource


class RegisteredModelTarget:
    """See `EntityTarget`."""

    def __init__(self, client: Client, there: RegisteredModelSource) -> None:
        self.wanted: dict[str, RegisteredModel] = {}
        """Those that were put, by their names."""
        self.made: set[str] = set()
        """The names of those that this import made."""
        self._client = client
        self._source = there
        self._there: dict[str, RegisteredModel] | None = None

    def plan(
        self, items: Sequence[RegisteredModel], source: EntitySource[RegisteredModel], pool: Executor
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        there = self._known()
        return [Outcome(REGISTERED_MODELS.noun, item.name, item.name, _action(item, there)) for item in items]

    def put(
        self,
        items: Sequence[RegisteredModel],
        source: EntitySource[RegisteredModel],
        pool: Executor,
        progress: Progress,
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        there = self._known()
        self.wanted.update((item.name, item) for item in items)
        return list(pool.map(lambda item: self._put(item, there), items))

    def finish(self, pool: Executor) -> list[Outcome]:
        """See `EntityTarget`: nothing is left to do."""
        return []

    def left(self) -> list[NotCarried]:
        """See `EntityTarget`."""
        return []

    def _known(self) -> dict[str, RegisteredModel]:
        """What the target has."""
        if self._there is None:
            self._there = {model.name: model for model, _ in self._source.all()}
        return self._there

    def _put(self, item: RegisteredModel, there: dict[str, RegisteredModel]) -> Outcome:
        action = _action(item, there)
        told = (REGISTERED_MODELS.noun, item.name, item.name)
        try:
            if action == CREATE:
                self._create(item)
                self.made.add(item.name)
            elif action == UPDATE:
                self._update(item, there[item.name])
        except ITEM_ERRORS as error:
            return Outcome(*told, FAILED, error=str(error), retry=may_pass(error))
        return Outcome(*told, action)

    def _create(self, item: RegisteredModel) -> None:
        tags = wire.entries(own_tags_removed(item.tags))
        body = {"name": item.name, "description": item.description, "tags": tags}
        try:
            post(self._client, "registered-models/create", body)
        except RequestRefused as error:
            if error.code != TAKEN:
                raise
            there = self._source.get(item.name)  # by a request whose answer was lost, or by another client
            if there is None:
                raise RequestRefused(f"the target has a prompt “{item.name}”, and a name is taken once") from None
            self._update(item, there)

    def _update(self, item: RegisteredModel, there: RegisteredModel) -> None:
        if item.description != there.description:
            body = {"name": item.name, "description": item.description}
            send(self._client, "PATCH", "registered-models/update", body)
        for key, value in own_tags_removed(item.tags).items():
            if there.tags.get(key) != value:
                body = {"name": item.name, "key": key, "value": value}
                post(self._client, "registered-models/set-tag", body)


def _action(item: RegisteredModel, there: dict[str, RegisteredModel]) -> str:
    if item.name not in there:
        return CREATE
    return UPDATE if any(REGISTERED_MODELS.lacks(item, there[item.name])) else UNCHANGED


class ModelAliasTarget:
    """See `EntityTarget`. `why_not_whole` tells why a version, by model and number, is not to be loaded by an alias; ""
    where it is."""

    def __init__(self, client: Client, there: RegisteredModelSource, why_not_whole: Callable[[str, int], str]) -> None:
        self._client = client
        self._source = there
        self._why_not_whole = why_not_whole
        self._there: dict[tuple[str, ...], ModelAlias] | None = None
        self._left: dict[str, list[str]] = defaultdict(list)
        self._lock = Lock()

    def plan(self, items: Sequence[ModelAlias], source: EntitySource[ModelAlias], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        there = self._known()
        return [Outcome(MODEL_ALIASES.noun, item.name, item.name, _alias_action(item, there)) for item in items]

    def put(
        self, items: Sequence[ModelAlias], source: EntitySource[ModelAlias], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        there = self._known()
        done = pool.map(lambda item: self._put(item, there), items)
        return [outcome for outcome in done if outcome is not None]

    def finish(self, pool: Executor) -> list[Outcome]:
        """See `EntityTarget`: nothing is left to do."""
        return []

    def left(self) -> list[NotCarried]:
        """Those that would load what is not whole."""
        return [MODEL_ALIASES.left(len(names), why, tuple(sorted(names)[:NAMED])) for why, names in self._left.items()]

    def _known(self) -> dict[tuple[str, ...], ModelAlias]:
        if self._there is None:
            self._there = {alias.key: alias for _, aliases in self._source.all() for alias in aliases}
        return self._there

    def _put(self, item: ModelAlias, there: dict[tuple[str, ...], ModelAlias]) -> Outcome | None:
        action = _alias_action(item, there)
        told = (MODEL_ALIASES.noun, item.name, item.name)
        if action == UNCHANGED:
            return Outcome(*told, action)
        if why := self._why_not_whole(item.model, item.version):
            with self._lock:
                self._left[f"their versions are not to be loaded yet: {why}"].append(item.name)
            return None
        try:
            body = {"name": item.model, "alias": item.alias, "version": str(item.version)}
            post(self._client, "registered-models/alias", body)
        except ITEM_ERRORS as error:
            return Outcome(*told, FAILED, error=str(error), retry=may_pass(error))
        return Outcome(*told, action)


def _alias_action(item: ModelAlias, there: dict[tuple[str, ...], ModelAlias]) -> str:
    if item.key not in there:
        return CREATE
    return UNCHANGED if there[item.key].version == item.version else UPDATE
