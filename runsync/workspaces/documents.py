"""Objects of a workspace that are a document and nothing else (see `kinds.document`): what a backend must do for one
kind of them, and the source that is made of it. The target is in `arrival.documents`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, Protocol

from runsync.contract.entities import EntitySource, WithoutFiles
from runsync.kinds.document import D, DocumentKind
from runsync.kinds.scope import Scope
from runsync.model.experiment import Experiment
from runsync.model.experiment_marks import origins
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.run import Problem
from runsync.workspaces.fitted import Fitted


class DocumentStore(Protocol[D]):
    """What a backend has of one kind. Methods may be called from several threads."""

    keeps_all: bool
    """Whether ids and times are kept as they are given."""
    lacks_kind: bool = False
    """See `MayLackTheKind`."""

    def listed(self, experiments: Sequence[Experiment], is_asked: bool) -> Iterator[D]:
        """Those of these experiments, or, of a kind that lies beside them, all. What takes a request for each
        experiment is done only when the kind `is_asked` for by name. Raises RequestRefused."""

    def complete(self, item: D) -> D:
        """With what a list does not tell. Raises RequestRefused."""
        return item

    def left(self) -> list[NotCarried]:
        """What could not be listed."""
        return []

    def find(self, wanted: Sequence[D]) -> Iterable[D]:
        """Those there, complete, that these may be: of the same id, or in the same place. Raises RequestRefused."""

    def fitted(self, wanted: Sequence[D]) -> Sequence[Fitted[D]]:
        """Each as it can be there. Raises RequestRefused."""
        return [Fitted(item) for item in wanted]

    def create(self, wanted: D) -> tuple[str, Sequence[Problem]]:
        """Makes it: its id, and what of it was not taken. Raises RequestRefused."""

    def change(self, wanted: D, there: D) -> Sequence[Problem]:
        """Has `there` read like `wanted`, as far as that can be; gives what was not taken. Raises RequestRefused."""

    def delete(self, experiment_id: str, id: str) -> None:
        """Deletes one; one that is not there is no fault. Raises RequestRefused."""

    def refresh(self) -> None:
        """What is read from now on is as it is now."""
        return


class DocumentSource(WithoutFiles, EntitySource[D], Generic[D]):
    """See `EntitySource`."""

    def __init__(self, kind: DocumentKind[D], store: DocumentStore[D]) -> None:
        self._kind = kind
        self._store = store

    def list(self, scope: Scope) -> Iterator[D]:
        """See `EntitySource`."""
        if self._is_passed_over(scope):
            return
        born = origins(scope.experiments, self._kind.schema)
        for item in self._store.listed(scope.experiments, self._kind.name in scope.kinds):
            if self._kind.meant(item, scope) is not None:
                yield with_origin(item, born.get(item.key[0], ""))

    @property
    def lacks_kind(self) -> bool:
        """See `MayLackTheKind`."""
        return self._store.lacks_kind

    def complete(self, item: D) -> D:
        """See `EntitySource`."""
        return self._store.complete(item)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """See `EntitySource`."""
        if not self._is_passed_over(scope):
            return self._store.left()
        names = tuple(item.name for item in self._store.listed(scope.experiments, is_asked=False))
        passed = [self._kind.left(len(names), without_option(self._kind), names[:NAMED])] if names else []
        return [*passed, *self._store.left()]

    def _is_passed_over(self, scope: Scope) -> bool:
        """Whether only who asks for it gets this kind, and nobody did."""
        return self._kind.opt_in and not scope.asked.get(self._kind.option)


def without_option(kind: DocumentKind[Any]) -> str:
    """Why those of a kind stay behind that is carried only on request."""
    return f"they are carried with --{kind.option}"


Stores = Mapping[DocumentKind[Any], DocumentStore[Any]]
"""What a backend has of the kinds that are documents."""


def sources(stores: Stores) -> Mapping[str, EntitySource[Any]]:
    """By the names of kinds."""
    return {kind.name: DocumentSource(kind, store) for kind, store in stores.items()}


def with_origin(item: D, origin: str) -> D:
    """The same, as a copy of the one that has that id where it was made."""
    changed: dict[str, Any] = {"origin": origin}
    is_other = bool(origin) and origin != item.key[0] and hasattr(item, "origin")
    return replace(item, **changed) if is_other else item  # type: ignore[type-var]
