"""Registered models or prompts, and their aliases, into a server."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from threading import Lock
from typing import Protocol

from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, TAKEN, RequestRefused, may_pass
from runsync.kinds.kind import Resolve
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.registered_models import IS_PROMPT, RegisteredModel
from runsync.kinds.registries import OF_MODELS, Sort
from runsync.model.identity import own_tags_removed
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Problem
from runsync.workspaces.arrival.model_marks import NO_MARKS, Marks
from runsync.workspaces.http import Client
from runsync.workspaces.rest.collisions import post, send
from runsync.workspaces.rest.habits import RegistryHabits
from runsync.workspaces.rest.model_pieces import FIELD, own_only, send_all
from runsync.workspaces.rest.refused import is_of_entries
from runsync.workspaces.rest.registered_models import Told


class Registered(Protocol):
    """The registered models that a target has; `are_none` as it was when they were listed last."""

    are_none: bool

    def all(self) -> Iterable[Told]:
        """All of one sort, with their aliases. Raises RequestRefused."""

    def get(self, name: str) -> RegisteredModel | None:
        """One of them; None where the name is one of the other sort. Raises RequestRefused."""


class RegisteredModelTarget:
    """See `EntityTarget`. `resolve` gives the target's ids of what they name."""

    def __init__(
        self,
        client: Client,
        there: Registered,
        registry: RegistryHabits | None = None,
        marks: Marks = NO_MARKS,
        sort: Sort = OF_MODELS,
        resolve: Resolve = lambda kind, id: id,
    ) -> None:
        self.wanted: dict[str, RegisteredModel] = {}
        """Those that were put, by their names."""
        self.made: set[str] = set()
        """The names of those that this import made."""
        self.refused: dict[str, bool] = {}
        """The names of those that could not be made: whether another try may."""
        self._client = client
        self._source = there
        self._registry = registry or RegistryHabits()
        self._marks = marks
        self._kind, self._sort = sort.models, sort
        self._resolve = resolve
        self._there: dict[str, RegisteredModel] | None = None

    def plan(
        self, items: Sequence[RegisteredModel], source: EntitySource[RegisteredModel], pool: Executor
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        there = self._known()
        return [
            Outcome(self._kind.noun, item.name, item.name, self._action(self._as_there(item), there)) for item in items
        ]

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
        return list(pool.map(lambda item: self._put(self._as_there(item), there), items))

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

    def _as_there(self, item: RegisteredModel) -> RegisteredModel:
        """As it is to read in the target."""
        item = self._kind.rewritten(item, self._resolve) or item
        known = self._known().get(item.name)
        return item if known is None else self._kind.joined(item, known)

    def _put(self, item: RegisteredModel, there: dict[str, RegisteredModel]) -> Outcome:
        action = self._action(item, there)
        told = (self._kind.noun, item.name, item.name)
        try:
            problems: Sequence[Problem] = ()
            if action == CREATE:
                self._source.are_none = False
                problems = self._create(item)
                self.made.add(item.name)
            elif action == UPDATE:
                problems = self._update(item, there[item.name])
        except ITEM_ERRORS as error:
            if action == CREATE:
                self.refused[item.name] = may_pass(error)
            return Outcome(*told, FAILED, error=str(error), retry=may_pass(error))
        return Outcome(*told, action, problems=tuple(problems))

    def _create(self, item: RegisteredModel) -> list[Problem]:
        """Gives what of it is refused."""
        tags = own_tags_removed(item.tags)
        tags |= self._marks.of(tags, None)
        body = {"name": item.name, "description": item.description, "tags": self._registry.tags(tags)}
        try:
            post(self._client, f"{self._registry.path}registered-models/create", body)
        except RequestRefused as error:
            own = own_only(tags, {IS_PROMPT})
            if error.code != TAKEN:
                if not is_of_entries(error) or (tags == own and not item.description):
                    raise
                body = {"name": item.name, "tags": self._registry.tags(own)}
                post(self._client, f"{self._registry.path}registered-models/create", body)
                return self._update(item, RegisteredModel(item.name, tags=own))
            there = self._source.get(item.name)  # by a request whose answer was lost, or by another client
            if there is None:
                why = f"the target has a {self._sort.other} “{item.name}”, and a name is taken once"
                raise RequestRefused(why) from None
            return self._update(item, there)
        return []

    def _update(self, item: RegisteredModel, there: RegisteredModel) -> list[Problem]:
        """Likewise."""

        def describe(fields: Mapping[str, str]) -> None:
            send(self._client, "PATCH", f"{self._registry.path}registered-models/update", {"name": item.name, **fields})

        def tag(tags: Mapping[str, str]) -> None:
            for key, value in tags.items():
                body = {"name": item.name, "key": self._registry.tag_key(key), "value": value}
                post(self._client, f"{self._registry.path}registered-models/set-tag", body)

        is_described = item.description == there.description
        problems = [] if is_described else send_all(FIELD, {"description": item.description}, describe)
        for key in self._marks.removed(item.tags, there.tags):
            body = {"name": item.name, "key": self._registry.tag_key(key)}
            send(self._client, "DELETE", f"{self._registry.path}registered-models/delete-tag", body)
        for key, value in (own_tags_removed(item.tags) | self._marks.of(item.tags, there.tags)).items():
            if there.tags.get(key) != value:
                problems += send_all("tag", {key: value}, tag)
        return problems

    def _action(self, item: RegisteredModel, there: dict[str, RegisteredModel]) -> str:
        known = there.get(item.name)
        if known is None:
            return CREATE
        is_other = any(self._kind.lacks(item, known)) or self._marks.removed(item.tags, known.tags)
        return UPDATE if is_other else UNCHANGED


class ModelAliasTarget:
    """See `EntityTarget`. `why_not_whole` tells why a version, by model and number, is not to be loaded by an alias; ""
    where it is."""

    def __init__(
        self,
        client: Client,
        there: Registered,
        why_not_whole: Callable[[str, int], str],
        registry: RegistryHabits | None = None,
        marks: Marks = NO_MARKS,
        sort: Sort = OF_MODELS,
    ) -> None:
        self._client = client
        self._registry = registry or RegistryHabits()
        self._marks = marks
        self._kind = sort.aliases
        self._tags: dict[str, Mapping[str, str]] = {}
        """Of the registered models of the target."""
        self._source = there
        self._why_not_whole = why_not_whole
        self._there: dict[tuple[str, ...], ModelAlias] | None = None
        self._left: dict[str, list[str]] = defaultdict(list)
        self._lock = Lock()

    def plan(self, items: Sequence[ModelAlias], source: EntitySource[ModelAlias], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        there = self._known()
        return [Outcome(self._kind.noun, item.name, item.name, _alias_action(item, there)) for item in items]

    def put(
        self, items: Sequence[ModelAlias], source: EntitySource[ModelAlias], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        there = self._known()
        of_models: dict[str, list[ModelAlias]] = defaultdict(list)
        for item in items:
            of_models[item.model].append(item)
        done = pool.map(lambda some: self._put_some(some, there), of_models.values())
        return [outcome for some in done for outcome in some]

    def finish(self, pool: Executor) -> list[Outcome]:
        """See `EntityTarget`: nothing is left to do."""
        return []

    def left(self) -> list[NotCarried]:
        """Those that would load what is not whole."""
        return [self._kind.left(len(names), why, tuple(sorted(names)[:NAMED])) for why, names in self._left.items()]

    def _known(self) -> dict[tuple[str, ...], ModelAlias]:
        if self._there is None:
            told = list(self._source.all())
            self._there = {alias.key: alias for _, aliases in told for alias in aliases}
            self._tags = {model.name: model.tags for model, _ in told}
        return self._there

    def _put_some(self, items: Sequence[ModelAlias], there: dict[tuple[str, ...], ModelAlias]) -> list[Outcome]:
        """Those of one model. Before they are set it is noted that they were brought: nobody could tell it later."""
        model = items[0].model
        whole = (item for item in items if not self._why_not_whole(item.model, item.version))
        new = {item.alias: item.version for item in whole if _alias_action(item, there) != UNCHANGED}
        with suppress(RequestRefused):
            for key, value in self._marks.with_aliases(self._tags.get(model, {}), new).items():
                body = {"name": model, "key": self._registry.tag_key(key), "value": value}
                post(self._client, f"{self._registry.path}registered-models/set-tag", body)
        done = [self._put(item, there) for item in items]
        return [outcome for outcome in done if outcome is not None]

    def _put(self, item: ModelAlias, there: dict[tuple[str, ...], ModelAlias]) -> Outcome | None:
        action = _alias_action(item, there)
        told = (self._kind.noun, item.name, item.name)
        if action == UNCHANGED:
            return Outcome(*told, action)
        if why := self._why_not_whole(item.model, item.version):
            with self._lock:
                self._left[f"their versions are not to be loaded yet: {why}"].append(item.name)
            return None
        try:
            body = {"name": item.model, "alias": item.alias, "version": str(item.version)}
            post(self._client, f"{self._registry.path}registered-models/alias", body)
        except ITEM_ERRORS as error:
            return Outcome(*told, FAILED, error=str(error), retry=may_pass(error))
        return Outcome(*told, action)


def _alias_action(item: ModelAlias, there: dict[tuple[str, ...], ModelAlias]) -> str:
    if item.key not in there:
        return CREATE
    return UNCHANGED if there[item.key].version == item.version else UPDATE
