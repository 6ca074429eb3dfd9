"""snippet: code that predicts with the model of a run, or of the registry."""

import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from runsync.bundle.address import Access
from runsync.contract.source import Source
from runsync.errors import NothingSelected
from runsync.model.model_file import PYTHON_FUNCTION, ModelFile, parse_model_file
from runsync.model.place import Place as WorkspacePlace
from runsync.model.printable import printable
from runsync.model.run import Run
from runsync.runs.models import MODEL_FILE, RunModel, models_of, text_of
from runsync.runs.snippet_text import Place, pandas_code, spark_code
from runsync.threads import WORKERS
from runsync.transfer.find import find_run
from runsync.transfer.model_files import find_model
from runsync.transfer.places import open_source
from runsync.transfer.registry import SCHEME

Library = Literal["pandas", "spark"]


@dataclass(frozen=True, slots=True)
class SnippetReport:
    """`schemas/v1/snippet-report.schema.json`. `models` are all that the run has, `code` is Python. `run_id` is ""
    for a model of no run."""

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
    several. In place of a run a model of the registry may be named: `models:/churn@champion`, `models:/churn/3`, or a
    logged model, `models:/m-…`. Raises NothingSelected when there is no such run or model, or it cannot predict from
    Python.
    """
    with open_source(where, "runs snippet", access=access or Access(), workers=workers) as source:
        if run.startswith(SCHEME):
            return _of_registry(source, run, library)
        chosen = find_run(source, run)
        found = models_of(source, chosen, source.artifacts(chosen))
        one = found.choose(model, chosen)
        place = _place(source.place, one.uri, partial(_get, chosen, one), chosen.run_id[:8])
        title = f"Predicts with model {one.path!r} of run {chosen.run_id}."
        code = _code(library, title, place, one.path, one.file)
        paths = tuple(each.path for each in found.models)
        return SnippetReport(source.place, chosen.run_id, library, one.path, one.uri, one.file.flavors, paths, code)


def _of_registry(source: Source, uri: str, library: Library) -> SnippetReport:
    """Of `models:/churn@champion`, `models:/churn/3` or `models:/m-…`."""
    name, found = find_model(source, uri)
    file = next((file for file in found.files.list() if file.path == MODEL_FILE), None)
    if file is None:
        raise NothingSelected(printable(f"model {name} has no {MODEL_FILE} file"))
    try:
        model = parse_model_file(text_of(file, found.files.read))
    except ValueError as error:
        raise NothingSelected(printable(f"the {MODEL_FILE} file of model {name} cannot be read: {error}")) from None
    place = _place(source.place, uri, lambda snapshot: ["models", "get", snapshot, uri], name.replace("/", "-"))
    code = _code(library, f"Predicts with model {name!r}.", place, name, model)
    run_id = found.run.run_id if found.run is not None else ""
    return SnippetReport(source.place, run_id, library, name, uri, model.flavors, (name,), code)


def _code(library: Library, title: str, place: Place, name: str, file: ModelFile) -> str:
    if PYTHON_FUNCTION not in file.flavors:
        has = ", ".join(file.flavors)
        raise NothingSelected(printable(f"model “{name}” cannot be asked from Python: its flavours are {has}"))
    try:
        return (pandas_code if library == "pandas" else spark_code)(title, place, file)
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError):
        raise NothingSelected(f"model “{printable(name)}” has a signature that is not as MLflow writes it") from None


def _get(run: Run, model: RunModel, snapshot: str) -> list[str]:
    """How the files of a run's model are fetched out of a bundle."""
    if model.logged is not None:
        return ["models", "get", snapshot, model.uri]
    return ["artifacts", "get", snapshot, run.run_id, *([model.folder] if model.folder else [])]


def _place(source: WorkspacePlace, uri: str, get: Callable[[str], list[str]], name: str) -> Place:
    """On a server by URI. Out of a bundle from files: MLflow reads no bundles."""
    if source.kind != "bundle":
        server, _, workspace = source.address.partition("?workspace=")
        return Place(uri, server, workspace)
    folder = f"model-of-{name}"
    command = ["runsync", *get(f"{source.address}@{source.details['snapshot']}"), "--into", folder]
    return Place(uri, folder=folder, command=shlex.join(command))
