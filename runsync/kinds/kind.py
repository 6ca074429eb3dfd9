"""What a kind of entity is: something that hangs off experiments and runs, or lies beside them in a workspace.

A kind is declared once, in one file of this package, and has one schema under `schemas/v1/`. Bundles, transfers,
verify, diff, check, reports and the command line are loops over `runsync.kinds.KINDS`: none of them names a kind.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

from runsync.kinds.category import Category
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile, Problem

if TYPE_CHECKING:
    import pyarrow as pa

    from runsync.kinds.redaction import Redactor
    from runsync.kinds.scope import Scope
    from runsync.model.comparison import FieldChange
    from runsync.model.run import Run

Key = tuple[str, ...]
"""What an entity is known by, within its kind and workspace."""

EXPERIMENTS = "experiments"
"""What entities name beside runs and other entities, in the words of `Resolve`."""
Resolve = Callable[[str, str], str | None]
"""Of the name of a kind (or EXPERIMENTS, RUNS) and an id in the source: the id on the other side; None where there is
none."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that belong to an entity: their SHA-256 (hex) and how many they are."""

    sha256: str
    size: int


class Entity(Protocol):
    """One of a kind: a frozen dataclass. Only one that was stored has `blobs`."""

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
E_contra = TypeVar("E_contra", bound=Entity, contravariant=True)


def is_same(one: Entity, other: Entity) -> bool:
    """Whether two would be stored alike. NaN is NaN there."""
    return one.to_document() == other.to_document()


class Choice(Protocol[E_contra]):
    """Tells which entities of one kind are meant, beside what `Kind.meant` says."""

    @property
    def needs_complete(self) -> bool:
        """Whether that cannot be told of one before it is complete."""

    @property
    def needs_others(self) -> bool:
        """Whether that cannot be told of one before all were given to `note`."""

    def note(self, item: E_contra, /) -> None:
        """Takes up what one says of others."""

    def may_match(self, item: E_contra, /) -> bool:
        """Whether one that is listed may be meant."""

    def matches(self, item: E_contra, /) -> bool:
        """Whether one is."""


class Kind(Generic[E]):
    """`name` is its word on the command line and in reports, for the parts of a bundle and the feature that they need;
    `noun` is that of a single one, and of its schema.

    `has_bytes`: there is more of one than its document. `has_files`: that is files with paths, in its `files`.
    `rows_name`: what its `rows` are called, which a bundle keeps in a table beside the documents; "" where it has none.
    `requires`: the kinds that must be carried before it. `is_named_by_runs`: it is carried for the runs that name it.
    `names_others`: it has `names`.
    `opt_in`: only who asks for it gets it, so that it counts as failed when it may not be read. `kept_in` is the field
    of a manifest that keeps what was asked for at export by the option `kept_option` ("": none does).
    `why_impossible` goes with `impossible`; `part_of` and `goes_with_experiments` are those of its category.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    entity: type[E]
    has_bytes: ClassVar[bool] = False
    has_files: ClassVar[bool] = False
    rows_name: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()
    names_others: ClassVar[bool] = False
    opt_in: ClassVar[bool] = False
    is_named_by_runs: ClassVar[bool] = False
    kept_in: ClassVar[str] = ""
    kept_option: ClassVar[str] = ""
    why_impossible: ClassVar[str] = ""
    part_of: ClassVar[str] = ""
    goes_with_experiments: ClassVar[bool] = False

    @property
    def schema(self) -> str:
        """The name of its schema, and of the field of a report."""
        return self.noun.replace(" ", "-")

    @property
    def category(self) -> Category:
        """With which it may stay behind."""
        title = self.name.replace("-", " ")
        return Category(self.name, title, self.part_of, self.goes_with_experiments)

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

    def choice(self, scope: "Scope") -> Choice[E] | None:
        """What chooses among those that are meant; None where all of them are."""
        return None

    def redacted(self, item: E, redactor: "Redactor") -> E:
        """Without what must not leave (`--redact`)."""
        return item

    def linked(self, run: "Run") -> Iterable[str]:
        """The ids of those that a run links to, as `Scope.named` has them: they are meant with the run."""
        return ()

    def names(self, item: E) -> Iterable[tuple[str, str]]:
        """What is meant because this one is, where not all is: names of kinds, with ids as `Scope.named` has them."""
        return ()

    def reuse(self, stored: E, item: E) -> E | None:
        """The stored one, for the one of the same key that is at the source, where its bytes are surely the same."""
        return None

    def with_bytes(self, item: E, blob: Blob) -> E:
        """One whose bytes were stored."""
        raise NotImplementedError(f"{self.name} have no bytes")

    def files(self, item: E) -> tuple[ArtifactFile, ...]:
        """Those of a complete one."""
        return ()

    def problems(self, item: E) -> tuple[Problem, ...]:
        """The files that could not be read, with the reason."""
        return ()

    def with_files(self, item: E, files: tuple[ArtifactFile, ...], problems: tuple[Problem, ...]) -> E:
        """The entity with its stored files, and the problems of those that were not stored."""
        raise NotImplementedError(f"{self.name} have no files")

    def without_files(self, item: E) -> E:
        """A complete one as it is stored where files are not asked for."""
        return item

    def row_schema(self) -> "pa.Schema":
        """The columns of its rows; the first is the id of the entity."""
        raise NotImplementedError(f"{self.name} have no rows")

    def rows(self, item: E) -> "pa.RecordBatch":
        """Those of a complete one. Raises ValueError for what has no place in a column."""
        raise NotImplementedError(f"{self.name} have no rows")

    def with_rows(self, item: E, table: "pa.Table") -> E:
        """A stored one with its rows. Raises ValueError for rows that say nothing sound."""
        raise NotImplementedError(f"{self.name} have no rows")

    def origin(self, item: E) -> Key:
        """What the one that it is a copy of was known by where it was made."""
        return item.key

    def counterparts(self, items: Sequence[E], there: Sequence[E], resolve: Resolve) -> Mapping[str, str]:
        """The ids that those of a source have in a workspace, "" where they are not there: by those they were born
        with."""
        born = {self.origin(item)[0]: item.key[0] for item in there}
        return {item.key[0]: born.get(self.origin(item)[0], "") for item in items}

    def rewritten(self, item: E, resolve: Resolve) -> E | None:
        """As it reads on the other side; None where what it hangs off is not there."""
        return item

    def joined(self, item: E, there: E) -> E:
        """As it is to read where `there` is what the target has of it: what that gathers from several sources stays."""
        return item

    def renamed(self, item: E, names: Mapping[str, str]) -> E:
        """As it reads where registered models have other names, which are given by those here."""
        return item

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
