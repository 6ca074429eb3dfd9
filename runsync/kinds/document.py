"""Kinds whose entities are a document and nothing else: they have no bytes and no files, and no run names them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from runsync.kinds.changed import changed_fields
from runsync.kinds.kind import EXPERIMENTS, Blob, Key, Kind, Resolve

if TYPE_CHECKING:
    from runsync.kinds.scope import Scope
    from runsync.model.comparison import FieldChange


class Document:
    """The part of an entity that it has in common with others like it: a dataclass with JSON values, further
    dataclasses and tuples of these."""

    __slots__ = ()
    name: str

    @property
    def key(self) -> Key:
        """See `Entity`."""
        raise NotImplementedError

    @property
    def born_as(self) -> str:
        """The id that it had where it was made: a copy with another one has that in `origin`."""
        return getattr(self, "origin", "") or self.key[0]

    @property
    def came_from(self) -> str:
        """The key of the workspace that a copy was brought from, where it has tags of its own that tell it."""
        return ""

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """It has no bytes."""
        return ()

    @property
    def runs(self) -> tuple[str, ...]:
        """No run names it."""
        return ()

    def to_document(self) -> dict[str, Any]:
        """The JSON document that the schema of its kind describes."""
        return {name: _json(getattr(self, name)) for name in names_of(self)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The reverse, of a valid document."""
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in document.items()})


def names_of(item: Any) -> tuple[str, ...]:
    """The names of the fields of a dataclass."""
    return tuple(field.name for field in fields(item))


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json(each) for each in value]
    if is_dataclass(value):
        return {name: _json(getattr(value, name)) for name in names_of(value)}
    return value


D = TypeVar("D", bound=Document)


class DocumentKind(Kind[D]):
    """`id_field` is the field with the id of an entity, `set_by_servers` are the fields that a server fills in by
    itself. One that is `opt_in` is carried with the option of its name only. An entity with an `experiment_id` hangs
    off that experiment; the others lie beside experiments."""

    id_field: ClassVar[str]
    set_by_servers: ClassVar[tuple[str, ...]] = ()
    kept_back: ClassVar[str] = ""
    """How one arrives that is not all that it was, by its nature."""
    has_own_marks: ClassVar[bool] = False
    """Whether a copy has tags that tell what it was made of (`born_as`, `came_from`); else its experiment has them."""

    def marked(self, item: D, origin: str, came_from: str) -> D:
        """With the tags of a copy of the one with that id, brought from the workspace of that key."""
        return item

    def place(self, item: D) -> Key:
        """By what one is known that nothing tells to be a copy."""
        raise NotImplementedError

    @property
    def option(self) -> str:
        """With which one is carried that is `opt_in`."""
        return self.name

    def new(self, item: D) -> D:
        """As one is made that is not there yet."""
        return item

    def joined(self, item: D, there: D) -> D:
        """As it is to read where `there` is what the target has of it."""
        return item

    def meant(self, item: D, scope: "Scope") -> D | None:
        """Where only some experiments are meant: those of these experiments. Where only some runs are: none."""
        if scope.everything or not scope.is_narrow:
            return item
        home = getattr(item, "experiment_id", None)
        return item if not scope.is_of_runs and any(e.experiment_id == home for e in scope.experiments) else None

    def reuse(self, stored: D, item: D) -> D | None:
        """It has no bytes."""
        return None

    def origin(self, item: D) -> Key:
        """It is told beside it."""
        return (item.born_as,)

    def rewritten(self, item: D, resolve: Resolve) -> D | None:
        """It goes with its experiment."""
        changed: dict[str, Any] = {self.id_field: resolve(self.name, item.key[0]) or item.key[0]}
        if hasattr(item, "experiment_id"):
            changed["experiment_id"] = resolve(EXPERIMENTS, item.experiment_id)
        return None if None in changed.values() else replace(item, **changed)  # type: ignore[type-var]

    def counterparts(self, items: Sequence[D], there: Sequence[D], resolve: Resolve) -> Mapping[str, str]:
        """See `Kind`. One that no mark tells to be a copy is known by its place."""
        from runsync.kinds.counterparts import Counterparts

        if self.has_own_marks or hasattr(self.entity, "experiment_id"):
            return super().counterparts(items, there, resolve)
        found = Counterparts(self, there, [(item, self.rewritten(item, resolve) or item) for item in items])
        return {item.key[0]: other.key[0] if (other := found.of(item)) else "" for item in items}

    def is_behind(self, there: D, wanted: D) -> bool:
        """Whether one in a target is to be brought up to date."""
        return any(self.lacks(wanted, there))

    def changes(self, old: D, new: D) -> Iterator["FieldChange"]:
        """All fields."""
        yield from changed_fields(old, new, (name for name in names_of(old) if name != "origin"))

    def lacks(self, wanted: D, there: D) -> Iterator["FieldChange"]:
        """A server gives ids and times of its own."""
        own = {self.id_field, "origin", "experiment_id", *self.set_by_servers}
        yield from changed_fields(wanted, there, (name for name in names_of(wanted) if name not in own))
