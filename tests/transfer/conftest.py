"""What these tests have in common: a bundle, and hands on both servers of a pair."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Pair
from support.databases import Databases
from support.seed import Seeder
from support.stores import DEFAULT, empty_sqlite, opened

Make = Callable[[str], str]
"""Makes an empty store of a kind; gives its address."""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tmp_path / "bundle"


@pytest.fixture
def seeder(pair: Pair) -> Iterator[Seeder]:
    """Writes to the source."""
    with Seeder(pair.source.url) as seeder:
        yield seeder


@pytest.fixture
def receiver(pair: Pair) -> Iterator[Seeder]:
    """Writes to the target, as its users do."""
    with Seeder(pair.target.url) as seeder:
        yield seeder


@pytest.fixture
def make(tmp_path: Path, databases: Databases) -> Make:
    numbers = iter(range(100))

    def made(kind: str) -> str:
        place = tmp_path / f"store-{next(numbers)}"
        if kind in ("postgres", "mysql"):
            url = databases.fresh(kind).url
            with opened(url) as workspace:  # as of a server that was started with an artifact root of its own
                root = f"file://{place}/" + "{experiment_id}"
                workspace.store.create_experiment(replace(DEFAULT, artifact_location=root))
            return url
        return empty_sqlite(place / "mlflow.db") if kind == "sqlite" else str(place)

    return made
