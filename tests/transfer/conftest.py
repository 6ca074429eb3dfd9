"""What these tests have in common: a bundle, and hands on both servers of a pair."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Pair
from support.seed import Seeder


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
