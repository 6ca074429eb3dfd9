"""Artifact bytes of a store that is reached without a server: in folders of this machine, or on S3.

A run records where its artifacts lie. That may be the root that an MLflow server proxies (`mlflow-artifacts:/…`), or a
place on another machine: then `--artifacts URI` says where the store's artifact root really is.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from runsync.download import as_listed
from runsync.errors import BucketNotFound, RequestRefused, WrongUsage
from runsync.model.identity import MODEL_HISTORY
from runsync.model.ids import is_given_out
from runsync.model.mark import NOT_CARRIED
from runsync.model.paths import unfit_for_disks, unfit_for_folders
from runsync.model.provenance import Provenance
from runsync.model.run import ArtifactFile, Run
from runsync.model.stored_object import StoredObject
from runsync.workspaces import local_artifacts
from runsync.workspaces.direct.recorded import below, is_of_model, steps
from runsync.workspaces.direct.sightings import Sightings
from runsync.workspaces.http import Opener
from runsync.workspaces.s3_artifacts import REMEDY, NoAccess, S3Artifacts, bucket_of
from runsync.writable import try_to_write

SERVED = "mlflow-artifacts:"
EXPERIMENT = "{experiment_id}"
"""Stands in an artifact location for an id that is not known yet."""
SAY_WHERE = "say with --artifacts where that is (a folder or s3://bucket/prefix), or leave them out with --no-artifacts"
_BY_SERVER = f"by an MLflow server (mlflow-artifacts:/), which keeps them in its --artifacts-destination: {SAY_WHERE}"

_LONGEST_KEY = 1024
"""Bytes; S3 takes no longer keys."""
_TELLING = (MODEL_HISTORY, "mlflow.loggedArtifacts")
"""Tags that `log_model` and `log_table` leave."""


@dataclass(frozen=True, slots=True)
class Roots:
    """`location` is the artifact location that a new experiment gets, with EXPERIMENT for its id.

    `given` is where the root of the store's artifacts really is ("": where it is recorded), `served` where the root
    lies that a server of this store proxies ("": nobody knows). `moved` finds the folder of a run that is not where its
    record has it, because the whole store was moved. `has_others` tells whether any run is recorded elsewhere than
    below the root that a server proxies.
    """

    location: str
    given: str = ""
    served: str = ""
    moved: Callable[[Run], Path | None] = lambda run: None
    has_others: Callable[[], bool] = lambda: False

    @property
    def recorded(self) -> str:
        """The root as records have it, with a slash at its end; "" where it has no place of its own."""
        root = self.location.removesuffix(EXPERIMENT)
        return root if root != self.location and root.endswith("/") else ""


class DirectArtifacts:
    """The artifacts of all runs of one store."""

    def __init__(self, roots: Roots, s3: S3Artifacts) -> None:
        self._roots = roots
        self._s3 = s3
        self._sightings = Sightings()
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
            place = self.place_of(location)
            folder = _folder(place)
            if folder is None:
                self._is_used(place.rstrip("/"))
            elif folder.is_dir():
                self._sightings.find(str(folder.parent))

    def require_places(self, locations: Collection[str]) -> None:
        """Raises, before anything is written, where artifacts of experiments at these locations cannot go: WrongUsage,
        RequestRefused, and BucketNotFound where none of their buckets is there."""
        if any(map(self._is_unplaced, locations)):
            raise WrongUsage(f"the artifacts of this store are served {_BY_SERVER}")
        places = {bucket_of(place): place for place in map(self.place_of, locations) if place.startswith("s3://")}
        for number, place in enumerate(places.values(), 1):
            try:
                self._s3.require_bucket(place)
                break
            except BucketNotFound:
                if number == len(places):
                    raise
        if (folder := self._root_folder()) is not None:
            try:
                try_to_write(folder)
            except OSError as error:
                raise _cannot_be_made(folder, error) from None

    def make_root(self) -> None:
        """The folder where artifacts go is there from now on, also when no run has any: so that nobody doubts it later.
        Raises WrongUsage."""
        folder = self._root_folder()
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise _cannot_be_made(folder, error) from None

    def _root_folder(self) -> Path | None:
        """The folder in which new artifacts are to go, where it is known to be one."""
        served = self._roots.served if self._roots.location.startswith(SERVED) else ""
        return _folder(self._roots.given or served) if self._roots.given or served else None

    def new_location(self, experiment_id: str = EXPERIMENT) -> str:
        """The artifact location of a new experiment."""
        return self._roots.location.replace(EXPERIMENT, experiment_id)

    def list(self, run: Run) -> tuple[ArtifactFile, ...]:
        """All files of a run, sorted by path. Raises RequestRefused, also for a path that leaves its folder, and
        WrongUsage where only the user can tell where the artifacts of all runs are."""
        root = self._root(run)
        if _folder(root) is None:
            return self._list_on_s3(run, root)
        with _as_refused(run):
            _require_here(run, root)
            _require_told(run, root)
            return self.list_root(root)

    def _list_on_s3(self, run: Run, root: str) -> tuple[ArtifactFile, ...]:
        """A run without files tells nothing by itself: then its experiment is looked at."""
        files, experiment = self.list_root(root), _experiment_of(run, root)
        if files and experiment:
            self._use(experiment)
        elif experiment and (self._roots.given or _tells_of_artifacts(run)):
            with _told():
                is_used = self._is_used(experiment)
            if not is_used and _tells_of_artifacts(run):
                raise _out_of_reach("file", _root_of(experiment))
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
        self._sightings.find(_root_of(experiment))

    def list_root(self, root: str) -> tuple[ArtifactFile, ...]:
        """All files below a folder or an `s3://` address. Raises RequestRefused."""
        folder = _folder(root)
        with _told():
            files = self._s3.list(root) if folder is None else _walked(folder)
            return tuple(sorted(files, key=lambda file: file.path))

    def own_place(self, uri: str) -> str:
        """Where files lie that hang off no run: only where this store keeps artifacts. Raises RequestRefused."""
        place = self.place_of(uri)
        if place.startswith("s3://"):
            roots = (self._roots.given, self._roots.recorded)
            is_inside = any(root and place.startswith(f"{root.rstrip('/')}/") for root in roots)
        else:
            folder = _folder(place)
            is_inside = folder is not None and self._is_inside(folder)
        if not is_inside:
            raise RequestRefused(f"its files are recorded at {uri}, where this store keeps no artifacts")
        return place

    def is_near(self, run: Run) -> bool:
        """Whether the files of a run lie in a folder of this machine. Raises as `list`."""
        return _folder(self._root(run)) is not None

    def fault(self, run: Run, file: ArtifactFile) -> str:
        """Why one file of such a run cannot be read, as far as that shows without reading it."""
        folder = _folder(self._root(run))
        return local_artifacts.fault(folder, file.path) if folder is not None else ""

    def refused(self, run: Run, path: str) -> str:
        """Why a file of this path cannot be written, as far as that shows beforehand; "" where nothing does."""
        try:
            place = self.place_of(run.artifact_uri)
        except RequestRefused as error:
            return str(error)
        if place.startswith("s3://"):
            return "its name is longer than S3 takes" if len(f"{place}/{path}".encode()) > _LONGEST_KEY else ""
        return unfit_for_disks(path)

    def read(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one file, in chunks. Raises RequestRefused when they are not there or not as many as listed."""
        return self.read_root(self._root(run), file)

    def read_root(self, root: str, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one file below a folder or an `s3://` address. Raises RequestRefused likewise."""
        folder = _folder(root)
        with _told():
            chunks = self._s3.read(root, file.path) if folder is None else local_artifacts.read(folder, file.path)
            yield from as_listed(chunks, file.path, file.size)

    def has_folders(self, run: Run) -> bool:
        """Whether a name there is either a file or a folder: on S3 it may be both."""
        return self._is_unplaced(run.artifact_uri) or not self.place_of(run.artifact_uri).startswith("s3://")

    def changed(self, run: Run, paths: Iterable[str]) -> set[str]:
        """The paths that would not arrive as they are: a disk or S3 refuses what it does not hold, and changes none."""
        return set()

    def locate(self, run: Run, file: ArtifactFile) -> StoredObject | None:
        """Where in S3 the bytes of one file lie; None where they lie elsewhere."""
        root = self._root(run)
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
        root = self._root(run)
        folder = _folder(root)
        if folder is not None:
            local_artifacts.write(folder, path, opener)
            return
        if experiment := _experiment_of(run, root):
            self._use(experiment)
        with _told():
            source = locate() if locate is not None else None
            if source is None or not self._s3.copy(root, path, source):
                self._s3.write(root, path, size, opener)

    def place_of(self, uri: str) -> str:
        """Where what is recorded so really lies: an absolute path, a `file:` URI or an `s3://` address.

        Raises RequestRefused where it cannot be reached, and WrongUsage where that goes for all runs and only the user
        can tell.
        """
        if self._is_unplaced(uri):
            if self._has_others:
                raise RequestRefused(f"its artifacts are served {_BY_SERVER}")
            raise WrongUsage(f"the artifacts of this store are served {_BY_SERVER}")
        if uri.startswith(SERVED):
            return _below(self._roots.given or self._roots.served, urlsplit(uri).path.strip("/"))
        root = self._roots.recorded
        if self._roots.given and root and uri.startswith(root):
            return _below(self._roots.given, uri.removeprefix(root))
        return uri

    def _is_unplaced(self, uri: str) -> bool:
        """Whether a server proxies it, and nobody knows from where."""
        return uri.startswith(SERVED) and not (self._roots.given or self._roots.served)

    @cached_property
    def _has_others(self) -> bool:
        return self._roots.has_others()

    def _is_inside(self, folder: Path) -> bool:
        """Whether a folder lies where this store keeps artifacts, or where the user says that they are."""
        roots = (self._roots.given, self._roots.served, self._roots.recorded)
        places = [place for root in roots if root and (place := _folder(root)) is not None]
        return any(Path(os.path.normpath(folder)).is_relative_to(place) for place in places)

    def _check_on_s3(self, run: Run, place: str) -> None:
        """Whoever made the store may have recorded any prefix that our credentials open. Raises RequestRefused."""
        roots = (self._roots.given, self._roots.recorded)
        is_inside = any(root and place.startswith(f"{root.rstrip('/')}/") for root in roots)
        is_of_run = place.rstrip("/").endswith(f"/{run.run_id}/artifacts")
        if not is_of_run or not (_is_given_out(run.run_id) or is_inside):
            raise RequestRefused(f"its artifacts are recorded at {place}, which is not the folder of a run: refused")

    def _root(self, run: Run) -> str:
        with _as_refused(run):
            return self._find_root(run)

    def _find_root(self, run: Run) -> str:
        beside = self._roots.moved(run) if self._is_unplaced(run.artifact_uri) else None
        if beside is not None and beside.is_dir():
            return str(_no_link(beside))
        place = self.place_of(run.artifact_uri)
        if place.startswith("s3://"):
            self._check_on_s3(run, place)
            if self._roots.given and (experiment := _experiment_of(run, place)):
                self._sightings.look(_root_of(experiment), run.run_id)
            return place
        return str(_no_link(self._elsewhere(run, place) or self._as_recorded(run, place)))

    def _as_recorded(self, run: Run, place: str) -> Path:
        """The folder that a run records for its artifacts. Raises RequestRefused for one that is not its own."""
        folder = local_artifacts.folder_of(place)
        if folder is None:
            is_address = "://" in place or place.startswith("dbfs:")
            shown = place if is_address else f"{place} (a path of another machine, or relative to where a server ran)"
            raise RequestRefused(
                f"its artifacts are recorded at {shown}, which cannot be reached from here: {SAY_WHERE}"
            )
        if folder.name != "artifacts" or folder.parent.name != run.run_id:
            raise RequestRefused(f"its artifacts are recorded at {folder}, which is not the folder of a run: refused")
        if not _is_given_out(run.run_id) and not self._is_inside(folder):
            raise RequestRefused(
                f"its artifacts are recorded at {folder}, outside the store, and its id was not made by MLflow: "
                f"refused, since that may be any folder. If they are there, {SAY_WHERE}"
            )
        root = _above_experiment(folder)
        self._sightings.look(str(root), run.run_id)
        if local_artifacts.is_folder(folder.parent.parent):
            self._sightings.find(str(root))
        return folder

    def _elsewhere(self, run: Run, place: str) -> Path | None:
        """Where artifacts lie that are not where they are recorded, and not where --artifacts maps that to: in the
        root that --artifacts names, or in a store that was moved. None where they are in neither."""
        recorded = local_artifacts.folder_of(place)
        if recorded is not None and local_artifacts.is_there(recorded):
            return None
        given = _folder(self._roots.given) if self._roots.given else None
        is_mapped = given is not None and recorded is not None and recorded.is_relative_to(given)
        folder = below(given, run) if given is not None and not is_mapped else None
        if folder is not None and local_artifacts.is_folder(folder):
            return self._found(run, _above_experiment(folder), folder)
        moved = self._roots.moved(run)
        if moved is not None:
            root = _above_experiment(moved if recorded is None else recorded)
            return self._found(run, root, moved, is_sure=given is None)
        has_experiment = folder is not None and local_artifacts.is_folder(folder.parent.parent)
        if folder is None or not (recorded is None or has_experiment):
            return None
        return self._found(run, _above_experiment(folder), folder, has_experiment)

    def _found(self, run: Run, root: Path, folder: Path, is_sure: bool = True) -> Path:
        """Notes where a run was looked for, and whether that surely is a right root."""
        self._sightings.look(str(root), run.run_id)
        if is_sure:
            self._sightings.find(str(root))
        return folder


def _cannot_be_made(folder: Path, error: OSError) -> WrongUsage:
    return WrongUsage(f"{folder}, where artifacts are to go, cannot be written: {error.strerror}")


def _folder(root: str) -> Path | None:
    return None if root.startswith("s3://") else local_artifacts.folder_of(root)


def _no_link(folder: Path) -> Path:
    """The folder. Raises RequestRefused where it, or that of its run, is a link."""
    if folder.is_symlink() or folder.parent.is_symlink():
        raise RequestRefused(f"its artifacts folder {folder} is a link, and links are not followed")
    return folder


def _is_given_out(id: str) -> bool:
    """Whether MLflow gave the id to a run, or to a logged model."""
    return is_given_out(id.removeprefix("m-"))


def _above_experiment(folder: Path) -> Path:
    """Where the experiment of a run's artifacts lies beside others. A record may have fewer folders: `/artifacts`."""
    run = folder.parent
    return run.parent.parent.parent if is_of_model(folder.parts) else run.parent.parent


def _experiment_of(run: Run, root: str) -> str:
    """The address on S3 that the artifact root of a run says its experiment has; "" where it says none."""
    above, _, last = root.rstrip("/").removesuffix("/artifacts").rpartition("/")
    if is_of_model(steps(root)):
        above = above.rpartition("/")[0]
    return above if last == run.run_id and bucket_of(above) else ""


def _root_of(experiment: str) -> str:
    """Where on S3 an experiment lies beside others."""
    return experiment.rpartition("/")[0] if urlsplit(experiment).path else experiment


def _require_here(run: Run, root: str) -> None:
    """Raises RequestRefused where a run has nothing in the root that was given, but where it records its artifacts."""
    folder, recorded = _folder(root), local_artifacts.folder_of(run.artifact_uri)
    if folder is None or recorded is None or folder.is_dir() or not recorded.is_dir():
        return
    if any(recorded.iterdir()):
        raise RequestRefused(
            f"its artifacts are at {recorded}, as recorded, and not at {folder}, where --artifacts has them: correct "
            "--artifacts, or leave it out"
        )


def _require_told(run: Run, root: str) -> None:
    """Raises RequestRefused where a run tells of artifacts, and not even its experiment has a folder: as on a disk that
    is not mounted. MLflow records no list of files."""
    folder = _folder(root)
    if folder is None or folder.is_dir() or folder.parent.parent.is_dir() or not _tells_of_artifacts(run):
        return
    raise _out_of_reach("folder", str(_above_experiment(folder)))


def _out_of_reach(holder: str, root: str) -> RequestRefused:
    return RequestRefused(
        f"it has logged models or files, as its tags tell, and neither it nor its experiment has a {holder} below "
        f"{root}: {SAY_WHERE}"
    )


def _tells_of_artifacts(run: Run) -> bool:
    """Whether it ever had some, and they were not left out when it was brought here."""
    mark = Provenance.of(run.tags).mark
    is_left_out = mark is not None and mark.artifacts == NOT_CARRIED
    return not is_left_out and any(run.tags.get(tag, "[]") != "[]" for tag in _TELLING)


def _walked(folder: Path) -> Iterator[ArtifactFile]:
    """Of a run without artifacts there is no folder, but the one that holds the experiments' is, or was once."""
    if folder.is_dir():
        return local_artifacts.walk(folder)
    near = folder.parents[3] if len(folder.parents) > 3 else folder.parent
    if not near.exists():
        raise RequestRefused(f"its artifacts are recorded at {folder}, and there is no {near} here: {SAY_WHERE}")
    return iter(())


def _below(root: str, path: str) -> str:
    if path and (reason := unfit_for_folders(path)):
        raise RequestRefused(f"“{path}” is refused as a place of artifacts: {reason}")
    return f"{root.rstrip('/')}/{path}"


@contextmanager
def _as_refused(run: Run) -> Iterator[None]:
    """What is recorded may be no path at all, too long for one, or closed to us: that ends this run alone."""
    try:
        yield
    except (OSError, ValueError) as error:
        why = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
        raise RequestRefused(
            f"its artifacts are recorded at {run.artifact_uri}, which cannot be looked into ({why}): {SAY_WHERE}"
        ) from None


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except NoAccess as error:
        raise RequestRefused(f"{error}: {REMEDY}") from None
