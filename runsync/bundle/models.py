"""The models of the runs in a snapshot."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property

from runsync.bundle.bundle import Bundle
from runsync.bundle.entities import SnapshotEntities
from runsync.bundle.manifest import Manifest
from runsync.errors import RequestRefused
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import MODEL_VERSIONS, NO_STAGE
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.run import ArtifactFile, LoggedModel, ModelVersion
from runsync.model.selection import RUNS, Selection


class SnapshotModels:
    """Versions are read once; logged models each time that one is asked for."""

    def __init__(self, bundle: Bundle, manifest: Manifest) -> None:
        self._manifest = manifest
        self._logged = SnapshotEntities(bundle, manifest, LOGGED_MODELS)
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

    def logged(self, model_id: str) -> LoggedModel:
        """A logged model with its files. Raises RequestRefused where it is not there."""
        for model in self._logged.all():
            if model.model_id == model_id and model.artifacts is not None:
                return LoggedModel(model_id, model.name or model_id, model.artifacts)
            if model.model_id == model_id:
                raise RequestRefused(f"the files of logged model {model_id} were not asked for at export")
        raise RequestRefused(f"logged model {model_id} is not in the bundle")

    def read(self, model: LoggedModel, file: ArtifactFile) -> Iterator[bytes]:
        """One of its files. Raises BundleDamaged."""
        return self._logged.read_blob(file, f"logged model {model.name}")
