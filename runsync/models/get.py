"""get_model: the files of a version of a registered model, or of a logged model, into a folder."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runsync import threads
from runsync.bundle.address import Access
from runsync.errors import NothingSelected
from runsync.kinds.model_versions import Home
from runsync.model.place import Place
from runsync.model.progress import Progress, Silent
from runsync.runs.fetch import Fetch, Fetched, exit_code_of, folder_to_fill
from runsync.threads import WORKERS
from runsync.transfer.model_files import find_model
from runsync.transfer.places import open_source


@dataclass(slots=True)
class ModelGetReport:
    """`schemas/v1/models-get-report.schema.json`. With `dry_run` what would be done.

    `model` is NAME/VERSION, or the id of a logged model; `home` is where its files lie. Unless its `status` is READY
    there may be fewer of them than there should.
    """

    place: Place
    model: str
    home: Home
    status: str
    into: str
    dry_run: bool = False
    files: list[Fetched] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all is there, 3 some files failed."""
        return exit_code_of(self.files)

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        head = {"format": "runsync-models-get-report", "version": 1}
        return {**head, **asdict(self), "exit_code": self.exit_code}


def get_model(
    where: str,
    model: str,
    *,
    into: str | Path = ".",
    dry_run: bool = False,
    verify: bool = False,
    workers: int = WORKERS,
    access: Access | None = None,
    progress: Progress | None = None,
) -> ModelGetReport:
    """Fetches the files of a version (NAME/VERSION, NAME@ALIAS, or NAME for the newest), or of a logged model
    (`models:/m-…`), into a folder, wherever they lie: `mlflow.pyfunc.load_model` takes that folder.

    A file that is there is kept, as `get_artifacts` has it. Raises NothingSelected when there is no such model, or what
    its files hang off is gone; WrongUsage for an address as the folder.
    """
    folder = folder_to_fill(into)
    with (
        open_source(where, "models get", access=access or Access(), workers=workers) as source,
        threads.pool(workers) as pool,
    ):
        name, found = find_model(source, model)
        report = ModelGetReport(source.place, name, found.home, found.status, str(into), dry_run)
        fetch = Fetch(found.files, found.id, found.settled_at, folder, dry_run, verify)
        files = found.files.list()
        if not files:
            raise NothingSelected(f"model {name} has no files{_where(found.home, name)}")
        report.files = fetch.all(files, pool, progress or Silent())
    return report


def _where(home: Home, name: str) -> str:
    if home.kind == "" or home.id == name:
        return ""
    below = f" below “{home.path}”" if home.path else ""
    return f": {home.kind.replace('-', ' ').removesuffix('s')} {home.id} has none{below}"
