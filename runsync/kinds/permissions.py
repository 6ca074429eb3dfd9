"""Permissions on experiments: who may do what with one, as Databricks has it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from runsync.kinds.kind import EXPERIMENTS, Blob, Key, Kind, Resolve
from runsync.model.option import Option, group

if TYPE_CHECKING:
    from runsync.kinds.scope import Scope
    from runsync.model.comparison import FieldChange

USER, GROUP, SERVICE_PRINCIPAL = "user", "group", "service_principal"
LEVELS = ("CAN_READ", "CAN_RUN", "CAN_EDIT", "CAN_MANAGE")
"""Of Databricks, each more than the one before."""
_OF_OBJECTS = {"experiment": frozenset(LEVELS) - {"CAN_RUN"}, "notebook": frozenset(LEVELS)}


@dataclass(frozen=True, slots=True)
class Grant:
    """One level (CAN_READ, CAN_EDIT, CAN_MANAGE, …) for one principal; `inherited_from` are paths of its origin."""

    principal_type: str
    principal: str
    level: str
    inherited: bool = False
    inherited_from: tuple[str, ...] = ()

    def is_enough_for(self, wanted: "Grant") -> bool:
        """Whether its principal, who is that of the other, may do that much."""
        if (self.principal_type, self.principal) != (wanted.principal_type, wanted.principal):
            return False
        if self.level in LEVELS and wanted.level in LEVELS:
            return LEVELS.index(self.level) >= LEVELS.index(wanted.level)
        return self.level == wanted.level


@dataclass(frozen=True, slots=True)
class Permissions:
    """Who may do what with an experiment; `object_type` is "notebook" where they are those of its notebook.

    `grants` are sorted.
    """

    experiment_id: str
    experiment: str = ""
    object_type: str = "experiment"
    grants: tuple[Grant, ...] = ()

    @property
    def key(self) -> Key:
        """One experiment has them once."""
        return (self.experiment_id,)

    @property
    def name(self) -> str:
        """That of the experiment."""
        return self.experiment

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """They have no bytes."""
        return ()

    @property
    def runs(self) -> tuple[str, ...]:
        """No run names them."""
        return ()

    @property
    def direct(self) -> tuple[Grant, ...]:
        """Those that were given to the experiment itself."""
        return tuple(grant for grant in self.grants if not grant.inherited)

    @property
    def levels(self) -> dict[str, str]:
        """The levels by the principal, in words."""
        told: dict[str, list[str]] = {}
        for grant in self.grants:
            told.setdefault(grant.principal, []).append(f"{grant.level}{' (inherited)' if grant.inherited else ''}")
        return {principal: ", ".join(levels) for principal, levels in told.items()}

    def has_level(self, level: str) -> bool:
        """Whether there is such a level for what they are of: experiments do not have all that notebooks have."""
        return level in _OF_OBJECTS[self.object_type]

    def is_enough_for(self, wanted: Grant) -> bool:
        """Whether somebody may do that much."""
        return any(has.is_enough_for(wanted) for has in self.grants)

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `schemas/v1/permissions.schema.json`."""
        grants = [{**asdict(grant), "inherited_from": list(grant.inherited_from)} for grant in self.grants]
        return {**asdict(self), "grants": grants}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Permissions":
        """The reverse, of a valid document."""
        grants = (Grant(**{**g, "inherited_from": tuple(g["inherited_from"])}) for g in document["grants"])
        return cls(**{**document, "grants": tuple(grants)})


@group
class OfImport:
    """An option of `import_` and `sync`."""

    permissions: Annotated[bool, Option("Databricks: grant the permissions that experiments had in the source.")] = (
        False
    )


@group
class OfVerify:
    """An option of `verify`."""

    permissions: Annotated[bool, Option("Databricks: also compare the permissions on experiments.")] = False


class _OfExperiments(Kind[Permissions]):
    name = "permissions"
    noun = "permissions"
    requires = (EXPERIMENTS,)
    entity = Permissions
    why_impossible = "of levels that experiments do not have, only notebooks"

    def meant(self, item: Permissions, scope: "Scope") -> Permissions | None:
        """Those of the experiments selected."""
        return item if any(e.experiment_id == item.experiment_id for e in scope.experiments) else None

    def rewritten(self, item: Permissions, resolve: Resolve) -> Permissions | None:
        """They go with their experiment."""
        there = resolve(EXPERIMENTS, item.experiment_id)
        return None if there is None else replace(item, experiment_id=there)

    def uncompared(self, scope: "Scope", target: str) -> str:
        """They are compared only on request: that takes a request for each experiment."""
        return "" if scope.asked.get(self.name) else "--permissions compares them"

    def changes(self, old: Permissions, new: Permissions) -> Iterator["FieldChange"]:
        """By the principal."""
        from runsync.model.comparison import FieldChange

        before, after = old.levels, new.levels
        for principal in sorted(before.keys() | after.keys()):
            if before.get(principal) != after.get(principal):
                yield FieldChange(f"permissions.{principal}", before.get(principal, ""), after.get(principal, ""))

    def lacks(self, wanted: Permissions, there: Permissions) -> Iterator["FieldChange"]:
        """What was given to the experiment itself must be there, or more."""
        from runsync.model.comparison import FieldChange

        for grant in wanted.direct:
            if there.has_level(grant.level) and not there.is_enough_for(grant):
                has = there.levels.get(grant.principal, "missing")
                yield FieldChange(f"permissions.{grant.principal}", grant.level, has)

    def impossible(self, wanted: Permissions, there: Permissions) -> int:
        """Grants of levels that there are not for what they are of in the target."""
        return sum(not there.has_level(grant.level) and not there.is_enough_for(grant) for grant in wanted.direct)


PERMISSIONS = _OfExperiments()
