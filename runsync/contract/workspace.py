"""Where runs live."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from runsync.contract.editor import Editor
from runsync.contract.source import Source
from runsync.contract.target import Target
from runsync.errors import WrongUsage
from runsync.model.finding import Finding
from runsync.model.import_options import ImportOptions

if TYPE_CHECKING:
    from runsync.contract.model_registry import ModelRegistry


class Workspace(Source, Protocol):
    """Where runs live: a source that can also be written to and changed."""

    @property
    def notes(self) -> list[str]:
        """What its user should hear of how it was reached."""
        return []

    @property
    def whereabouts(self) -> tuple[str, ...]:
        """The same for two workspaces that are one and the same, however their addresses are spelled."""
        return (self.place.kind, self.place.address)

    def target(self, options: ImportOptions) -> Target:
        """Takes one import or sync."""

    def editor(self) -> Editor:
        """Changes runs and experiments. Raises WrongUsage where that cannot be done."""
        raise WrongUsage(f"nothing can be changed in {self.place.address}: {self.place.kind} has no place for changes")

    def registry(self) -> "ModelRegistry | None":
        """Where models are promoted; None where it has no registered models that can be read and written. Raises
        WrongUsage and AccessDenied for a workspace that cannot be written to."""
        return None

    def examine(self) -> Iterator[Finding]:
        """Who we are there, and what will and will not work, each as soon as it is known. Nothing is written.

        Raises WorkspaceError where it cannot go on.
        """
        return iter(())

    def close(self) -> None:
        """Lets go of connections; what still waits raises Interrupted."""
