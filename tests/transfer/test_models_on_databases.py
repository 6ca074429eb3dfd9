"""Models in databases: ids, numbers, times, aliases and files are the same wherever they are brought, as MLflow's own
client tells them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Runner, executable
from support import forks
from support.databases import Databases, Fresh
from support.forks import clean_environment

from transfer.commands import export, import_, verify

SCRIPT = Path(__file__).parents[1] / "support" / "mlflow_models.py"
TARGETS = pytest.mark.parametrize("kind", ["sqlite", "postgres", pytest.param("mysql", marks=pytest.mark.slow)])
ALL = ("logged-models", "registered-models", "model-versions", "model-aliases")
PROMPTS = ("--accept", "prompts")


class Filled(NamedTuple):
    """A database that MLflow's client filled, with the ids of what it made, and all that the client tells of it."""

    url: str
    ids: dict[str, str]
    told: dict[str, Any]


def client(*arguments: str, folder: Path = SCRIPT.parent) -> Any:
    """What the script answers: see `mlflow_models`."""
    environment = clean_environment() | forks.QUIET
    done = forks.run(executable("3"), [str(SCRIPT), *arguments], environment, folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def filled(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Read by all tests."""
    database = databases.fresh("sqlite")
    ids = client("fill", database.for_mlflow, str(tmp_path_factory.mktemp("models")))
    return Filled(database.url, ids, client("read", database.for_mlflow))


@pytest.fixture
def target(kind: str, databases: Databases) -> Fresh:
    return databases.fresh(kind)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[object, ...]]:
    """Where artifacts of a target go."""
    (tmp_path / "artifacts").mkdir()
    return ("--artifacts", tmp_path / "artifacts")


def counts(told: dict[str, Any], what: str) -> dict[str, int]:
    """How many models of each kind were created, updated, …"""
    return {kind: told[kind][what] for kind in ALL if kind in told}


@TARGETS
def test_models_go_through_a_bundle_into_a_database_and_are_the_same_there(
    filled: Filled, target: Fresh, place: tuple[object, ...], runsync: Runner, bundle: Path
) -> None:
    export(runsync, filled.url, bundle, *PROMPTS)
    assert verify(runsync, bundle, filled.url, *PROMPTS)["differences"] == []
    import_(runsync, bundle, target.url, *place, *PROMPTS)
    assert client("read", target.for_mlflow) == filled.told
    assert verify(runsync, bundle, target.url, *place, *PROMPTS)["differences"] == []
    before = contents(target)
    again = import_(runsync, bundle, target.url, *place, *PROMPTS)
    print(json.dumps(again)[:2000])
    assert contents(target) == before
    assert client("next", target.for_mlflow, "churn") == 9
    assert client("next", target.for_mlflow, "empty") == 1


def contents(database: Fresh) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the tables of models."""
    tables = ("logged_models", "logged_model_params", "logged_model_tags", "logged_model_metrics", "registered_models")
    tables += ("registered_model_tags", "registered_model_aliases", "model_versions", "model_version_tags", "inputs")
    return {name: sorted(database.execute(f"SELECT * FROM {name}"), key=repr) for name in tables}
