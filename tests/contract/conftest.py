"""The places that must all pass the suite of `runsync.testing`."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Fleet
from support.databases import Databases

from contract import clouds
from runsync.bundle.bundle import create_bundle
from runsync.bundle.snapshot import open_snapshot
from runsync.bundle.writer import SnapshotWriter
from runsync.contract.source import Source
from runsync.contract.target import Target
from runsync.contract.workspace import Workspace
from runsync.errors import BundleNotFound
from runsync.kinds.evaluation_datasets import EVALUATION_DATASETS
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.notebooks import NOTEBOOKS
from runsync.kinds.permissions import PERMISSIONS
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.kinds.registries import OF_PROMPTS
from runsync.kinds.traces import TRACES
from runsync.model.import_options import ImportOptions
from runsync.testing import Subject
from runsync.testing.memory import MemorySource
from runsync.transfer.places import open_workspace
from runsync.workspaces import registry

VERSIONS = frozenset({REGISTERED_MODELS.name, MODEL_VERSIONS.name})
MLFLOW_2 = VERSIONS | {MODEL_ALIASES.name} | {kind.name for kind in OF_PROMPTS.kinds}
FILE_STORE = MLFLOW_2 | {LOGGED_MODELS.name, TRACES.name}
MLFLOW_3 = FILE_STORE | {EVALUATION_DATASETS.name}
LINKS = frozenset({"linked run of trace", "linked prompt of trace", "linked_runs", "linked_prompts"})
"""What file stores keep nothing of."""
OF_MLFLOW_3 = frozenset(
    ("field of trace", "client_request_id", "request_preview", "response_preview", "assessment of trace", "assessments")
)
"""What of traces databases of MLflow 2 have no room for."""
OF_DATABRICKS = frozenset({NOTEBOOKS.name, PERMISSIONS.name})
HOME = "/Users/ana@example.com/contract"
CLOUDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "databricks": (OF_DATABRICKS | VERSIONS | {LOGGED_MODELS.name}, frozenset()),
    "sagemaker": (MLFLOW_3, frozenset()),
    "azureml": (VERSIONS, frozenset({"rename_experiment", "untag_experiment"})),
}
ASKED: dict[str, dict[str, Any]] = {
    "bundle": {NOTEBOOKS.name: ("SOURCE",)},
    "databricks": {PERMISSIONS.name: True, "notebook_folder": f"{HOME}/imported"},
    "sagemaker": {},
    "azureml": {},
}
"""Options of kinds."""
Make = Callable[[pytest.FixtureRequest, Path, str], AbstractContextManager[Subject]]


@contextmanager
def _server(request: pytest.FixtureRequest, folder: Path, name: str) -> Iterator[Subject]:
    fleet: Fleet = request.getfixturevalue("fleet")
    mark = f"-{uuid.uuid4().hex[:8]}-"
    kinds = MLFLOW_3 if name.startswith("mlflow3") else MLFLOW_2
    url = fleet.get(name).url
    refused = frozenset() if name.startswith("mlflow3") else frozenset({"untag_experiment"})
    yield Subject.of_workspace(
        lambda role: open_workspace(url, role=role), prefix=f"contract{mark}", kinds=kinds, refused=refused
    )
    fleet.purge(mark)


@contextmanager
def _database(request: pytest.FixtureRequest, folder: Path, name: str) -> Iterator[Subject]:
    databases: Databases = request.getfixturevalue("databases")
    kind, _, release = name.partition("-")
    url, artifacts = databases.fresh(kind, release or "3").url, folder / "artifacts"
    kinds, refused = (MLFLOW_2 | {TRACES.name}, LINKS | OF_MLFLOW_3) if release == "2" else (MLFLOW_3, frozenset())
    yield Subject.of_workspace(partial(_opened, url, str(artifacts)), kinds=kinds, refused=refused)


@contextmanager
def _files(request: pytest.FixtureRequest, folder: Path, name: str) -> Iterator[Subject]:
    yield Subject.of_workspace(partial(_opened, str(folder / "mlruns"), ""), kinds=FILE_STORE, refused=LINKS)


def _opened(where: str, artifacts: str, role: Any) -> Workspace:
    return open_workspace(where, artifacts=artifacts, role=role)


@contextmanager
def _cloud(request: pytest.FixtureRequest, folder: Path, name: str) -> Iterator[Subject]:
    fleet: Fleet = request.getfixturevalue("fleet")
    mark = f"-{uuid.uuid4().hex[:8]}-"
    kinds, refused = CLOUDS[name]
    prefix = f"{HOME if name == 'databricks' else 'contract'}{mark}"
    reached = {
        "databricks": lambda: clouds.databricks(folder),
        "sagemaker": lambda: clouds.sagemaker(fleet, folder),
        "azureml": lambda: clouds.azureml(fleet),
    }
    with reached[name]() as (address, environment), within(environment):
        yield Subject.of_workspace(
            lambda role: open_workspace(address, role=role),
            prefix=prefix,
            kinds=kinds,
            refused=refused,
            asked=ASKED[name],
        )
    fleet.purge(mark)


@contextmanager
def _bucket(request: pytest.FixtureRequest, folder: Path, name: str) -> Iterator[Subject]:
    with clouds.bucket(request.getfixturevalue("s3_server")) as (address, environment), within(environment):
        yield _subject_of_bundle(address)


ENVIRONMENT: dict[str, str] = {}
"""What the place that is tested needs."""


@contextmanager
def within(environment: Mapping[str, str]) -> Iterator[None]:
    """An environment for fixtures of a class; each test gets it again, once it is cleaned."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
            patch.setitem(ENVIRONMENT, name, value)
        yield


@pytest.fixture(autouse=True)
def _environment(_clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@contextmanager
def _bundle(request: pytest.FixtureRequest, folder: Path, name: str) -> Iterator[Subject]:
    yield _subject_of_bundle(str(folder / "bundle"))


def _subject_of_bundle(where: str) -> Subject:
    @contextmanager
    def source() -> Iterator[Source]:
        try:
            yield open_snapshot(where)
        except BundleNotFound:
            yield MemorySource([], [])

    @contextmanager
    def target(options: ImportOptions) -> Iterator[Target]:
        with closing(SnapshotWriter(create_bundle(where), asked=options.asked)) as writer:
            yield writer

    return Subject(source, target, kinds=MLFLOW_3 | OF_DATABRICKS, asked=ASKED["bundle"])


MAKE: dict[str, Make] = {
    "mlflow3_a": _server,
    "mlflow2_a": _server,
    "sqlite": _database,
    "sqlite-2": _database,
    "postgres": _database,
    "mysql": _database,
    "files": _files,
    "bundle": _bundle,
    "bundle-S3": _bucket,
    "databricks": _cloud,
    "sagemaker": _cloud,
    "azureml": _cloud,
}
QUICK = ("mlflow3_a", "mlflow2_a", "sqlite", "files", "bundle")
ALL = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in MAKE]
WITHOUT_BUNDLES = [place for place in ALL if "bundle" not in str(place.values[0])]


@pytest.fixture(scope="class")
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """An empty place of each backend."""
    with MAKE[request.param](request, tmp_path_factory.mktemp("subject"), request.param) as made:
        yield made


@pytest.fixture(scope="session")
def installed_toy() -> Iterator[Path]:
    """A backend of another package, as if it were installed: Python finds its entry point."""
    folder = ROOT / "tests" / "toy"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        registry._others.cache_clear()
        yield folder
    registry._others.cache_clear()
