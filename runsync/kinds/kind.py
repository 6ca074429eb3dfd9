"""What a kind of entity is: something that hangs off experiments and runs, or lies beside them in a workspace.

A kind is declared once, in one file of this package, and has one schema under `schemas/v1/`. Bundles, transfers,
verify, diff, check, reports and the command line are loops over `runsync.kinds.KINDS`: none of them names a kind.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

from runsync.kinds.category import Category
from runsync.model.not_carried import NotCarried

if TYPE_CHECKING:
    from runsync.kinds.scope import Scope
    from runsync.model.comparison import FieldChange
    from runsync.model.run import Run

Key = tuple[str, ...]
"""What an entity is known by, within its kind and workspace."""

Resolve = Callable[[str], str | None]
"""Of the id of an experiment: its id on the other side; None where it is not there."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that belong to an entity: their SHA-256 (hex) and how many they are."""

    sha256: str
    size: int


class Entity(Protocol):
    """One of a kind: a frozen dataclass. Only one that was read has `blobs`."""

    @property
    def key(self) -> Key:
        """What it is known by."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Where its bytes are."""

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs that name it, by their ids."""

    def to_document(self) -> dict[str, Any]:
        """The JSON document that the schema of its kind describes."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The reverse, of a valid document."""


E = TypeVar("E", bound=Entity)


@dataclass(frozen=True, slots=True)
class Option:
    """An option of some commands that is about one kind; `notebook_folder` is `--notebook-folder` there.

    It is a flag where it has no `metavar`. `parse` makes of what was given what the kind works with; it raises
    WrongUsage.
    """

    name: str
    verbs: frozenset[str]
    help: str
    metavar: str = ""
    parse: Callable[[Any], Any] = bool


class Kind(Generic[E]):
    """`name` is its word on the command line and in reports, for the parts of a bundle and the feature that they need;
    `noun` is that of a single one, and of its schema.

    `has_bytes`: there is more of one than its document. `is_named_by_runs`: it is carried for the runs that name it.
    `opt_in`: only who asks for it gets it, so that it counts as failed when it may not be read. `kept_in` is the field
    of a manifest that keeps what was asked for at export, under the option of this kind's name ("": none does).
    `why_impossible` goes with `impossible`.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    entity: type[E]
    has_bytes: ClassVar[bool] = False
    opt_in: ClassVar[bool] = False
    is_named_by_runs: ClassVar[bool] = False
    options: ClassVar[tuple[Option, ...]] = ()
    kept_in: ClassVar[str] = ""
    why_impossible: ClassVar[str] = ""

    @property
    def category(self) -> Category:
        """With which it may stay behind."""
        return Category(self.name, self.name.replace("-", " "))

    def left(self, count: int | None, why: str, names: tuple[str, ...] = ()) -> NotCarried:
        """So many of it stay behind (None: not counted)."""
        return self.category.left(count, why, names)

    def mentions(self, run: "Run") -> Iterable[E]:
        """Those that a run names, as far as it tells them."""
        return ()

    def mentioned_as(self, item: E) -> Key:
        """What a mention of it has in common with it."""
        return item.key

    def is_asked_for(self, scope: "Scope") -> bool:
        """Whether somebody asked for it who should hear when a source has none."""
        return False

    def meant(self, item: E, scope: "Scope") -> E | None:
        """A stored one as it is meant by a selection; None for one that is not."""
        return item

    def reuse(self, stored: E, item: E) -> E | None:
        """The stored one, for the one of the same key that is at the source, where its bytes are surely the same."""
        return None

    def with_bytes(self, item: E, blob: Blob) -> E:
        """One whose bytes were stored."""
        raise NotImplementedError(f"{self.name} have no bytes")

    def elsewhere(self, item: E, resolve: Resolve) -> Key | None:
        """What it is known by on the other side; None where what it hangs off is not there."""
        return item.key

    def uncompared(self, scope: "Scope", target: str) -> str:
        """Why those of a workspace (`target` is what kind of one) are not compared; "" when they are."""
        return ""

    def changes(self, old: E, new: E) -> Iterator["FieldChange"]:
        """What became of one, its bytes apart."""
        yield from ()

    def lacks(self, wanted: E, there: E) -> Iterator["FieldChange"]:
        """What one of a workspace lacks of the one that was brought there."""
        yield from self.changes(wanted, there)

    def impossible(self, wanted: E, there: E) -> int:
        """How many pieces the one of a workspace can never have of the one that was brought there."""
        return 0
