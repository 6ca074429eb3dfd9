"""show_model: what is known of a registered model, or of one version of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from runsync.bundle.address import Access
from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, NothingSelected
from runsync.kinds.logged_models import LoggedModel
from runsync.kinds.model_versions import Home, ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.model.place import Place
from runsync.model.run import ArtifactFile, Problem, Run
from runsync.model.selection import Selection
from runsync.threads import WORKERS
from runsync.transfer.model_files import files_of_version
from runsync.transfer.places import open_source
from runsync.transfer.registry import Registry, parted, registry_of

PARTLY_DONE = 3


@dataclass(slots=True)
class ModelReport:
    """`schemas/v1/model-report.schema.json`.

    `versions` are all, or the one that was asked for. Only of that one `home` says where its files are, through other
    versions, and `run` (that it was made of), `logged` and `files` are known. `problems` tell what could not be read:
    then `exit_code` is 3.
    """

    place: Place
    model: RegisteredModel
    aliases: Mapping[str, int]
    versions: list[ModelVersion]
    is_of_version: bool = False
    home: Home | None = None
    run: Run | None = None
    logged: LoggedModel | None = None
    files: tuple[ArtifactFile, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """0 all was read, 3 something was not."""
        return PARTLY_DONE if self.problems else 0

    def aliases_of(self, version: ModelVersion) -> list[str]:
        """Those that name a version."""
        return [alias for alias, number in self.aliases.items() if number == version.version]

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        run, logged = self.run, self.logged
        told = {"run_id": run.run_id, "name": run.name, "status": run.status} if run is not None else None
        model = {"model_id": logged.model_id, "name": logged.name} if logged is not None else None
        home = asdict(self.home) if self.home is not None else None
        files = [file.to_document() | {"fault": file.fault} for file in self.files]
        return {
            "format": "runsync-model-report",
            "version": 1,
            "place": asdict(self.place),
            "model": self.model.to_document(),
            "aliases": dict(self.aliases),
            "versions": [_document(version) for version in self.versions],
            "of_version": {"home": home, "run": told, "logged_model": model, "files": files}
            if self.is_of_version
            else None,
            "problems": [asdict(problem) for problem in self.problems],
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


def _document(version: ModelVersion) -> dict[str, Any]:
    """Its files are listed apart, wherever they lie."""
    document = version.to_document()
    return {name: value for name, value in document.items() if name not in ("artifacts", "problems")}


def show_model(where: str, model: str, *, workers: int = WORKERS, access: Access | None = None) -> ModelReport:
    """Looks up a registered model (NAME), or one version of it (NAME/VERSION, NAME@ALIAS) with its files.

    Raises NothingSelected when there is none, WrongUsage for a place of which they are not read.
    """
    with open_source(where, "models show", access=access or Access(), workers=workers) as source:
        registry = registry_of(source)
        name, alias, number = parted(model)
        known = registry.model(name)
        versions = registry.versions.get(name, [])
        is_of_version = bool(alias or number)
        chosen = registry.meant(model) if is_of_version else versions
        report = ModelReport(source.place, known, registry.aliases.get(name, {}), chosen, is_of_version)
        if is_of_version:
            _look(report, source, registry, chosen[0])
        report.requests = source.requests
    return report


def _look(report: ModelReport, source: Source, registry: Registry, version: ModelVersion) -> None:
    """What may fail by itself."""
    report.home = version.home
    try:
        if version.run_id:
            found = source.batch([version.run_id], source.experiments(Selection())).runs
            report.run = found[0] if found else None
        where = files_of_version(source, registry, version)
        report.home, report.logged = where.home, where.logged
        report.files = where.files.list()
        report.problems += [Problem("artifact", file.path, file.fault) for file in report.files if file.fault]
    except (*ITEM_ERRORS, NothingSelected) as error:
        report.problems.append(Problem("files", version.name, str(error)))
