"""The notebook that a run names, from wherever it can be read: the workspace, or a bundle that holds it."""

from dataclasses import dataclass

from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS
from runsync.kinds.notebooks import NOTEBOOKS, SOURCE, Notebook, wanted
from runsync.kinds.scope import Scope
from runsync.model.run import Run

SUFFIXES = {"PYTHON": ".py", "SQL": ".sql", "SCALA": ".scala", "R": ".r"}


@dataclass(frozen=True, slots=True)
class NotebookText:
    """A notebook of a run, as source code; or why it cannot be had (`text` is None)."""

    notebook: Notebook
    text: bytes | None = None
    why: str = ""

    @property
    def doubt(self) -> str:
        """What is to be said of which revision it is; "" where it is surely the one that the run names."""
        if not self.notebook.is_last:
            return ""
        if not self.notebook.revision:
            return "the run does not tell a revision of its notebook: this is the last one"
        return "the revision of the notebook cannot be told from the last one: this is the last one"

    @property
    def file_name(self) -> str:
        """For a file of it."""
        return self.notebook.path.rpartition("/")[2] + SUFFIXES.get(self.notebook.language, ".txt")


def notebook_of(source: Source, run: Run) -> NotebookText | None:
    """As source code. None for a run that names no notebook of a workspace."""
    scope = Scope(asked={NOTEBOOKS.name: (SOURCE,)})
    scope.note([run])
    named = next(iter(wanted(scope)), None)
    if named is None:
        return None
    side = source.entities(NOTEBOOKS)
    if side is None:
        return NotebookText(named, why="it cannot be read from this place: runsync runs source tells where it is")
    found = next((item for item in side.list(scope) if item.format == SOURCE), None)
    if found is None:
        return NotebookText(named, why="the bundle does not hold its source: export --notebooks SOURCE keeps it")
    try:
        read, chunks = side.read(side.complete(found))
        return NotebookText(read, b"".join(chunks))
    except ITEM_ERRORS as error:
        return NotebookText(named, why=str(error))
