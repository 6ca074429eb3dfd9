"""Where the artifacts of a store are said to be: a slip is no silent loss."""

import sqlite3
from pathlib import Path

import pytest
from conftest import ROOT

import runsync
from runsync.bundle.address import Access
from runsync.errors import WrongUsage

STORE = ROOT / "examples" / "mlruns"


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The example's runs in a database, whose artifacts lie in a folder `art` that only `--artifacts` tells."""
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as made:
        made.executescript((ROOT / "examples/demo/empty-mlflow-3.17.sql").read_text(encoding="utf-8"))
    made.close()
    url = f"sqlite:///{file}"
    done = runsync.sync(str(STORE), url, access=Access(artifacts=str(tmp_path / "art")))
    assert (done.exit_code, done.artifacts) == (0, 15)
    return url


def test_a_folder_that_is_not_there_is_refused(database: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match=r"there is no folder .*nowhere"):
        runsync.export(database, tmp_path / "bundle", access=Access(artifacts=str(tmp_path / "nowhere")))


def test_a_folder_that_is_not_their_root_is_told(database: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    wrong = runsync.export(database, tmp_path / "bundle", access=Access(artifacts=str(tmp_path / "other")))
    assert [note for note in wrong.notes if "that is not their root" in note]
    right = runsync.export(database, tmp_path / "right", access=Access(artifacts=str(tmp_path / "art")))
    assert (right.artifacts, right.notes) == (15, [])


def test_each_side_of_a_comparison_has_a_root_of_its_own(database: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    given = Access(artifacts=str(tmp_path / "other"))
    lost = runsync.verify(database, database, source_artifacts=str(tmp_path / "art"), access=given)
    assert (lost.artifacts, lost.exit_code) == (15, 4)
    found = runsync.verify(
        database, database, source_artifacts=str(tmp_path / "art"), access=Access(artifacts=str(tmp_path / "art"))
    )
    assert (found.artifacts, found.exit_code) == (15, 0)


def test_what_a_file_store_holds_twice_comes_twice_through_a_bundle(tmp_path: Path) -> None:
    runsync.export(str(STORE), tmp_path / "bundle")
    done = runsync.import_(tmp_path / "bundle", str(tmp_path / "again"))
    assert (done.exit_code, done.metric_points, done.notes) == (0, 998, [])
    assert runsync.import_(tmp_path / "bundle", str(tmp_path / "again")).runs.unchanged == 9
    (file,) = STORE.glob("*/0aba8daddd544914a4afeee76cbb0474/metrics/train/loss")
    (copy,) = (tmp_path / "again").glob("*/0aba8daddd544914a4afeee76cbb0474/metrics/train/loss")
    assert sorted(copy.read_text().splitlines()) == sorted(file.read_text().splitlines())


def test_a_dry_run_into_a_store_that_is_not_there_makes_none(tmp_path: Path) -> None:
    runsync.export(str(STORE), tmp_path / "bundle")
    planned = runsync.import_(tmp_path / "bundle", str(tmp_path / "again"), dry_run=True)
    assert (planned.exit_code, planned.runs.created) == (0, 9)
    assert not (tmp_path / "again").exists()
