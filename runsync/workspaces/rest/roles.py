"""What a workspace is beside a source."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runsync.contract.editor import Editor
from runsync.contract.model_registry import ModelRegistry
from runsync.contract.target import Target
from runsync.contract.workbench import Workbench
from runsync.model.finding import Finding
from runsync.model.import_options import ImportOptions

if TYPE_CHECKING:
    from runsync.workspaces.rest.workspace import RestWorkspace


@dataclass(frozen=True, slots=True)
class Roles:
    """Each is called with the workspace when it is asked for: see `contract.workspace.Workspace`."""

    target: "Callable[[RestWorkspace, ImportOptions], Target]"
    editor: "Callable[[RestWorkspace], Editor]"
    registry: "Callable[[RestWorkspace], ModelRegistry | None]"
    examine: "Callable[[RestWorkspace], Iterator[Finding]]"
    workbench: Workbench | None = None
