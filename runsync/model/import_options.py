"""How runs are put into a target workspace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runsync.model.deletions import REPLAY, DeletionPolicy
from runsync.model.naming import Naming


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`thorough` looks also at runs that a search shows unchanged.

    `asked` are options that are about one kind of entity, by name (see `kinds.options`). Without `tags`, copies that
    keep their ids get none of ours. With `keep_mlmodel` MLmodel files are not changed where ids are.
    """

    naming: Naming = field(default_factory=Naming)
    artifacts: bool = True
    verify_artifacts: bool = False
    restore_deleted: bool = False
    thorough: bool = False
    deletions: DeletionPolicy = REPLAY
    asked: Mapping[str, Any] = field(default_factory=dict)
    tags: bool = True
    keep_mlmodel: bool = False
