"""What is not in a selection, a snapshot, or cannot be read, is not told as deleted, and never deleted for it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from support.servers import MlflowServer
from support.stores import empty_sqlite

import runsync
from runsync.model.selection import Selection
from runsync.transfer.report import TransferReport

NONE = Selection(filter="metrics.no_such_metric > 1")
ACTIVE = Selection(state="active")
GONE = "experiments that the snapshot does not have"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The example's runs: 9 in 3 experiments."""
    root = tmp_path / "mlruns"
    shutil.copytree(ROOT / "examples" / "mlruns", root)
    return root


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "server":
        server: Callable[..., MlflowServer] = request.getfixturevalue("start_server")
        return server().wait().url
    return empty_sqlite(tmp_path / "there.db") if request.param == "sqlite" else str(tmp_path / "there")


def told(report: TransferReport) -> list[str]:
    return [left.what for left in report.not_carried if left.what.startswith("deletions of ") or left.what == GONE]


def active(where: str) -> int:
    return sum(run.lifecycle_stage == "active" for run in runsync.list_runs(where, selection=ACTIVE).runs)


@pytest.mark.parametrize(
    "target", ["server", "file store", pytest.param("sqlite", marks=pytest.mark.slow)], indirect=True
)
def test_what_is_not_in_a_narrowed_or_empty_snapshot_is_not_told_as_deleted(
    store: Path, target: str, tmp_path: Path
) -> None:
    whole, part, empty = (tmp_path / name for name in ("whole", "part", "empty"))
    runsync.export(str(store), whole)
    runsync.export(str(store), part, selection=Selection(experiments=("breast-cancer",)))
    runsync.export(str(store), empty, selection=NONE)
    assert runsync.import_(whole, target, artifacts=False).exit_code == 0
    for bundle in (part, empty):
        for dry_run in (True, False):
            done = runsync.import_(bundle, target, artifacts=False, dry_run=dry_run)
            assert (told(done), done.exit_code) == ([], 0)
    for selection in (Selection(experiments=("breast-cancer",)), NONE):
        for dry_run in (True, False):
            assert told(runsync.sync(str(store), target, artifacts=False, selection=selection, dry_run=dry_run)) == []
    assert active(target) == active(str(store))


@pytest.mark.parametrize(
    "target", ["sqlite", "file store", pytest.param("server", marks=pytest.mark.slow)], indirect=True
)
def test_an_import_never_speaks_of_deletions(store: Path, target: str, tmp_path: Path) -> None:
    runsync.export(str(store), tmp_path / "b")
    shutil.copytree(store / "485373793042573834", store / "485373793042573835")
    meta = store / "485373793042573835" / "meta.yaml"
    meta.write_text(
        meta.read_text().replace("485373793042573834", "485373793042573835").replace("name: ", "name: new ")
    )
    for run in meta.parent.glob("*/meta.yaml"):
        shutil.rmtree(run.parent)
    runsync.export(str(store), tmp_path / "later")
    runsync.import_(tmp_path / "later", target, artifacts=False)
    older = runsync.import_(tmp_path / "b", target, artifacts=False)
    assert (told(older), older.exit_code) == ([GONE], 0)
    (left,) = [one for one in older.not_carried if one.what == GONE]
    assert left.why == "left as they are: an import deletes nothing"


def test_what_cannot_be_read_is_not_taken_for_deleted(store: Path, tmp_path: Path) -> None:
    target = empty_sqlite(tmp_path / "there.db")
    runsync.sync(str(store), target)
    count = active(target)
    (broken, *_) = sorted(path for path in store.glob("*/*/meta.yaml") if "lifecycle_stage: active" in path.read_text())
    broken.write_text("run_id: [")
    for options in ({}, {"delete": True, "max_delete": "100%"}):
        done = runsync.sync(str(store), target, **options)  # type: ignore[arg-type]
        assert (done.exit_code, told(done)) == (3, [])
        assert "1 item cannot be read at the source: not taken for deleted there" in done.notes
        assert active(target) == count
    home = broken.parents[1]
    (home / "meta.yaml").write_text("[")
    for options in ({}, {"delete": True, "max_delete": "100%"}):
        done = runsync.sync(str(store), target, **options)  # type: ignore[arg-type]
        assert (done.exit_code, told(done)) == (3, [])
        assert active(target) == count


def test_what_is_gone_beside_what_cannot_be_read_is_still_deleted(store: Path, tmp_path: Path) -> None:
    target = empty_sqlite(tmp_path / "there.db")
    runsync.sync(str(store), target)
    count = active(target)
    first, second, *_ = sorted(
        path for path in store.glob("*/*/meta.yaml") if "lifecycle_stage: active" in path.read_text()
    )
    first.write_text("run_id: [")
    shutil.rmtree(second.parent)
    done = runsync.sync(str(store), target, delete=True, max_delete="1")
    assert (done.exit_code, active(target)) == (3, count - 1)
