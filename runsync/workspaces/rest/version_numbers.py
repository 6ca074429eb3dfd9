"""The numbers of model versions: a server gives out the next one, behind those of deleted versions too."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.model_versions import NEXT, ModelVersion
from runsync.kinds.registries import OF_MODELS, Sort
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import number, part
from runsync.workspaces.rest.collisions import send
from runsync.workspaces.rest.create import create_once
from runsync.workspaces.rest.habits import RegistryHabits
from runsync.workspaces.rest.server import API

GAP = "runsync.gap"
"""The tag of a version that is made to be deleted, so that its number is given out. It is there until a later version
is: whoever comes after a kill sees which number is the next."""


Tags = Mapping[str, str]


class NumberTaken(RequestRefused):
    """The number was given out already, to a version that is deleted or that another client just made."""


class Versions(Protocol):
    """The versions of registered models that a target has."""

    def all(self) -> Iterable[ModelVersion]:
        """All of one sort. Raises RequestRefused."""

    def of_model(self, name: str) -> Iterable[ModelVersion]:
        """Those of one model. Raises RequestRefused."""


class Numbers:
    """Those of the registered models of one registry."""

    def __init__(
        self, client: Client, there: Versions, registry: RegistryHabits | None = None, sort: Sort = OF_MODELS
    ) -> None:
        self._client = client
        self._there = there
        self._registry = registry or RegistryHabits()
        self._sort = sort
        self._last: dict[str, int] = {}
        """The greatest numbers that are known to be given out, by model."""
        self._spare: dict[str, list[int]] = defaultdict(list)
        """The numbers of versions that are to be deleted, by model."""

    def look(self, writes: bool) -> dict[tuple[str, ...], ModelVersion]:
        """The versions there are, by their keys. Those that a killed import left to be deleted are none."""
        found = {}
        greatest: dict[str, int] = defaultdict(int)
        for version in self._there.all():
            self._last[version.model] = max(version.version, self._last.get(version.model, 0))
            if GAP in version.tags:
                self._spare[version.model].append(version.version)
            else:
                found[version.key] = version
                greatest[version.model] = max(version.version, greatest[version.model])
        for model in list(self._spare) if writes else ():
            self._tidy(model, greatest[model])
        return found

    def make(self, model: str, wanted: int, body: Mapping[str, Any], tags: Tags) -> int:
        """Makes a version with that number; with NEXT, with the one that the server gives: it is returned. Raises
        NumberTaken, RequestRefused."""
        if wanted == NEXT:
            return self._create(model, body, tags)
        self._fill(model, wanted - 1)
        made = self._create(model, body, tags) if self._last.get(model, 0) < wanted else 0
        if made and made != wanted:
            self._delete(model, made)
        self._tidy(model, wanted)
        if made != wanted:
            raise NumberTaken(
                f"number {wanted} of “{model}” was given out in the target already: delete that {self._sort.noun} "
                "there, and run this again"
            )
        return made

    def reach(self, model: str, last: int) -> None:
        """Gives out all numbers up to one, behind the last version."""
        self._fill(model, last)
        self._tidy(model, last + 1)

    def _fill(self, model: str, last: int) -> None:
        source, tags = self._sort.filler
        while self._last.get(model, 0) < last:
            self._spare[model].append(self._create(model, {"source": source}, {**tags, GAP: str(last)}))

    def _tidy(self, model: str, before: int) -> None:
        """Deletes the spare ones with smaller numbers."""
        for spare in [spare for spare in self._spare[model] if spare < before]:
            self._delete(model, spare)
            self._spare[model].remove(spare)

    def _create(self, model: str, body: Mapping[str, Any], tags: Tags) -> int:
        before = self._last.get(model, 0)

        def create() -> str:
            given = {"name": model, **body, "tags": self._registry.tags(tags)}
            answer = self._client.post(f"{API}/{self._registry.path}model-versions/create", given, retry=False)
            return str(number(part(answer, "model_version"), "version"))

        def find() -> str | None:
            wanted = tags.items()
            fresh = (v for v in self._there.of_model(model) if v.version > before)
            return next((str(v.version) for v in fresh if wanted <= v.tags.items()), None)

        made = int(create_once(self._client, create, find))
        self._last[model] = max(made, before)
        return made

    def _delete(self, model: str, version: int) -> None:
        try:
            path = f"{self._registry.path}model-versions/delete"
            send(self._client, "DELETE", path, {"name": model, "version": str(version)})
        except RequestRefused as error:
            if error.code != ABSENT:  # by a request whose answer was lost
                raise
