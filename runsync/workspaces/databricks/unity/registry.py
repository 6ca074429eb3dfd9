"""Registered models and versions of Unity Catalog, as its registry tells them.

Lists tell neither tags nor aliases, and versions of one model at a time only (mlflow issues 7967 and 12217): each model
and each version takes a request more.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from runsync import threads
from runsync.errors import RequestRefused
from runsync.kinds.kind import Kind
from runsync.kinds.left_behind import UNTOLD
from runsync.kinds.model_versions import MODEL_VERSIONS, Home, ModelVersion
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.not_carried import NAMED, NotCarried
from runsync.workspaces.databricks.unity import tags
from runsync.workspaces.databricks.unity.names import REGISTRY
from runsync.workspaces.http import OPTIONAL, Client
from runsync.workspaces.http.fields import Json, every, pages, part, text
from runsync.workspaces.rest.habits import RegistryHabits
from runsync.workspaces.rest.leftovers import is_unknown, refusal
from runsync.workspaces.rest.model_versions import model_version
from runsync.workspaces.rest.registered_models import Told, registered_model
from runsync.workspaces.rest.search import chunks, quotable
from runsync.workspaces.rest.server import API

T = TypeVar("T")
CATALOG = f"{API}/{REGISTRY}"
MODELS_PAGE, VERSIONS_PAGE = 100, 10_000
"""As MLflow's client asks for."""
AT_ONCE = 8
HABITS = RegistryHabits(REGISTRY, tags.key)
NO_CATALOG = "METASTORE_DOES_NOT_EXIST"
"""What is said where the workspace has no Unity Catalog (MLflow's client)."""


class Catalog:
    """The models that we may see in one metastore. What is not told is noted."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._refused: dict[str, str] = {}
        self._unread: dict[str, dict[str, str]] = {}

    def names(self) -> list[str]:
        """Of all models; none where there is no Unity Catalog."""

        def ask(token: str) -> dict[str, Any]:
            asked: dict[str, Any] = {"max_results": MODELS_PAGE, **({"page_token": token} if token else {})}
            return self._client.get(f"{CATALOG}registered-models/search", care=OPTIONAL, **asked)

        try:
            return [text(found, "name") for found in every(pages(ask, "registered_models"))]
        except RequestRefused as error:
            if not is_unknown(error) and NO_CATALOG not in str(error):
                self._refused[REGISTERED_MODELS.name] = refusal(error)
            return []

    def models(self, names: Iterable[str]) -> Iterator[Told]:
        """These, with their aliases."""
        return self._each(REGISTERED_MODELS, self.model, list(names))

    def versions(self, names: Iterable[str]) -> Iterator[ModelVersion]:
        """Those of these models, newest first."""
        for name in names:
            numbers = list(self._each(MODEL_VERSIONS, self._numbers, [name]))
            found = [f"{name}/{number}" for each in numbers for number in each]
            yield from self._each(MODEL_VERSIONS, self.version, found)

    def model(self, name: str) -> Told:
        """One model, with its aliases. Raises RequestRefused."""
        told = part(self._client.get(f"{CATALOG}registered-models/get", name=name), "registered_model")
        model, aliases = registered_model(told)
        return replace(model, tags=tags.meant(model.tags)), aliases

    def version(self, name: str) -> ModelVersion:
        """One version, by NAME/VERSION; its files are its own. Raises RequestRefused."""
        model, _, number = name.rpartition("/")
        answer = self._client.get(f"{CATALOG}model-versions/get", name=model, version=number)
        return read_version(part(answer, "model_version"))

    def left(self, kind: Kind[Any]) -> list[NotCarried]:
        """What of a kind was not told."""
        left = []
        if why := self._refused.get(kind.name):
            left.append(kind.left(None, f"{UNTOLD} (Unity Catalog: {why})"))
        if unread := self._unread.get(kind.name):
            names, why = tuple(sorted(unread)), next(iter(unread.values()))
            left.append(kind.left(len(names), why, names[:NAMED]))
        return left

    def _numbers(self, name: str) -> list[str]:
        def ask(token: str) -> dict[str, Any]:
            asked: dict[str, Any] = {"filter": f"name='{quotable(name)}'", "max_results": VERSIONS_PAGE}
            asked |= {"page_token": token} if token else {}
            return self._client.get(f"{CATALOG}model-versions/search", **asked)

        return [text(found, "version") for found in every(pages(ask, "model_versions"))]

    def _each(self, kind: Kind[Any], read: Callable[[str], T], names: Sequence[str]) -> Iterator[T]:
        """What is read of each name, some side by side; what cannot be read is noted."""

        def guarded(name: str) -> list[T]:
            try:
                return [read(name)]
            except RequestRefused as error:
                self._unread.setdefault(kind.name, {})[name] = str(error)
                return []

        for some in chunks(names, 100):
            with threads.pool(min(AT_ONCE, len(some)), "runsync-request") as pool:
                for found in pool.map(guarded, some):
                    yield from found


def read_version(document: Json) -> ModelVersion:
    """A version of an answer, as it was meant. Raises OddAnswer."""
    told = model_version(document)
    found = tags.meant(told.tags)
    stage, run_link, run_id = found.pop(tags.STAGE, told.stage), found.pop(tags.RUN_LINK, ""), found.pop(tags.RUN, "")
    return replace(
        told, tags=found, home=Home(), stage=stage, run_link=run_link or told.run_link, run_id=told.run_id or run_id
    )
