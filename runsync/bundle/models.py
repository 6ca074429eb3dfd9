"""The models of the runs in a snapshot."""

from collections import defaultdict
from collections.abc import Callable
from functools import cached_property

from runsync.bundle.bundle import Bundle
from runsync.bundle.entities import SnapshotEntities
from runsync.bundle.manifest import Manifest
from runsync.kinds.model_versions import MODEL_VERSIONS, NO_STAGE
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.run import ModelVersion
from runsync.model.selection import RUNS, Selection


class SnapshotModels:
    """Versions, which are read once."""

    def __init__(self, bundle: Bundle, manifest: Manifest) -> None:
        self._manifest = manifest
        self._versions = SnapshotEntities(bundle, manifest, MODEL_VERSIONS)

    @cached_property
    def _by_run(self) -> dict[str, list[ModelVersion]]:
        found = defaultdict(list)
        for version in sorted(self._versions.all(), key=lambda v: v.key):
            stage = "" if version.stage == NO_STAGE else version.stage
            told = ModelVersion(version.model, str(version.version), stage)
            for run_id in {version.run_id, version.home.id if version.home.kind == RUNS else ""} - {""}:
                found[run_id].append(told)
        return dict(found)

    def versions_of(self, run_id: str) -> tuple[ModelVersion, ...]:
        """Those that were made of a run. Raises BundleDamaged."""
        return tuple(self._by_run.get(run_id, ()))

    @property
    def has_version(self) -> Callable[[str], bool] | None:
        """Whether one was made of a run; None where the export left versions behind."""
        registry = {REGISTERED_MODELS.name, MODEL_VERSIONS.name}
        were_left = any(left.kind in registry for left in self._manifest.not_carried)
        were_meant = Selection.from_document(self._manifest.selection).has(MODEL_VERSIONS.name)
        if not were_meant or (were_left and not self._by_run):
            return None
        return lambda run_id: run_id in self._by_run
