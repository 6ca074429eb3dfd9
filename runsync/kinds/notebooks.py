"""Notebooks of Databricks: the code that runs name, at the revision that they name."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from runsync.errors import WrongUsage
from runsync.kinds.kind import Blob, Key, Kind
from runsync.kinds.runs import RUNS
from runsync.model.option import Option, group

if TYPE_CHECKING:
    from runsync.kinds.scope import Scope
    from runsync.model.run import Run

SOURCE, JUPYTER, HTML, DBC = "SOURCE", "JUPYTER", "HTML", "DBC"
FORMATS = (SOURCE, JUPYTER, HTML, DBC)
"""As Databricks exports and imports them; SOURCE is the code alone, the others hold results too."""
_TAG = "mlflow.databricks.notebook"


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook at a revision, in one format ("" where a run only names it).

    `revision` is the one that the runs name (a time in epoch milliseconds, as text; "" where they name none).
    `is_last` says that the bytes are those of the last revision there was at export, as far as is known, and then
    `modified_at` (epoch milliseconds) is when that was made. `language` is PYTHON, SQL, SCALA or R. Only one that was
    read has `blobs`, and that is one.
    """

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
        """Each revision is kept in each format."""
        return (self.path, self.revision, self.format)

    @property
    def name(self) -> str:
        """Its path, with what else it is known by."""
        return f"{self.path}{f'@{self.revision}' if self.revision else ''} ({self.format})"

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `schemas/v1/notebook.schema.json`."""
        return {**asdict(self), "runs": list(self.runs), "blobs": [asdict(blob) for blob in self.blobs]}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Notebook":
        """The reverse, of a valid document."""
        blobs = tuple(Blob(**blob) for blob in document["blobs"])
        return cls(**{**document, "runs": tuple(document["runs"]), "blobs": blobs})


def parse_formats(given: Iterable[str] | str) -> tuple[str, ...]:
    """Of “SOURCE,HTML”, each once, in the order of `FORMATS`. Raises WrongUsage."""
    words = given.split(",") if isinstance(given, str) else given
    asked = {word.strip().upper() for word in words if word.strip()}
    unknown = sorted(asked - set(FORMATS))
    if unknown:
        raise WrongUsage(f"“{unknown[0]}” is no format of notebooks: those are {', '.join(FORMATS)}")
    return tuple(format for format in FORMATS if format in asked)


@group
class OfExport:
    """An option of `export`."""

    notebooks: Annotated[
        Iterable[str] | str | None,
        Option(
            "Databricks: also export the runs' notebooks, as SOURCE, JUPYTER, HTML or DBC, or several: SOURCE,HTML.",
            "FORMATS",
            parse=parse_formats,
        ),
    ] = None


@group
class OfImport:
    """An option of `import_` and `sync`."""

    notebook_folder: Annotated[
        str | None, Option("Databricks: put notebooks into this folder, such as /Users/me/imported.", "PATH")
    ] = None


class _Notebooks(Kind[Notebook]):
    name = "notebooks"
    noun = "notebook"
    requires = (RUNS.name,)
    entity = Notebook
    has_bytes = True
    opt_in = True
    is_named_by_runs = True
    kept_in = "notebook_formats"
    kept_option = "notebooks"

    def mentions(self, run: "Run") -> Iterable[Notebook]:
        """By path and revision, or, where the path is not told, by id alone.

        A path that is not absolute is that of a notebook in a Git repository, which the run's tags name.
        """
        path, number = run.tags.get(f"{_TAG}Path", ""), run.tags.get(f"{_TAG}ID", "")
        if path.startswith("/"):
            yield Notebook(path, run.tags.get(f"{_TAG}RevisionID", ""), "", number)
        elif number and not path:
            yield Notebook("", "", "", number)

    def mentioned_as(self, item: Notebook) -> Key:
        """In whatever format."""
        return (item.path, item.revision)

    def is_asked_for(self, scope: "Scope") -> bool:
        """In any format."""
        return bool(formats_of(scope))

    def meant(self, item: Notebook, scope: "Scope") -> Notebook | None:
        """Those that the runs name, with these runs."""
        runs = scope.runs_naming(self, item)
        return replace(item, runs=runs or item.runs) if runs or scope.everything else None

    def reuse(self, stored: Notebook, item: Notebook) -> Notebook | None:
        """A revision never changes."""
        is_same = not stored.is_last or (stored.modified_at is not None and stored.modified_at == item.modified_at)
        return replace(stored, runs=item.runs) if is_same else None

    def with_bytes(self, item: Notebook, blob: Blob) -> Notebook:
        """Its one blob."""
        return replace(item, blobs=(blob,))

    def uncompared(self, scope: "Scope", target: str) -> str:
        """They may lie anywhere."""
        return f"{target} has no place to look for them"


NOTEBOOKS = _Notebooks()


def formats_of(scope: "Scope") -> tuple[str, ...]:
    """The formats that they are wanted in; none where they are not."""
    if scope.asked.get("notebook_folder"):
        return (SOURCE,)
    return tuple(scope.asked.get(NOTEBOOKS.name, ()))


def wanted(scope: "Scope") -> Iterable[Notebook]:
    """Each that runs name by its path, in each format."""
    for item in scope.mentioned(NOTEBOOKS):
        for format in formats_of(scope) if item.path else ():
            yield replace(item, format=format, runs=scope.runs_naming(NOTEBOOKS, item))


def pathless(scope: "Scope") -> tuple[str, ...]:
    """The runs that name one by nothing but its id."""
    return scope.runs_naming(NOTEBOOKS, Notebook("", "", ""))
