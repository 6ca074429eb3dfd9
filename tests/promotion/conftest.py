"""A workspace of three models, and places to promote them to."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import executable
from support import forks
from support.databases import Databases
from support.forks import clean_environment
from support.servers import MlflowServer
from support.stores import DEFAULT, opened

import runsync
from runsync.kinds.model_aliases import ModelAlias

HERE = Path(__file__).parent


def script(name: str, folder: Path, *arguments: str) -> Any:
    """What a script prints that MLflow's own client runs."""
    environment = clean_environment() | forks.QUIET | {"NO_PROXY": "127.0.0.1"}
    done = forks.run(executable("3"), [str(HERE / name), *arguments], environment, folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


class Trained(NamedTuple):
    """A database in which churn has versions 1 to 3, of which 3 is the candidate; `runs` made them."""

    url: str
    runs: list[str]


class Registry(NamedTuple):
    """A place to promote to. `for_mlflow` is how MLflow's client calls it."""

    url: str
    for_mlflow: str
    folder: Path

    def predicts(self, *models: str) -> dict[str, list[int]]:
        """What MLflow's client has models predict for 1 and 2."""
        found: dict[str, list[int]] = script("predict.py", self.folder, self.for_mlflow, *models)
        return found

    @property
    def versions(self) -> int:
        """How many versions of churn there are."""
        return sum(model.versions for model in runsync.list_models(self.url).models if model.model.name == "churn")


@pytest.fixture(scope="session")
def trained(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Read by all tests."""
    database, folder = databases.fresh("sqlite"), tmp_path_factory.mktemp("trained")
    made = script("make_candidates.py", folder, database.for_mlflow, str(folder))
    return Trained(database.url, made["runs"])


@pytest.fixture(scope="session")
def carried(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of all three models."""
    bundle = tmp_path_factory.mktemp("carried") / "bundle"
    assert runsync.export(trained.url, bundle).exit_code == 0
    return bundle


@pytest.fixture
def prod(databases: Databases, tmp_path: Path) -> Registry:
    """An empty database, with artifacts in a folder."""
    return empty_registry(databases, "sqlite", tmp_path)


def empty_registry(databases: Databases, kind: str, folder: Path) -> Registry:
    """One of a kind."""
    database = databases.fresh(kind)
    with opened(database.url) as workspace:
        root = f"file://{folder}/artifacts/{{experiment_id}}"
        workspace.store.create_experiment(replace(DEFAULT, artifact_location=root))
    return Registry(database.url, database.for_mlflow, folder)


def set_alias(registry: Registry, alias: str, version: int) -> None:
    """As somebody does by hand."""
    with opened(registry.url) as workspace:
        models = workspace.store.models
        assert models is not None
        models.write_model_aliases([ModelAlias("churn", alias, version)])


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A server that all tests share: each takes a name of its own."""
    with MlflowServer(executable("3"), folder=tmp_path_factory.mktemp("served"), gunicorn=True) as server:
        yield Registry(server.url, server.url, server.folder)


Promote = Callable[..., runsync.PromotionReport]


@pytest.fixture
def promote(carried: Path, prod: Registry) -> Promote:
    """Promotes a model of the bundle into the database."""

    def act(model: str, **options: Any) -> runsync.PromotionReport:
        return runsync.promote(str(carried), prod.url, model=model, **options)

    return act
