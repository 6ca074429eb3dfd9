"""snippet: code that predicts with the model of a run."""

import shlex
from dataclasses import asdict, dataclass
from typing import Any, Literal

from runsync.bundle.address import Access
from runsync.errors import NothingSelected
from runsync.model.model_file import PYTHON_FUNCTION
from runsync.model.place import Place as WorkspacePlace
from runsync.model.printable import printable
from runsync.model.run import Run
from runsync.runs.models import RunModel, models_of
from runsync.runs.snippet_text import Place, pandas_code, spark_code
from runsync.threads import WORKERS
from runsync.transfer.find import find_run
from runsync.transfer.places import open_source

Library = Literal["pandas", "spark"]


@dataclass(frozen=True, slots=True)
class SnippetReport:
    """`schemas/v1/snippet-report.schema.json`. `models` are all that the run has, `code` is Python."""

    source: WorkspacePlace
    run_id: str
    library: Library
    model: str
    uri: str
    flavors: tuple[str, ...]
    models: tuple[str, ...]
    code: str
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {"format": "runsync-snippet-report", "version": 1, **asdict(self)}


def snippet(
    where: str,
    run: str,
    *,
    library: Library = "pandas",
    model: str | None = None,
    access: Access | None = None,
    workers: int = WORKERS,
) -> SnippetReport:
    """Code that loads a run's model and predicts on example data that fits the model's signature.

    `where` is a workspace or bundle, `run` an id, the beginning of one, or a name; `model` says which where the run has
    several. Raises NothingSelected when there is no such run or model, or it cannot predict from Python.
    """
    with open_source(where, "runs snippet", access=access or Access(), workers=workers) as source:
        chosen = find_run(source, run)
        found = models_of(source, chosen, source.artifacts(chosen))
        one = found.choose(model, chosen)
        if PYTHON_FUNCTION not in one.file.flavors:
            has = ", ".join(one.file.flavors)
            raise NothingSelected(printable(f"model “{one.path}” cannot be asked from Python: its flavours are {has}"))
        place = _place(source.place, where, chosen, one)
        title = f"Predicts with model {one.path!r} of run {chosen.run_id}."
        try:
            code = (pandas_code if library == "pandas" else spark_code)(title, place, one.file)
        except (TypeError, ValueError, AttributeError, KeyError, RecursionError):
            raise NothingSelected(
                f"model “{printable(one.path)}” has a signature that is not as MLflow writes it"
            ) from None
        paths = tuple(each.path for each in found.models)
        return SnippetReport(source.place, chosen.run_id, library, one.path, one.uri, one.file.flavors, paths, code)


def _place(source: WorkspacePlace, where: str, run: Run, model: RunModel) -> Place:
    """On a server by URI. Out of a bundle from files: MLflow reads no bundles."""
    if source.kind != "bundle":
        server, _, workspace = source.address.partition("?workspace=")
        return Place(model.uri, server, workspace)
    folder = f"model-of-{run.run_id[:8]}"
    snapshot = f"{source.address}@{source.details['snapshot']}"
    words = ["runsync", "artifacts", "get", snapshot, run.run_id, *([model.folder] if model.folder else [])]
    return Place(model.uri, folder=folder, command=shlex.join([*words, "--into", folder]))
