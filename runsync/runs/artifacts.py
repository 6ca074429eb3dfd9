"""list_artifacts and get_artifacts: the files of one run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from runsync import threads
from runsync.bundle.address import Access
from runsync.errors import GrownMeanwhile, NothingSelected
from runsync.growing import RunFiles, has_grown
from runsync.model.option import takes
from runsync.model.place import Place
from runsync.model.progress import Silent
from runsync.model.run import ArtifactFile
from runsync.runs.fetch import Fetch, Fetched, exit_code_of, folder_to_fill
from runsync.runs.options import GetOptions
from runsync.threads import WORKERS
from runsync.transfer.find import find_run
from runsync.transfer.places import open_source


@dataclass(slots=True)
class ArtifactsReport:
    """`schemas/v1/artifacts-list-report.schema.json`."""

    place: Place
    run_id: str
    name: str
    files: tuple[ArtifactFile, ...]
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        document = {"format": "runsync-artifacts-list-report", "version": 1, **asdict(self)}
        return document | {"files": [file.to_document() | {"fault": file.fault} for file in self.files]}


@dataclass(slots=True)
class GetReport:
    """`schemas/v1/artifacts-get-report.schema.json`. With `dry_run` what would be done."""

    place: Place
    run_id: str
    into: str
    dry_run: bool = False
    files: list[Fetched] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all is there, 3 some files failed."""
        return exit_code_of(self.files)

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-artifacts-get-report",
            "version": 1,
            **asdict(self),
            "exit_code": self.exit_code,
        }


def list_artifacts(
    where: str, run: str, path: str = "", *, workers: int = WORKERS, access: Access | None = None
) -> ArtifactsReport:
    """The files of a run (its id, the beginning of it, or its name), or those below a path, sorted.

    Raises NothingSelected when there is no such run or path.
    """
    with open_source(where, "artifacts list", access=access or Access(), workers=workers) as source:
        found = find_run(source, run)
        files = _chosen(source.artifacts(found), [path] if path else [])
        return ArtifactsReport(source.place, found.run_id, found.name, tuple(files))


@takes(GetOptions).two_of_three
def get_artifacts(where: str, run: str, paths: Sequence[str] = (), *, options: GetOptions) -> GetReport:
    """Fetches files and folders of a run (default: all) into a folder, under the paths they have in the run.

    A file that is there is kept, so that running it again finishes: with the same hash where the source knows it, as a
    bundle does, else with the same size and time; `verify` reads those again, and compares them byte by byte. A path
    that would leave the folder fails. Raises NothingSelected when there is no such run or path, WrongUsage for an
    address as the folder.
    """
    folder, workers, dry_run = folder_to_fill(options.into), options.workers, options.dry_run
    with (
        open_source(where, "artifacts get", access=options.access or Access(), workers=workers) as source,
        threads.pool(workers) as pool,
    ):
        found = find_run(source, run)
        report = GetReport(source.place, found.run_id, str(options.into), dry_run)
        files = list(_chosen(source.artifacts(found), paths))
        fetch = Fetch(RunFiles(source, found), found.run_id, found.end_time, folder, dry_run, options.verify)
        report.files = fetch.all(files, pool, options.progress or Silent())
    return report


def read_artifact(
    where: str,
    run: str,
    path: str,
    *,
    workers: int = WORKERS,
    access: Access | None = None,
    growing: Callable[[ArtifactFile], object] = lambda file: None,
) -> Iterator[bytes]:
    """The bytes of one file of a run, in pieces; `growing` is told of a file that had more than those by then. Raises
    NothingSelected, RequestRefused, BundleDamaged."""
    with open_source(where, "artifacts get", access=access or Access(), workers=workers) as source:
        found = find_run(source, run)
        file = next((file for file in source.artifacts(found) if file.path == path), None)
        if file is None:
            raise NothingSelected(f"the run has no file “{path}” (runsync artifacts list shows what it has)")
        try:
            yield from source.read_artifact(found, file)
        except GrownMeanwhile as error:
            if not has_grown(RunFiles(source, found), file):
                raise
            yield error.rest
            growing(file)


def _chosen(files: Iterable[ArtifactFile], paths: Sequence[str]) -> Iterator[ArtifactFile]:
    """The files of these paths or below them. Raises NothingSelected for a path without any."""
    wanted = dict.fromkeys(path.strip("/") for path in paths)
    missing = set(wanted)
    for file in files:
        above = {path for path in wanted if not path or file.path == path or file.path.startswith(f"{path}/")}
        missing -= above
        if above or not wanted:
            yield file
    if missing - {""}:
        raise NothingSelected(f"the run has nothing at “{min(missing)}” (runsync artifacts list shows what it has)")
