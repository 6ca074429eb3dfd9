"""Artifact bytes of a store that is reached without a server: in folders of this machine, or on S3.

A run records where its artifacts lie. That may be the root that an MLflow server proxies (`mlflow-artifacts:/…`), or a
place on another machine: then `--artifacts URI` says where the store's artifact root really is.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runsync.download import as_listed
from runsync.errors import BucketNotFound, RequestRefused, WrongUsage
from runsync.model.paths import unfit_for_disks
from runsync.model.run import ArtifactFile, Run
from runsync.model.stored_object import StoredObject
from runsync.workspaces import local_artifacts
from runsync.workspaces.direct.artifact_places import BY_SERVER, SAY_WHERE, ArtifactPlaces, Roots, folder_of
from runsync.workspaces.direct.run_roots import (
    RunRoots,
    above_experiment,
    as_refused,
    experiment_of,
    out_of_reach,
    require_here,
    require_told,
    root_of,
    tells_of_artifacts,
)
from runsync.workspaces.direct.sightings import Sightings
from runsync.workspaces.http import Opener
from runsync.workspaces.s3_artifacts import REMEDY, NoAccess, S3Artifacts, bucket_of
from runsync.writable import try_to_write

_LONGEST_KEY = 1024
"""Bytes; S3 takes no longer keys."""


class DirectArtifacts:
    """The artifacts of all runs of one store."""

    def __init__(self, roots: Roots, s3: S3Artifacts) -> None:
        self.places = ArtifactPlaces(roots)
        self._is_root_given = bool(roots.given)
        self._s3 = s3
        self._sightings = Sightings()
        self._runs = RunRoots(roots, self.places, self._sightings)
        self._used: dict[str, bool] = {}
        """Whether experiments, by their address on S3, have files there."""

    @property
    def requests(self) -> int:
        """Sent to S3 so far."""
        return self._s3.requests

    @property
    def doubts(self) -> list[str]:
        """See `Sightings`."""
        return self._sightings.doubts

    def recognise(self, location: str) -> None:
        """Takes what there is of an experiment for a sign that its root is the right one."""
        with suppress(RequestRefused, WrongUsage):
            place = self.places.of(location)
            folder = folder_of(place)
            if folder is None:
                self._is_used(place.rstrip("/"))
            elif folder.is_dir():
                self._sightings.find(str(folder.parent))

    def require_places(self, locations: Collection[str]) -> None:
        """Raises, before anything is written, where artifacts of experiments at these locations cannot go: WrongUsage,
        RequestRefused, and BucketNotFound where none of their buckets is there."""
        if any(map(self.places.is_unplaced, locations)):
            raise WrongUsage(f"the artifacts of this store are served {BY_SERVER}")
        places = {bucket_of(place): place for place in map(self.places.of, locations) if place.startswith("s3://")}
        for number, place in enumerate(places.values(), 1):
            try:
                self._s3.require_bucket(place)
                break
            except BucketNotFound:
                if number == len(places):
                    raise
        if (folder := self.places.root_folder()) is not None:
            try:
                try_to_write(folder)
            except OSError as error:
                raise _cannot_be_made(folder, error) from None

    def make_root(self) -> None:
        """The folder where artifacts go is there from now on, also when no run has any: so that nobody doubts it later.
        Raises WrongUsage."""
        folder = self.places.root_folder()
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise _cannot_be_made(folder, error) from None

    def list(self, run: Run, within: Collection[str] | None = None) -> tuple[ArtifactFile, ...]:
        """All files of a run, sorted by path. Raises RequestRefused, also for a path that leaves its folder, and
        WrongUsage where only the user can tell where the artifacts of all runs are."""
        root = self._runs.of(run)
        if folder_of(root) is None:
            return self._list_on_s3(run, root)
        with as_refused(run):
            require_here(run, root)
            require_told(run, root)
            return self.list_root(root)

    def _list_on_s3(self, run: Run, root: str) -> tuple[ArtifactFile, ...]:
        """A run without files tells nothing by itself: then its experiment is looked at."""
        files, experiment = self.list_root(root), experiment_of(run, root)
        if files and experiment:
            self._use(experiment)
        elif experiment and (self._is_root_given or tells_of_artifacts(run)):
            with _told():
                is_used = self._is_used(experiment)
            if not is_used and tells_of_artifacts(run):
                raise out_of_reach("file", root_of(experiment))
        return files

    def _is_used(self, experiment: str) -> bool:
        if experiment not in self._used:
            if self._s3.is_used(experiment):
                self._use(experiment)
            else:
                self._used.setdefault(experiment, False)  # a file may have been written meanwhile
        return self._used[experiment]

    def _use(self, experiment: str) -> None:
        self._used[experiment] = True
        self._sightings.find(root_of(experiment))

    def list_root(self, root: str) -> tuple[ArtifactFile, ...]:
        """All files below a folder or an `s3://` address. Raises RequestRefused."""
        folder = folder_of(root)
        with _told():
            files = self._s3.list(root) if folder is None else _walked(folder)
            return tuple(sorted(files, key=lambda file: file.path))

    def is_near(self, run: Run) -> bool:
        """Whether the files of a run lie in a folder of this machine. Raises as `list`."""
        return folder_of(self._runs.of(run)) is not None

    def fault(self, run: Run, file: ArtifactFile) -> str:
        """Why one file of such a run cannot be read, as far as that shows without reading it."""
        folder = folder_of(self._runs.of(run))
        return local_artifacts.fault(folder, file.path) if folder is not None else ""

    def refused(self, run: Run, path: str) -> str:
        """Why a file of this path cannot be written, as far as that shows beforehand; "" where nothing does."""
        try:
            place = self.places.of(run.artifact_uri)
        except RequestRefused as error:
            return str(error)
        if place.startswith("s3://"):
            return "its name is longer than S3 takes" if len(f"{place}/{path}".encode()) > _LONGEST_KEY else ""
        return unfit_for_disks(path)

    def read(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one file, in chunks. Raises RequestRefused when they are not there or not as many as listed."""
        return self.read_root(self._runs.of(run), file)

    def read_root(self, root: str, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one file below a folder or an `s3://` address. Raises RequestRefused likewise."""
        folder = folder_of(root)
        with _told():
            chunks = self._s3.read(root, file.path) if folder is None else local_artifacts.read(folder, file.path)
            yield from as_listed(chunks, file.path, file.size)

    def has_folders(self, run: Run) -> bool:
        """Whether a name there is either a file or a folder: on S3 it may be both."""
        return self.places.is_unplaced(run.artifact_uri) or not self.places.of(run.artifact_uri).startswith("s3://")

    def changed(self, run: Run, paths: Iterable[str]) -> set[str]:
        """The paths that would not arrive as they are: a disk or S3 refuses what it does not hold, and changes none."""
        return set()

    def locate(self, run: Run, file: ArtifactFile) -> StoredObject | None:
        """Where in S3 the bytes of one file lie; None where they lie elsewhere."""
        root = self._runs.of(run)
        if not root.startswith("s3://"):
            return None
        try:
            found = self._s3.locate(root, file.path)
        except RequestRefused:
            return None  # who reads it then will hear why
        return found if found.size == file.size else None

    def write(
        self, run: Run, path: str, size: int, opener: Opener, locate: Callable[[], StoredObject | None] | None = None
    ) -> None:
        """Puts one file there, replacing it. Raises RequestRefused.

        `locate` tells where the source has the very bytes in S3: in the same S3 they are copied.
        """
        root = self._runs.of(run)
        folder = folder_of(root)
        if folder is not None:
            local_artifacts.write(folder, path, opener)
            if run.experiment_id:
                self._sightings.find(str(above_experiment(folder)))
            return
        if experiment := experiment_of(run, root):
            self._use(experiment)
        with _told():
            source = locate() if locate is not None else None
            if source is None or not self._s3.copy(root, path, source):
                self._s3.write(root, path, size, opener)


def _cannot_be_made(folder: Path, error: OSError) -> WrongUsage:
    return WrongUsage(f"{folder}, where artifacts are to go, cannot be written: {error.strerror}")


def _walked(folder: Path) -> Iterator[ArtifactFile]:
    """Of a run without artifacts there is no folder, but the one that holds the experiments' is, or was once."""
    if folder.is_dir():
        return local_artifacts.walk(folder)
    near = folder.parents[3] if len(folder.parents) > 3 else folder.parent
    if not near.exists():
        raise RequestRefused(f"its artifacts are recorded at {folder}, and there is no {near} here: {SAY_WHERE}")
    return iter(())


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except NoAccess as error:
        raise RequestRefused(f"{error}: {REMEDY}") from None
