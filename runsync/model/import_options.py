"""How runs are put into a target workspace."""

from dataclasses import dataclass, field

from runsync.model.deletions import REPLAY, DeletionPolicy
from runsync.model.naming import Naming


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`thorough` looks also at runs that a search shows unchanged.

    `permissions` gives principals the rights on experiments that they had; `notebook_folder` is the folder of a
    workspace that notebooks are put into ("": none are). Without `tags`, copies that keep their ids get none of ours.
    """

    naming: Naming = field(default_factory=Naming)
    artifacts: bool = True
    verify_artifacts: bool = False
    restore_deleted: bool = False
    thorough: bool = False
    deletions: DeletionPolicy = REPLAY
    permissions: bool = False
    notebook_folder: str = ""
    tags: bool = True
