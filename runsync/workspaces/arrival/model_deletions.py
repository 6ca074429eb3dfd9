"""What a sync does in a target about models, versions and aliases that were deleted at the source.

As with runs (see `arrival.deletions`): they are told, and followed when that is asked for; only what was brought from
this very source, only what was gone when the sync began, and none at all when it is too much. What hangs together with
something that was made in the target stays, and is named. Only a sync of everything tells what is gone.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from runsync.contract.entities import tells_deletions
from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, BundleDamaged, TooManyDeletions, may_pass
from runsync.kinds.kind import Key, Kind
from runsync.kinds.left_behind import changed
from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel
from runsync.kinds.logged_models import ORIGIN as MODEL_ID
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import ORIGIN as VERSION
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.kinds.registries import SORTS, Sort
from runsync.kinds.scope import Scope
from runsync.model import brought
from runsync.model.experiment import Experiment
from runsync.model.import_options import ImportOptions
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import FAILED, Outcome
from runsync.model.provenance import key_of
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.workspaces.arrival.copy import address_of

BRAKED: tuple[tuple[Kind[Any], ...], ...] = (*(sort.kinds for sort in SORTS), (LOGGED_MODELS,))
"""Of which together only so many may go."""
ORDER: tuple[Kind[Any], ...] = tuple(kind for kinds in BRAKED for kind in kinds)
"""In which they are deleted: what hangs off others goes first."""
BY_NAME = {kind.name: kind for kind in ORDER}


@dataclass(slots=True)
class Names:
    """What a target has of one sort of registered models."""

    models: dict[str, RegisteredModel] = field(default_factory=dict)
    versions: list[ModelVersion] = field(default_factory=list)
    aliases: list[ModelAlias] = field(default_factory=list)


@dataclass(slots=True)
class Held:
    """What a target has of models and prompts, as far as it keeps them."""

    names: dict[Sort, Names] = field(default_factory=lambda: {sort: Names() for sort in SORTS})
    logged: list[LoggedModel] = field(default_factory=list)


class Holdings(Protocol):
    """The models of a target."""

    @property
    def undeletable(self) -> frozenset[str]:
        """The kinds, by name, of which it deletes none."""

    def held(self) -> Held:
        """All of them, as they are now. Raises RequestRefused."""

    def delete(self, kind: Kind[Any], item: Any) -> None:
        """Deletes one; of a registered model, with all of its versions. Raises RequestRefused."""


Found = dict[str, dict[Key, Any]]
"""Those of the target, by the name of their kind, and by what they are known by at the source."""


class ModelDeletions:
    """The deletions of one transfer."""

    def __init__(self, options: ImportOptions, holdings: Holdings) -> None:
        self._policy = options.deletions
        self._names = options.naming.models
        self._holdings = holdings
        self._at_source: dict[str, set[Key]] = {}
        """What the source has, by the name of the kind; without kinds that it does not tell in full."""
        self._unread: list[str] = []
        self._key = ""
        self._gone: Found = {}
        self._stay: dict[str, str] = {}
        """What is gone at the source, and stays for what was made in the target: why, by name."""
        self._undeletable: Found = {}
        self._is_done = False

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> None:
        """Finds what is gone. Raises TooManyDeletions before anything is deleted."""
        if self._policy.replays or selection.is_narrow:
            return
        self._key = key_of(address_of(source.place))
        held = self._holdings.held()
        copies = self._copies(held)
        if not any(copies.values()):
            return
        self._read(source, selection, Scope.of(selection, experiments, {}))
        self._gone = self._goes(held, copies)
        brake = self._policy.brake
        for kinds in BRAKED if brake is not None else ():
            going, there = (sum(len(of.get(kind.name, ())) for kind in kinds) for of in (self._gone, copies))
            if brake is not None and not brake.allows(going, there):
                what = " and ".join(kind.category.title for kind in reversed(kinds))
                raise TooManyDeletions(
                    f"{going} of {there} {what} from {source.place.address} would be deleted, more than --max-delete "
                    f"{brake} allows: nothing was written; if the source is as it should be, say --max-delete {going}"
                )

    @property
    def are_due(self) -> bool:
        """Whether any are to be followed."""
        return self._policy.brake is not None and any(self._gone.values())

    def finish(self) -> list[Outcome]:
        """Deletes them, if that was asked for: those that are still as they were when the sync began."""
        self._is_done = True
        if not self.are_due:
            return []
        held, planned = self._holdings.held(), self._gone
        self._gone = self._goes(held, self._copies(held))
        failed = []
        for kind in ORDER:
            of_kind = {key: item for key, item in self._gone.get(kind.name, {}).items() if key in planned[kind.name]}
            self._gone[kind.name] = of_kind
            for item in of_kind.values():
                try:
                    self._holdings.delete(kind, item)
                except ITEM_ERRORS as error:
                    told = (kind.noun, item.key[0], item.name, FAILED)
                    failed.append(Outcome(*told, error=str(error), retry=may_pass(error)))
        return failed

    def left(self) -> list[NotCarried]:
        """Deletions that were not followed."""
        left = []
        if self._policy.brake is None:
            why = "deleted at the source; left so in the target without --delete"
            for kind in reversed(ORDER):
                if names := _names(self._gone.get(kind.name, {})):
                    left.append(changed(f"deletions of {kind.category.title}", len(names), why, tuple(names[:NAMED])))
        for name, items in self._undeletable.items():
            if names := _names(items):
                why = "deleted at the source; the target deletes none of them, only what is part of them"
                left.append(
                    changed(f"deletions of {BY_NAME[name].category.title}", len(names), why, tuple(names[:NAMED]))
                )
        if self._stay:
            names = sorted(f"{name}: {why}" for name, why in self._stay.items())
            why = "deleted at the source; they stay for what was made in the target"
            left.append(changed("deletions of models", len(names), why, tuple(names[:NAMED])))
        return left

    def notes(self) -> list[str]:
        """Deletions that were, or would be, followed."""
        notes = []
        if self.are_due:
            done = "deleted in the target, as at the source" if self._is_done else "would be deleted in the target"
            for kind in reversed(ORDER):
                if names := _names(self._gone.get(kind.name, {})):
                    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
                    notes.append(f"{many(len(names), kind.noun)} {done}: {', '.join(names[:NAMED])}{more}")
        if self._unread:
            notes.append(f"not taken for deleted, as the source does not tell all of them: {', '.join(self._unread)}")
        return notes

    def _read(self, source: Source, selection: Selection, scope: Scope) -> None:
        """What is at the source. Of models of a registry all is told, or none is taken for gone."""
        for kinds in BRAKED:
            if not all(selection.has(kind.name) for kind in kinds) or source.entities(kinds[-1]) is None:
                continue
            told: dict[str, set[Key]] = {}
            with suppress(BundleDamaged, *ITEM_ERRORS):
                for kind in kinds:
                    side = source.entities(kind)
                    if side is None:  # Azure ML has no aliases
                        told[kind.name] = set()
                        continue
                    told[kind.name] = {key for item in side.list(scope) for key in self._keys(kind, item)}
                    if not tells_deletions(side) or any(left.kind == kind.name for left in side.left_behind(scope)):
                        del told[kind.name]
            if len(told) == len(kinds):
                self._at_source.update(told)
            else:
                self._unread += [kind.category.title for kind in kinds]

    def _keys(self, kind: Kind[Any], item: Any) -> tuple[Key, Key]:
        """By which its copy is known: registered models may have other names in the target."""
        return kind.origin(item), kind.origin(kind.renamed(item, self._names))

    def _copies(self, held: Held) -> Found:
        """What was brought from this source, by what it is known by there."""
        found: Found = {}
        for sort, names in held.names.items():
            models = names.models
            found[sort.models.name] = {model.key: model for model in models.values() if self._is_ours(model.tags)}
            found[sort.versions.name] = {v.key: v for v in names.versions if self._is_ours(v.tags)}
            with_model = ((alias, models[alias.model].tags) for alias in names.aliases if alias.model in models)
            found[sort.aliases.name] = {a.key: a for a, tags in with_model if self._is_brought(tags, a)}
        ours = (model for model in held.logged if self._is_ours(model.tags))
        found[LOGGED_MODELS.name] = {(model.tags.get(MODEL_ID, model.model_id),): model for model in ours}
        return found

    def _is_ours(self, tags: Mapping[str, str]) -> bool:
        return brought.came_from(tags) == self._key

    def _is_brought(self, tags: Mapping[str, str], alias: ModelAlias) -> bool:
        """Whether it is as it was brought; of a model that was there before, too."""
        return brought.aliases(tags, self._key).get(alias.alias) == alias.version

    def _goes(self, held: Held, copies: Found) -> Found:
        """Of the copies those that are gone at the source, and can go."""
        gone = {
            name: {key: item for key, item in some.items() if self._at_source[name].isdisjoint((key, _born_as(item)))}
            for name, some in copies.items()
            if name in self._at_source
        }
        for sort, names in held.names.items():
            if sort.models.name in gone:
                self._keep_what_is_used(sort, names, gone)
        if LOGGED_MODELS.name in gone:
            used: dict[str, str] = {}
            for sort, names in held.names.items():
                going = {item.name for item in gone.get(sort.versions.name, {}).values()}
                used |= {v.home.id: v.name for v in names.versions if v.name not in going}
            _keep(gone, LOGGED_MODELS, lambda item: used.get(item.model_id, ""), self._stay)
        self._undeletable = {name: gone.pop(name) for name in self._holdings.undeletable & gone.keys()}
        return {kind.name: gone.get(kind.name, {}) for kind in ORDER}

    def _keep_what_is_used(self, sort: Sort, held: Names, gone: Found) -> None:
        """A version that an alias of the target's own names stays, and a model with a version of its own."""
        going = {item.key for item in gone[sort.aliases.name].values()}
        at_source = self._at_source[sort.aliases.name]
        own = {f"{a.model}/{a.version}": a.name for a in held.aliases if a.key not in going and a.key not in at_source}
        _keep(gone, sort.versions, lambda item: own.get(item.name, ""), self._stay)
        versions = {item.key for item in gone[sort.versions.name].values()}
        has: dict[str, str] = defaultdict(str)
        has.update((version.model, version.name) for version in held.versions if version.key not in versions)
        _keep(gone, sort.models, lambda item: has[item.name], self._stay)


def _keep(gone: Found, kind: Kind[Any], used_by: Any, stay: dict[str, str]) -> None:
    for key, item in list(gone[kind.name].items()):
        if other := used_by(item):
            stay[item.name] = f"used by {other}"
            del gone[kind.name][key]


def _born_as(item: Any) -> Key:
    """Of a version the key of its original, also where it was brought under another name than now."""
    told = item.tags.get(VERSION, "") if isinstance(item, ModelVersion) else ""
    model, _, number = told.rpartition("/")
    return (model, f"{int(number):010d}") if number.isdecimal() else item.key


def _names(items: Mapping[Key, Any]) -> list[str]:
    return sorted(item.name or item.key[0] for item in items.values())
