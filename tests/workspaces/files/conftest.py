import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from workspaces.files.told import by_client


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(release: str) -> Path:
        if release not in made:
            made[release] = tmp_path_factory.mktemp(f"made-{release}") / "mlruns"
            by_client(release, "client_make.py", made[release])
        return made[release]

    return make


@pytest.fixture
def mlruns(_made: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of what a real client of a release has made; its artifact roots name the place where it was made."""

    def copy(release: str) -> Path:
        folder = tmp_path / f"mlruns-{release}"
        shutil.copytree(_made(release), folder)
        return folder

    return copy
