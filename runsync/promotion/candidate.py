"""The model that is to be promoted, as a snapshot has it: its files with their hashes, and all that gates look at."""

from dataclasses import dataclass, replace

from runsync.bundle.snapshot import Snapshot
from runsync.errors import NothingSelected, RequestRefused
from runsync.growing import Files
from runsync.kinds.logged_models import LoggedModel
from runsync.kinds.model_versions import ModelVersion, home_of
from runsync.kinds.registered_models import RegisteredModel
from runsync.model.experiment import Experiment
from runsync.model.hashing import sha256_of
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.models.compare import as_one_run
from runsync.promotion.digest import SIGNATURE, Hashes, digest_of, files_of
from runsync.promotion.gates import Evidence
from runsync.promotion.wanted import selection_of, versions_of
from runsync.transfer.model_files import files_of_version
from runsync.transfer.registry import SCHEME, Registry


@dataclass(frozen=True, slots=True)
class Candidate:
    """`name` is as its source calls it: `churn/3`, `models:/m-…`, `runs:/ID/PATH`. `version` is it, or what a version
    made of it would be; `registered` the model that it is a version of, if it is one. `files` are those of the model
    alone; `hashes` are theirs, and `size` is how many bytes they have. `signature` is what a promotion adds to them."""

    name: str
    snapshot: Snapshot
    selection: Selection
    version: ModelVersion
    registered: RegisteredModel | None
    run: Run | None
    evidence: Evidence
    files: Files
    hashes: Hashes
    size: int
    signature: bytes = b""

    @property
    def digest(self) -> str:
        """See `promotion.digest`."""
        return digest_of(self.hashes)

    @property
    def is_signed(self) -> bool:
        """Whether a signature is among its files."""
        return SIGNATURE in self.hashes

    def signed(self, signature: bytes) -> "Candidate":
        """It, with a signature among its files."""
        return replace(self, hashes={**self.hashes, SIGNATURE: sha256_of((signature,))}, signature=signature)

    @property
    def source(self) -> str:
        """The address of the workspace that it comes from, also by way of a bundle."""
        return self.snapshot.place.details["source"]


def candidate_of(snapshot: Snapshot, name: str, lineage: bool) -> Candidate:
    """Raises NothingSelected for a model without files, RequestRefused where a file of it is not in the snapshot."""
    selection = selection_of(snapshot, name, lineage)
    registry = Registry(snapshot)
    version, registered = _version(registry, name)
    found = files_of_version(snapshot, registry, version)
    files = files_of(found.files)
    if not files:
        raise NothingSelected(f"{name} has no files: there is nothing to promote")
    if unknown := [file.path for file in files if not file.sha256]:
        raise RequestRefused(f"the hash of “{unknown[0]}” of {name} is not known")
    run = _run(snapshot, version, found.logged)
    evidence = Evidence(as_one_run(version, run, found.logged), _homes(snapshot, run, found.logged), files)
    hashes = {file.path: file.sha256 or "" for file in files}
    size = sum(file.size for file in files)
    return Candidate(name, snapshot, selection, version, registered, run, evidence, found.files, hashes, size)


def _version(registry: Registry, name: str) -> tuple[ModelVersion, RegisteredModel | None]:
    """A version whose files lie where it says, not in another version."""
    if name.startswith((SCHEME, "runs:/")):
        run_id = name.removeprefix("runs:/").partition("/")[0] if name.startswith("runs:/") else ""
        return ModelVersion("", 0, name, home_of(name, run_id), run_id), None
    first, *others = versions_of(registry, name)
    last = others[-1] if others else first
    version = replace(
        first, source=last.source, home=last.home, run_id=first.run_id or last.run_id, artifacts=last.artifacts
    )
    return version, registry.models.get(first.model)


def _run(snapshot: Snapshot, version: ModelVersion, logged: LoggedModel | None) -> Run | None:
    run_id = version.run_id or (logged.source_run_id if logged is not None else "")
    return next(iter(snapshot.batch([run_id], ()).runs), None) if run_id else None


def _homes(snapshot: Snapshot, run: Run | None, logged: LoggedModel | None) -> list[Experiment]:
    ids = {each.experiment_id for each in (run, logged) if each is not None}
    return [e for e in snapshot.experiments(Selection()) if e.experiment_id in ids]
