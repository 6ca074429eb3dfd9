"""Versions of registered models: each serves the files of a run or of a logged model, or has files elsewhere."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from runsync.kinds.changed import changed_fields, changed_files, lacking_entries
from runsync.kinds.kind import Blob, Key, Kind, Resolve
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.identity import own_tags_removed
from runsync.model.run import ArtifactFile, Problem
from runsync.model.selection import RUNS

if TYPE_CHECKING:
    from runsync.kinds.scope import Scope
    from runsync.model.comparison import FieldChange

PENDING, READY, FAILED = "PENDING_REGISTRATION", "READY", "FAILED_REGISTRATION"
MOVED = "runsync.source.source"
"""The tag of a copy whose files lie elsewhere, in the words of its registry, than those of its original: what that one
has for a source."""
ORIGIN = "runsync.source.model_version"
"""The tag of a version that an import made on a server: the name and number of its original."""
NEXT = 0
"""The number of a version that is to get the next one of the target."""
NO_STAGE = "None"
"""The stage of a version that was never put into one (MLflow's word)."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where the files of a version lie: `path` below the root of the artifacts of a run, or of a logged model; or in
    another version, by name and number. `kind` is "" for files that hang off nothing that is carried."""

    kind: str = ""
    id: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """`source` is what its registry says, `home` what that means. `run_id` is "" for none. Times are in epoch
    milliseconds.

    `artifacts` are files of its own, where its home is nothing that is carried; else None.
    """

    model: str
    version: int
    source: str = ""
    home: Home = Home()
    run_id: str = ""
    run_link: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    stage: str = NO_STAGE
    status: str = READY
    status_message: str = ""
    user_id: str = ""
    created_at: int | None = None
    updated_at: int | None = None
    artifacts: tuple[ArtifactFile, ...] | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def key(self) -> Key:
        """The number is kept everywhere."""
        return (self.model, f"{self.version:010d}")

    @property
    def name(self) -> str:
        """As in `models:/churn/3`."""
        return f"{self.model}/{self.version}"

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Those of its own files."""
        return tuple(Blob(file.sha256, file.size) for file in self.artifacts or () if file.sha256)

    @property
    def runs(self) -> tuple[str, ...]:
        """The run that it was made of."""
        return (self.run_id,) if self.run_id else ()

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `schemas/v1/model-version.schema.json`."""
        files = None if self.artifacts is None else [file.to_document() for file in self.artifacts]
        values = {name: getattr(self, name) for name in self.__slots__}
        values |= {"tags": dict(self.tags), "home": asdict(self.home), "artifacts": files}
        return {**values, "problems": [asdict(problem) for problem in self.problems]}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ModelVersion":
        """The reverse, of a valid document."""
        files = document["artifacts"]
        artifacts = None if files is None else tuple(ArtifactFile(**file) for file in files)
        problems = tuple(Problem(**problem) for problem in document["problems"])
        return cls(**{**document, "home": Home(**document["home"]), "artifacts": artifacts, "problems": problems})


def home_of(source: str, run_id: str) -> Home:
    """What the source of a version means, as far as it tells by itself.

    Roots of artifacts end with `<run id>/artifacts` or `models/<model id>/artifacts` in every layout that MLflow makes
    (`logged_models/…` on Databricks).
    """
    if found := re.fullmatch(r"models:/(m-[0-9a-f]+)/*(.*)", source):
        return Home(LOGGED_MODELS.name, found[1], found[2].strip("/"))
    if found := re.fullmatch(r"models:/([^/@]+)/(\d+)", source):
        return Home(MODEL_VERSIONS.name, f"{found[1]}/{int(found[2])}", "")
    if found := re.fullmatch(r"runs:/([^/]+)/*(.*)", source):
        return Home(RUNS, found[1], found[2].strip("/"))
    path = source.split("?", 1)[0].split("#", 1)[0]
    if found := re.search(r"/(?:logged_)?models/(m-[0-9a-f]+)/artifacts(?:/(.*))?$", path):
        return Home(LOGGED_MODELS.name, found[1], (found[2] or "").strip("/"))
    if run_id and (found := re.search(rf"/{re.escape(run_id)}/artifacts(?:/(.*))?$", path)):
        return Home(RUNS, run_id, (found[1] or "").strip("/"))
    return Home()


def home_of_location(location: str, run_id: str) -> Home:
    """Likewise of where a registry really has its files, which may be in another run than the one that it names."""
    found = re.search(r"/([0-9a-f]{32})/artifacts(?:/|$)", location)
    return home_of(location, found[1] if found else run_id)


class ModelVersions(Kind[ModelVersion]):
    """The kind. `vital` are the tags without which a version is of no use."""

    vital: ClassVar[frozenset[str]] = frozenset()
    name = "model-versions"
    noun = "model version"
    entity = ModelVersion
    has_files = True
    requires: ClassVar[tuple[str, ...]] = (RUNS, LOGGED_MODELS.name, REGISTERED_MODELS.name)
    names_others = True
    part_of = REGISTERED_MODELS.name

    def meant(self, item: ModelVersion, scope: "Scope") -> ModelVersion | None:
        """Where only some experiments or runs are meant: those of these runs, and of their logged models."""
        if scope.versions:
            return item if item.name in scope.versions else None
        if scope.is_narrow and item.run_id not in scope.run_ids and item.home.id not in scope.named(item.home.kind):
            return None
        return item

    def names(self, item: ModelVersion) -> Iterable[tuple[str, str]]:
        """Its model; itself, for its aliases; and the logged model that has its files."""
        of_logged = [(LOGGED_MODELS.name, item.home.id)] if item.home.kind == LOGGED_MODELS.name else []
        return ((REGISTERED_MODELS.name, item.model), (self.name, item.name), *of_logged)

    def reuse(self, stored: ModelVersion, item: ModelVersion) -> ModelVersion | None:
        """Files of a version that is READY do not change."""
        same = replace(item, artifacts=stored.artifacts, problems=stored.problems) == stored
        is_whole = not stored.problems and stored.status == READY
        return stored if same and is_whole and item.artifacts is None else None

    def files(self, item: ModelVersion) -> tuple[ArtifactFile, ...]:
        """Its own."""
        return item.artifacts or ()

    def problems(self, item: ModelVersion) -> tuple[Problem, ...]:
        """It keeps them."""
        return item.problems

    def with_files(
        self, item: ModelVersion, files: tuple[ArtifactFile, ...], problems: tuple[Problem, ...]
    ) -> ModelVersion:
        """With hashes."""
        return replace(item, artifacts=files, problems=problems)

    def rewritten(self, item: ModelVersion, resolve: Resolve) -> ModelVersion | None:
        """A run or a model that is not there stays named by its old id."""
        home = item.home
        if home.kind in (RUNS, LOGGED_MODELS.name):
            home = replace(home, id=resolve(home.kind, home.id) or home.id)
        return replace(item, run_id=resolve(RUNS, item.run_id) or item.run_id, home=home)

    def renamed(self, item: ModelVersion, names: Mapping[str, str]) -> ModelVersion:
        """It is one of a model, and may be a copy of one of another."""
        home, source = item.home, item.source
        if home.kind == self.name:
            model, _, number = home.id.rpartition("/")
            home = replace(home, id=f"{names.get(model, model)}/{number}")
            source = f"models:/{home.id}"
        return replace(item, model=names.get(item.model, item.model), home=home, source=source)

    def changes(self, old: ModelVersion, new: ModelVersion) -> Iterator["FieldChange"]:
        """All but what follows from where it lies."""
        times = ("created_at", "updated_at", "user_id")
        yield from self.lacks(old, new)
        yield from changed_fields(old, new, times if old.run_id else ("run_id", *times))
        yield from lacking_entries("tags", dict.fromkeys(new.tags.keys() - old.tags.keys(), "missing"), {})

    def lacks(self, wanted: ModelVersion, there: ModelVersion) -> Iterator["FieldChange"]:
        """A workspace sets its own times, and may have more tags, and a run that it found by the model where none was
        named. One that has files of its own lies anywhere."""
        names = ("run_link", "description", "stage", "status", "status_message")
        is_moved = there.tags.get(MOVED) == wanted.source
        run = ("run_id",) if wanted.run_id else ()
        places = () if is_moved else (*run, "home") if wanted.home.kind else run
        yield from changed_fields(wanted, there, (*places, *names))
        yield from lacking_entries("tags", own_tags_removed(wanted.tags), there.tags)
        yield from changed_files(wanted.artifacts, there.artifacts)


MODEL_VERSIONS = ModelVersions()
