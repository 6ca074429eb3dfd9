"""The two registries of a Databricks workspace as one: names of three parts are those of Unity Catalog."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Generic

from runsync.contract.entities import EntitySource, EntityTarget, OneByOne
from runsync.kinds.kind import E, Kind
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import FAILED, Outcome
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile
from runsync.workspaces.databricks.unity.names import is_in_catalog, why_not

NO_ALIASES = (
    "the workspace's own registry has none: --rename 'NAME=CATALOG.SCHEMA.NAME' takes a model to Unity Catalog, which "
    "has some"
)


def model_of(item: Any) -> str:
    """The name of the registered model that one is, or is of."""
    return str(getattr(item, "model", item.name))


@dataclass(frozen=True, slots=True)
class BothSources(OneByOne, Generic[E]):
    """See `EntitySource`. `own` is that of the workspace's registry; None where it has none, or is not meant."""

    own: EntitySource[E] | None
    catalog: EntitySource[E]
    is_exact: bool = False

    def list(self, scope: Scope) -> Iterator[E]:
        """See `EntitySource`."""
        if self.own is not None:
            yield from self.own.list(scope)
        yield from self.catalog.list(scope)

    def complete(self, item: E) -> E:
        """See `EntitySource`."""
        return self._side(item).complete(item)

    def read(self, item: E) -> tuple[E, Iterator[bytes]]:
        """See `EntitySource`."""
        return self._side(item).read(item)

    def read_file(self, item: E, file: ArtifactFile) -> Iterator[bytes]:
        """See `EntitySource`."""
        return self._side(item).read_file(item, file)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """See `EntitySource`."""
        own = self.own.left_behind(scope) if self.own is not None else ()
        return [*own, *self.catalog.left_behind(scope)]

    def _side(self, item: E) -> EntitySource[E]:
        return self.catalog if self.own is None or is_in_catalog(model_of(item)) else self.own


@dataclass(slots=True)
class BothTargets(Generic[E]):
    """See `EntityTarget`, likewise."""

    kind: Kind[E]
    own: EntityTarget[E] | None
    catalog: EntityTarget[E]
    is_catalog_meant: bool = False
    _left: list[str] = field(default_factory=list)

    def plan(self, items: Sequence[E], source: EntitySource[E], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        refused, own, catalog = self._parted(items)
        told = self.own.plan(own, source, pool) if self.own is not None and own else []
        return [*refused, *told, *(self.catalog.plan(catalog, source, pool) if catalog else [])]

    def put(self, items: Sequence[E], source: EntitySource[E], pool: Executor, progress: Progress) -> list[Outcome]:
        """See `EntityTarget`."""
        refused, own, catalog = self._parted(items)
        told = self.own.put(own, source, pool, progress) if self.own is not None and own else []
        return [*refused, *told, *(self.catalog.put(catalog, source, pool, progress) if catalog else [])]

    def finish(self, pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        return [*(self.own.finish(pool) if self.own is not None else ()), *self.catalog.finish(pool)]

    def left(self) -> list[NotCarried]:
        """See `EntityTarget`."""
        left = [*(self.own.left() if self.own is not None else ()), *self.catalog.left()]
        if self._left:
            left.append(self.kind.left(len(self._left), NO_ALIASES, tuple(sorted(self._left)[:NAMED])))
        return left

    def _parted(self, items: Sequence[E]) -> tuple[list[Outcome], list[E], list[E]]:
        """Why some cannot be there, those of the workspace's own registry, and those of the catalog."""
        refused, own, catalog = [], [], []
        for item in items:
            if why := why_not(model_of(item), self.is_catalog_meant):
                refused.append(Outcome(self.kind.noun, "/".join(item.key), item.name, FAILED, error=why))
            elif is_in_catalog(model_of(item)):
                catalog.append(item)
            elif self.kind.name == MODEL_ALIASES.name:
                self._left.append(item.name)
            else:
                own.append(item)
        return refused, own, catalog
