"""Further kinds of objects, which hang off experiments and runs: notebooks, and who may do what with an experiment.

A kind is a class: its `kind` is the name, its `noun` that of one object (and of its schema), `has_bytes` tells whether
there is more to read than a document, and `is_asked_for` whether only who asks for it gets it. The engine and a bundle
need know no more of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from runsync.errors import WrongUsage
from runsync.model.run import Run

NOTEBOOKS = "notebooks"
PERMISSIONS = "permissions"

SOURCE, JUPYTER, HTML, DBC = "SOURCE", "JUPYTER", "HTML", "DBC"
FORMATS = (SOURCE, JUPYTER, HTML, DBC)
"""Of notebooks, as Databricks exports and imports them; SOURCE is the code alone, the others hold results too."""

Key = tuple[str, ...]
"""What an object is known by, within its kind and workspace."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that belong to an object: their SHA-256 (hex) and how many they are."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook at a revision, in one format.

    `revision` is the one that the runs name (a time in epoch milliseconds, as text; "" where they name none).
    `is_last` says that the bytes are those of the last revision there was at export, as far as is known, and then
    `modified_at` (epoch milliseconds) is when that was made. `language` is PYTHON, SQL, SCALA or R. Only an object
    that was read has `blobs`, and that is one.
    """

    kind: ClassVar[str] = NOTEBOOKS
    noun: ClassVar[str] = "notebook"
    has_bytes: ClassVar[bool] = True
    is_asked_for: ClassVar[bool] = True

    path: str
    revision: str
    format: str
    object_id: str = ""
    language: str = ""
    is_last: bool = False
    modified_at: int | None = None
    runs: tuple[str, ...] = ()
    blobs: tuple[Blob, ...] = ()

    @property
    def key(self) -> Key:
        """See `Key`."""
        return (self.path, self.revision, self.format)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.path}{f'@{self.revision}' if self.revision else ''} ({self.format})"

    def taken_from(self, known: "Object") -> "Object | None":
        """A stored one of the same key for this one, when its bytes are surely the same; a revision never changes."""
        if not isinstance(known, Notebook):
            return None
        is_same = not known.is_last or (known.modified_at is not None and known.modified_at == self.modified_at)
        return replace(known, runs=self.runs) if is_same else None

    def stored_as(self, blob: Blob) -> "Notebook":
        """With its bytes in a blob."""
        return replace(self, blobs=(blob,))

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `schemas/v1/notebook.schema.json`."""
        return {**asdict(self), "runs": list(self.runs), "blobs": [asdict(blob) for blob in self.blobs]}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Notebook":
        """The reverse, of a valid document."""
        blobs = tuple(Blob(**blob) for blob in document["blobs"])
        return cls(**{**document, "runs": tuple(document["runs"]), "blobs": blobs})


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

    kind: ClassVar[str] = PERMISSIONS
    noun: ClassVar[str] = "permissions"
    has_bytes: ClassVar[bool] = False
    is_asked_for: ClassVar[bool] = False
    blobs: ClassVar[tuple[Blob, ...]] = ()
    runs: ClassVar[tuple[str, ...]] = ()

    experiment_id: str
    experiment: str = ""
    object_type: str = "experiment"
    grants: tuple[Grant, ...] = ()

    @property
    def key(self) -> Key:
        """See `Key`."""
        return (self.experiment_id,)

    @property
    def name(self) -> str:
        """For people."""
        return self.experiment

    def taken_from(self, known: "Object") -> "Object | None":
        """They must be looked at to be known."""
        return None

    def stored_as(self, blob: Blob) -> "Permissions":
        """They have no bytes."""
        return self

    @property
    def direct(self) -> tuple[Grant, ...]:
        """Those that were given to the experiment itself."""
        return tuple(grant for grant in self.grants if not grant.inherited)

    def has_level(self, level: str) -> bool:
        """Whether there is such a level for what they are of: experiments do not have all that notebooks have."""
        return level in _OF_OBJECTS[self.object_type]

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `schemas/v1/permissions.schema.json`."""
        grants = [{**asdict(grant), "inherited_from": list(grant.inherited_from)} for grant in self.grants]
        return {**asdict(self), "grants": grants}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Permissions":
        """The reverse, of a valid document."""
        grants = (Grant(**{**g, "inherited_from": tuple(g["inherited_from"])}) for g in document["grants"])
        return cls(**{**document, "grants": tuple(grants)})


Object = Notebook | Permissions

CLASSES: Mapping[str, type[Notebook] | type[Permissions]] = {NOTEBOOKS: Notebook, PERMISSIONS: Permissions}
"""By the name of the kind. A further kind is one more class here, and one more schema."""


@dataclass(frozen=True, slots=True)
class NotebookName:
    """A notebook as runs name it; `revision` as for `Notebook`."""

    path: str
    revision: str


_DATABRICKS = "mlflow.databricks.notebook"


@dataclass(slots=True)
class _Naming:
    object_id: str = ""
    runs: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Named:
    """What the runs of a transfer name, gathered as they pass; `formats` are those that notebooks are wanted in.

    With `all_runs` whatever a bundle holds is meant, also what runs name that did not pass.
    """

    formats: tuple[str, ...] = ()
    all_runs: bool = False
    pathless: list[str] = field(default_factory=list)
    _notebooks: dict[NotebookName, _Naming] = field(default_factory=dict)

    @property
    def notebooks(self) -> list[NotebookName]:
        """Each that is named, once."""
        return list(self._notebooks)

    def note(self, runs: Iterable[Run]) -> None:
        """Remembers which notebooks they ran in; `pathless` are runs that name one by its id alone.

        A path that is not absolute is that of a notebook in a Git repository, which the run's tags name.
        """
        for run in runs:
            path, number = run.tags.get(f"{_DATABRICKS}Path", ""), run.tags.get(f"{_DATABRICKS}ID", "")
            if path.startswith("/"):
                name = NotebookName(path, run.tags.get(f"{_DATABRICKS}RevisionID", ""))
                naming = self._notebooks.setdefault(name, _Naming())
                naming.object_id = naming.object_id or number
                naming.runs.append(run.run_id)
            elif number and not path:
                self.pathless.append(run.run_id)

    def runs_of(self, name: NotebookName) -> tuple[str, ...]:
        """The runs that name a notebook, sorted."""
        naming = self._notebooks.get(name)
        return tuple(sorted(naming.runs)) if naming else ()

    def wanted(self) -> Iterator[Notebook]:
        """Each notebook and revision in each format that is wanted."""
        for name, naming in self._notebooks.items():
            for format in self.formats:
                yield Notebook(name.path, name.revision, format, naming.object_id, runs=self.runs_of(name))


def parse_formats(text: str) -> tuple[str, ...]:
    """Of “SOURCE,HTML”, each once, in the order of `FORMATS`. Raises WrongUsage."""
    asked = {word.strip().upper() for word in text.split(",") if word.strip()}
    unknown = sorted(asked - set(FORMATS))
    if unknown:
        raise WrongUsage(f"“{unknown[0]}” is no format of notebooks: those are {', '.join(FORMATS)}")
    return tuple(format for format in FORMATS if format in asked)
