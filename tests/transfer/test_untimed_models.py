"""Logged models that tell no time, as a folder that somebody wrote may have them: MLflow takes none without."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.memory import export_into
from support.memory_models import FILES, source_with_models
from support.stores import empty_sqlite, run_id

import runsync

MODEL_ID = f"m-{run_id('model')}"
PLACES: dict[str, Callable[[Path], str]] = {
    "files": lambda folder: str(folder / "mlruns"),
    "sqlite": lambda folder: empty_sqlite(folder / "target.db"),
}


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    export_into(tmp_path / "bundle", source_with_models(MODEL_ID, auc=0.5))
    return str(tmp_path / "bundle")


@pytest.mark.parametrize("kind", PLACES)
def test_a_logged_model_without_times_arrives_once(bundle: str, tmp_path: Path, kind: str) -> None:
    where = PLACES[kind](tmp_path)
    report = runsync.import_(bundle, where)
    assert (report.exit_code, report.objects["logged-models"].created) == (0, 2)
    assert runsync.verify(bundle, where, verify_artifacts=True).differences == []
    again = runsync.import_(bundle, where)
    assert (again.exit_code, again.objects["logged-models"].unchanged) == (0, 2)
    assert runsync.get_model(where, "churn/1", into=tmp_path / "out").exit_code == 0
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == FILES


def test_why_a_model_was_not_promoted_is_told(bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runsync.errors import RequestRefused
    from runsync.workspaces.sql import models

    def refuse(*_: object) -> None:
        raise RequestRefused("the disk is on fire")

    monkeypatch.setattr(models, "write_logged_models", refuse)
    with pytest.raises(RequestRefused, match=r"are not those of churn/1 .*logged model “net”: .*the disk is on fire"):
        runsync.promote(bundle, PLACES["sqlite"](tmp_path), model="churn/1")
