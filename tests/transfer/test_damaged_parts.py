"""A part of a bundle that is damaged: what the others hold arrives, and it is named with what it held."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.damage import manifest_of
from support.stores import Filler, empty_sqlite, opened, run_id

import runsync
from runsync.bundle.snapshot import Snapshot, open_snapshot
from runsync.bundle.stored import StoredRun
from runsync.errors import BundleDamaged
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.model.selection import Selection


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Two snapshots: the newest has two parts of runs, the first with two runs and the second with one."""
    store, bundle = str(tmp_path / "mlruns"), tmp_path / "bundle"
    for labels in (("a", "b"), ("c",)):
        with opened(store) as workspace:
            filler = Filler(workspace)
            home = filler.experiment(Experiment("", f"of {labels[0]}"))
            for number, label in enumerate(labels):
                run = Run(run_id(label), home, label, status="FINISHED", start_time=2**40 + number, end_time=2**41)
                filler.run(run, {"loss": [(1, 1, 0.5)]})
        runsync.export(store, bundle)
    return bundle


def damage(bundle: Path, kind: str) -> str:
    """Turns a bit of the first part's file."""
    part = manifest_of(bundle)["parts"][0]
    name: str = (part["runs"] if kind == "runs" else part["metrics"][0])["path"]
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).chmod(0o644)
    (bundle / name).write_bytes(content)
    return name


def arrived(target: str) -> set[str]:
    return {run.name for run in runsync.list_runs(target).runs}


def test_runs_of_other_parts_are_imported_and_the_damaged_one_is_named(bundle: Path, tmp_path: Path) -> None:
    name, target = damage(bundle, "runs"), empty_sqlite(tmp_path / "target.db")
    for dry_run in (True, False, False):
        done = runsync.import_(bundle, target, dry_run=dry_run)
        assert (done.stopped, done.exit_code) == ("", 3)
        (failed,) = done.failed
        assert (failed["kind"], failed["id"]) == ("part of runs", name)
        assert "it holds 2 runs of this snapshot" in failed["error"]
    assert arrived(target) == {"c"}
    told = runsync.verify(str(bundle), target)
    assert (told.exit_code, [d.id for d in told.differences]) == (4, [name])
    listed = runsync.list_runs(str(bundle))
    assert ([run.name for run in listed.runs], listed.exit_code) == (["c"], 3)
    assert runsync.import_(bundle, target, selection=Selection(runs=(run_id("c"),))).runs.unchanged == 1
    with pytest.raises(BundleDamaged, match="it may have been in a part that is damaged"):
        runsync.import_(bundle, target, selection=Selection(runs=(run_id("a"),)))


def test_runs_of_other_parts_are_imported_where_a_part_of_points_is_damaged(bundle: Path, tmp_path: Path) -> None:
    damage(bundle, "metrics")
    target = empty_sqlite(tmp_path / "target.db")
    done = runsync.import_(bundle, target)
    assert (done.stopped, done.exit_code, done.runs.created) == ("", 3, 1)
    assert {(one["kind"], one["name"]) for one in done.failed} == {("run", "a"), ("run", "b")}
    assert arrived(target) == {"c"}


def test_a_name_never_means_another_run_because_a_part_is_damaged(bundle: Path) -> None:
    sound = run_id("c")
    damage(bundle, "runs")
    for text in ("a", "c", "no such", sound[:8], "name:c", "of c/c", run_id("a"), f"id:{run_id('a')}", "back\\slash"):
        with pytest.raises(BundleDamaged, match="it holds 2 runs of this snapshot"):
            runsync.show_run(str(bundle), text)
    shown = runsync.show_run(str(bundle), sound)
    assert (shown.run.name, [problem.kind for problem in shown.problems]) == ("c", ["children"])
    assert runsync.show_run(str(bundle), f"id:{sound}").run.name == "c"
    counted = runsync.show_experiment(str(bundle), "of a")
    assert (counted.exit_code, [one.kind for one in counted.unreadable]) == (3, ["part of runs"])


def test_runs_are_looked_for_a_part_at_a_time(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []
    read = Snapshot._runs_of_part

    def counted(*given: Any) -> Iterator[StoredRun]:
        gc.collect()
        alive.append(sum(isinstance(one, Run) for one in gc.get_objects()))
        return read(*given)

    for label in "def":
        with opened(str(bundle.parent / "mlruns")) as workspace:
            filler = Filler(workspace)
            filler.run(Run(run_id(label), filler.experiment(Experiment("", label)), label, start_time=2**40))
        runsync.export(str(bundle.parent / "mlruns"), bundle)
    snapshot = open_snapshot(bundle)
    monkeypatch.setattr(Snapshot, "_runs_of_part", counted)
    assert len(snapshot.experiments(Selection(since=1))) == 5
    assert len(alive) == 5
    assert alive[4] <= alive[2]


def test_damage_that_cannot_concern_the_runs_asked_for_is_only_noted(bundle: Path, tmp_path: Path) -> None:
    damage(bundle, "runs")
    target, asked = empty_sqlite(tmp_path / "target.db"), Selection(runs=(run_id("c"),))
    for dry_run in (True, False, False):
        done = runsync.import_(bundle, target, selection=asked, dry_run=dry_run)
        assert (done.exit_code, done.failed, done.runs.total) == (0, [], 1)
        (note,) = (note for note in done.notes if "damaged" in note or "hash" in note or "part" in note)
        assert note.endswith("; none of them is asked for")
    told = runsync.verify(str(bundle), target, selection=asked)
    assert (told.exit_code, told.runs) == (0, 1)
    assert [note for note in told.notes if note.endswith("none of them is asked for")]
    for perhaps in (Selection(("of c",)), Selection(since=1), Selection(filter="attributes.status = 'FINISHED'")):
        done = runsync.import_(bundle, target, selection=perhaps)
        assert (done.exit_code, done.runs.unchanged) == (3, 1)
        assert done.failed[0]["error"].endswith("; whether any of them is selected cannot be told")
        assert runsync.verify(str(bundle), target, selection=perhaps).exit_code == 4


def test_what_an_export_could_not_read_is_told_of_what_it_may_concern(tmp_path: Path) -> None:
    store, bundle = tmp_path / "mlruns", tmp_path / "b"
    with opened(str(store)) as workspace:
        filler = Filler(workspace)
        for name in ("lost", "kept"):
            home = filler.experiment(Experiment("", name))
            for label in ("one", "other"):
                filler.run(Run(run_id(name + label), home, label, status="FINISHED", start_time=2**40, end_time=2**41))
    (broken,) = store.glob(f"*/{run_id('lostone')}/meta.yaml")
    broken.write_text("status: [")
    assert runsync.export(str(store), bundle).exit_code == 3
    target = str(tmp_path / "target")
    asked = Selection(runs=(run_id("keptone"), run_id("lostother")))
    assert runsync.import_(bundle, target, selection=asked).exit_code == 0
    assert runsync.verify(str(bundle), target, selection=asked).exit_code == 0
    done = runsync.import_(bundle, target, selection=Selection(("kept",)))
    assert (done.exit_code, [left.what for left in done.left_behind]) == (3, ["run"])
    assert done.left_behind[0].why.endswith("whether they are selected cannot be told")
