"""Where the artifacts of one run lie: as it records it, or where they are found instead."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from runsync.errors import RequestRefused
from runsync.model.identity import MODEL_HISTORY
from runsync.model.ids import is_given_out
from runsync.model.mark import NOT_CARRIED
from runsync.model.provenance import Provenance
from runsync.model.run import Run
from runsync.workspaces import local_artifacts
from runsync.workspaces.direct.artifact_places import SAY_WHERE, ArtifactPlaces, Roots, folder_of
from runsync.workspaces.direct.recorded import below, folder_within, steps
from runsync.workspaces.direct.sightings import Sightings
from runsync.workspaces.s3_artifacts import bucket_of

_TELLING = (MODEL_HISTORY, "mlflow.loggedArtifacts")
"""Tags that `log_model` and `log_table` leave."""


class RunRoots:
    """Of the runs of one store. What it looks at it notes in `sightings`."""

    def __init__(self, roots: Roots, places: ArtifactPlaces, sightings: Sightings) -> None:
        self._roots = roots
        self._places = places
        self._sightings = sightings

    def of(self, run: Run) -> str:
        """The folder or `s3://` address. Raises RequestRefused, and WrongUsage where only the user can tell where the
        artifacts of all runs are."""
        with as_refused(run):
            return self._find(run)

    def _find(self, run: Run) -> str:
        beside = self._roots.moved(run) if self._places.is_unplaced(run.artifact_uri) else None
        if beside is not None and beside.is_dir():
            return str(_no_link(beside))
        place = self._places.of(run.artifact_uri)
        if place.startswith("s3://"):
            self._check_on_s3(run, place)
            if self._roots.given and (experiment := experiment_of(run, place)):
                self._sightings.look(root_of(experiment), run.run_id)
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
        if not _is_given_out(run.run_id) and not self._places.is_inside(folder):
            raise RequestRefused(
                f"its artifacts are recorded at {folder}, outside the store, and its id was not made by MLflow: "
                f"refused, since that may be any folder. If they are there, {SAY_WHERE}"
            )
        if run.experiment_id:  # else it is of a version, and files tell nothing of experiments
            root = above_experiment(folder)
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
        given = folder_of(self._roots.given) if self._roots.given else None
        is_mapped = given is not None and recorded is not None and recorded.is_relative_to(given)
        folder = below(given, run) if given is not None and not is_mapped else None
        if folder is not None and local_artifacts.is_folder(folder):
            return self._found(run, above_experiment(folder), folder)
        moved = self._roots.moved(run)
        if moved is not None:
            root = above_experiment(moved if recorded is None else recorded)
            return self._found(run, root, moved, is_sure=given is None)
        has_experiment = folder is not None and local_artifacts.is_folder(folder.parent.parent)
        if folder is None or not (recorded is None or has_experiment):
            return None
        return self._found(run, above_experiment(folder), folder, has_experiment)

    def _found(self, run: Run, root: Path, folder: Path, is_sure: bool = True) -> Path:
        """Notes where a run was looked for, and whether that surely is a right root."""
        self._sightings.look(str(root), run.run_id)
        if is_sure:
            self._sightings.find(str(root))
        return folder

    def _check_on_s3(self, run: Run, place: str) -> None:
        """Whoever made the store may have recorded any prefix that our credentials open. Raises RequestRefused."""
        is_inside = self._places.is_below_root(place)
        is_of_run = place.rstrip("/").endswith(f"/{run.run_id}/artifacts")
        if not is_of_run or not (_is_given_out(run.run_id) or is_inside):
            raise RequestRefused(f"its artifacts are recorded at {place}, which is not the folder of a run: refused")


def _no_link(folder: Path) -> Path:
    """The folder. Raises RequestRefused where it, or that of its run, is a link."""
    if folder.is_symlink() or folder.parent.is_symlink():
        raise RequestRefused(f"its artifacts folder {folder} is a link, and links are not followed")
    return folder


def _is_given_out(id: str) -> bool:
    """Whether MLflow gave the id to a run, a logged model or a trace."""
    return is_given_out(id.removeprefix("m-").removeprefix("tr-"))


def above_experiment(folder: Path) -> Path:
    """Where the experiment of a run's artifacts lies beside others. A record may have fewer folders: `/artifacts`."""
    run = folder.parent
    return run.parent.parent.parent if folder_within(folder.parts) else run.parent.parent


def experiment_of(run: Run, root: str) -> str:
    """The address on S3 that the artifact root of a run says its experiment has; "" where it says none."""
    above, _, last = root.rstrip("/").removesuffix("/artifacts").rpartition("/")
    if folder_within(steps(root)):
        above = above.rpartition("/")[0]
    return above if last == run.run_id and bucket_of(above) else ""


def root_of(experiment: str) -> str:
    """Where on S3 an experiment lies beside others."""
    return experiment.rpartition("/")[0] if urlsplit(experiment).path else experiment


def require_here(run: Run, root: str) -> None:
    """Raises RequestRefused where a run has nothing in the root that was given, but where it records its artifacts."""
    folder, recorded = folder_of(root), local_artifacts.folder_of(run.artifact_uri)
    if folder is None or recorded is None or folder.is_dir() or not recorded.is_dir():
        return
    if any(recorded.iterdir()):
        raise RequestRefused(
            f"its artifacts are at {recorded}, as recorded, and not at {folder}, where --artifacts has them: correct "
            "--artifacts, or leave it out"
        )


def require_told(run: Run, root: str) -> None:
    """Raises RequestRefused where a run tells of artifacts, and not even its experiment has a folder: as on a disk that
    is not mounted. MLflow records no list of files."""
    folder = folder_of(root)
    if folder is None or folder.is_dir() or folder.parent.parent.is_dir() or not tells_of_artifacts(run):
        return
    raise out_of_reach("folder", str(above_experiment(folder)))


def out_of_reach(holder: str, root: str) -> RequestRefused:
    """The error for a run that tells of artifacts, in a root with nothing of its experiment."""
    return RequestRefused(
        f"it has logged models or files, as its tags tell, and neither it nor its experiment has a {holder} below "
        f"{root}: {SAY_WHERE}"
    )


def tells_of_artifacts(run: Run) -> bool:
    """Whether it ever had some, and they were not left out when it was brought here."""
    mark = Provenance.of(run.tags).mark
    is_left_out = mark is not None and mark.artifacts == NOT_CARRIED
    return not is_left_out and any(run.tags.get(tag, "[]") != "[]" for tag in _TELLING)


@contextmanager
def as_refused(run: Run) -> Iterator[None]:
    """What is recorded may be no path at all, too long for one, or closed to us: that ends this run alone."""
    try:
        yield
    except (OSError, ValueError) as error:
        why = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
        raise RequestRefused(
            f"its artifacts are recorded at {run.artifact_uri}, which cannot be looked into ({why}): {SAY_WHERE}"
        ) from None
