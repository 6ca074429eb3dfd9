"""`runs restore --from` finds a purged run in whichever snapshot of the bundle has it."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.memory import MemorySource, export_into, run_with_metrics

import runsync
from runsync.errors import NothingSelected
from runsync.model.experiment import Experiment

A, B, C, CHILD = "a" * 32, "b" * 32, "c" * 32, "d" * 32


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Three nights: `a` and its child are in the first alone, `b` in two, and was changed between them."""
    a, b, c = (
        run_with_metrics(id, {}, name=id[:3], params={"night": "1"}, tags={"mlflow.runName": id[:3]})
        for id in (A, B, C)
    )
    child = run_with_metrics(CHILD, {}, name="ddd", tags={"mlflow.parentRunId": A})
    for runs in ([a, b, c, child], [replace(b, params={"night": "2"}), c], [c]):
        export_into(tmp_path / "b", MemorySource([Experiment("1", "e")], runs, {}))
    return tmp_path / "b"


@pytest.fixture
def store(bundle: Path, tmp_path: Path) -> str:
    """A file store, from which all but `c` was purged."""
    assert runsync.import_(bundle, str(tmp_path / "mlruns")).exit_code == 0
    return str(tmp_path / "mlruns")


def _runs(store: str) -> dict[str, str]:
    return {run.run_id: run.params.get("night", "") for run in runsync.list_runs(store).runs}


def test_runs_that_are_named_come_from_the_newest_snapshot_that_has_them(bundle: Path, store: str) -> None:
    assert _runs(store) == {C: "1"}
    done = runsync.restore_selected_runs(store, runs=["aaaa", "bbb", C], from_bundle=bundle)
    assert (done.exit_code, done.stopped) == (0, "")
    assert {item.id: item.is_child for item in done.of("import")} == {A: False, B: False, CHILD: True}
    assert done.imported is not None
    assert (done.imported.runs.created, set(done.imported.id_map["runs"])) == (3, {A, B, CHILD})
    assert _runs(store) == {A: "1", B: "2", C: "1", CHILD: ""}
    assert runsync.restore_selected_runs(store, runs=["aaaa", "bbb"], from_bundle=bundle).changed() == []


def test_a_selection_takes_the_runs_of_all_snapshots(bundle: Path, store: str) -> None:
    wanted = runsync.Selection(experiments=("e",))
    assert runsync.restore_selected_runs(store, wanted, children=False, from_bundle=bundle).exit_code == 0
    assert _runs(store) == {A: "1", B: "2", C: "1", CHILD: ""}


def test_a_snapshot_that_is_named_is_looked_at_alone(bundle: Path, store: str) -> None:
    with pytest.raises(NothingSelected, match="there is no run “bbb”"):
        runsync.restore_selected_runs(store, runs=["bbb"], from_bundle=f"{bundle}@latest")
    with pytest.raises(NothingSelected, match="there is no run “zzz”"):
        runsync.restore_selected_runs(store, runs=["bbb", "zzz"], from_bundle=bundle)
    assert _runs(store) == {C: "1"}
