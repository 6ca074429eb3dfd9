"""diff tells what became of each run between two snapshots, or a snapshot and a workspace."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Pair, Runner
from support.memory import export_into
from support.memory_models import source_with_models
from support.seed import Seeder, points
from support.stores import Filler, opened
from support.stores import run_id as id_of

import runsync
from runsync.bundle import schemas
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.testing.memory import START, MemorySource, run_with_metrics, small_source
from runsync.workspaces.direct.store import Change
from transfer.commands import NEWEST, export, import_, report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bundle"


def two_snapshots(folder: Path, later: MemorySource) -> tuple[str, str]:
    first = export_into(folder, small_source()).snapshot
    return f"{folder}@{first}", f"{folder}@{export_into(folder, later).snapshot}"


def replaced(source: MemorySource, run_id: str, **values: Any) -> MemorySource:
    source.runs = [dataclasses.replace(r, **values) if r.run_id == run_id else r for r in source.runs]
    return source


def test_nothing_has_changed_between_two_snapshots_of_the_same(folder: Path) -> None:
    found = runsync.diff(*two_snapshots(folder, small_source()))
    assert (found.changes, found.exit_code) == ([], 0)


def test_a_run_that_came_and_one_that_went_are_told_with_their_experiment(folder: Path) -> None:
    later = small_source()
    later.runs = [r for r in later.runs if r.run_id != "second"] + [run_with_metrics("fourth", {})]
    found = runsync.diff(*two_snapshots(folder, later))
    assert [(c.change, c.kind, c.id, c.experiment) for c in found.changes] == [
        ("added", "run", "fourth", "kept"),
        ("removed", "run", "second", "kept"),
    ]
    assert (found.runs.added, found.runs.removed, found.runs.changed) == (1, 1, 0)


def test_every_field_that_changed_is_told_with_both_values(folder: Path) -> None:
    later = replaced(
        small_source(), "first", status="FAILED", params={"lr": "0.2"}, tags={"mlflow.user": "ada", "x": "1"}
    )
    later.points = {**later.points, "first": {"loss": [(0, START, 1.5), (2, START + 9, 0.5), (3, START + 10, 0.25)]}}
    later.files["first"] = {"model/weights.bin": b"other", "new.txt": b"n"}
    (change,) = runsync.diff(*two_snapshots(folder, later)).changes
    fields = {f.field: (f.old, f.new) for f in change.fields}
    assert fields["status"] == ("FINISHED", "FAILED")
    assert fields["params.lr"] == ("0.1", "0.2")
    assert fields["params.ü"] == ("", "")
    assert fields["tags.note"] == ("a\nb", "")
    assert fields["tags.x"] == ("", "1")
    assert fields["metrics.loss"] == ("", "1 point gone, 2 points more")
    assert fields["metrics.acc"] == ("", "1 point gone")
    assert fields["artifacts.model/weights.bin"][1].startswith("5 bytes")
    assert fields["artifacts.new.txt"][0] == ""
    assert fields["artifacts.empty"][1] == ""


@pytest.mark.parametrize(
    ("selection", "named"),
    [
        ({}, ["net", "churn/1", "other/1", "churn@champion", "other@new"]),
        ({"runs": ("third",)}, ["other/1", "other@new"]),
        ({"runs": ("second",)}, []),
        ({"models": ("churn",)}, ["net", "churn/1", "churn@champion"]),
        ({"kinds": ("model-aliases",)}, ["churn@champion", "other@new"]),
        ({"kinds": ("runs",)}, []),
    ],
)
def test_of_models_only_what_is_selected_is_compared(folder: Path, selection: dict[str, Any], named: list[str]) -> None:
    first = export_into(folder, source_with_models(auc=0.5)).snapshot
    later = source_with_models(auc=0.75)
    versions, aliases = later.models[MODEL_VERSIONS.name], later.models[MODEL_ALIASES.name]
    versions.items = [dataclasses.replace(v, description="new") if v.version == 1 else v for v in versions.items]
    aliases.items = [ModelAlias("churn", "champion", 1), ModelAlias("other", "new", 1)]
    second = export_into(folder, later).snapshot
    found = runsync.diff(f"{folder}@{first}", f"{folder}@{second}", selection=runsync.Selection(**selection))
    assert [change.name for change in found.changes] == named


def test_an_experiment_that_was_renamed_keeps_its_runs(folder: Path) -> None:
    later = small_source()
    later.all_experiments[0] = dataclasses.replace(later.all_experiments[0], name="called otherwise")
    found = runsync.diff(*two_snapshots(folder, later))
    (change,) = found.changes
    assert (change.kind, change.change, change.fields[0].field) == ("experiment", "changed", "name")


def test_a_deleted_run_and_a_restored_one_are_changes(folder: Path) -> None:
    later = replaced(small_source(), "first", lifecycle_stage="deleted")
    later = replaced(later, "second", lifecycle_stage="active")
    found = runsync.diff(*two_snapshots(folder, later))
    told = {c.id: [(f.field, f.old, f.new) for f in c.fields] for c in found.changes}
    assert told == {
        "first": [("lifecycle_stage", "active", "deleted")],
        "second": [("lifecycle_stage", "deleted", "active")],
    }


def test_snapshots_of_two_bundles_are_compared_too(tmp_path: Path) -> None:
    export_into(tmp_path / "one", small_source())
    export_into(tmp_path / "other", replaced(small_source(), "first", name="renamed"))
    found = runsync.diff(str(tmp_path / "one"), str(tmp_path / "other"))
    assert [(c.id, [f.field for f in c.fields]) for c in found.changes] == [("first", ["name"])]


def test_the_command_prints_the_changes_and_exits_4_only_when_asked_to(folder: Path, runsync: Runner) -> None:
    old, new = two_snapshots(folder, replaced(small_source(), "first", status="FAILED"))
    done = runsync("diff", old, new)
    assert (done.returncode, done.stderr) == (0, "")
    assert "~ run first “first” in kept\n    status: FINISHED → FAILED\n" in done.stdout
    assert runsync("diff", old, new, "--exit-code").returncode == 4
    assert runsync("diff", new, new, "--exit-code").returncode == 0
    assert "No difference was found." in runsync("diff", new, new).stdout
    document = json.loads(runsync("diff", old, new, "--json").stdout)
    schemas.check("diff-report", document, "stdout")
    assert document["runs"] == {"added": 0, "changed": 1, "removed": 0}


@NEWEST
def test_a_snapshot_is_compared_with_the_workspace_it_came_from_and_with_a_copy(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    home = seeder.create_experiment(prefix + "home")
    kept, grown = (seeder.create_run(home, name) for name in ("kept", "grown"))
    for run_id in (kept, grown):
        points(seeder, run_id, "loss", 3)
        seeder.put_artifact(run_id, "file.txt", b"bytes\n")
        seeder.finish(run_id)
    export(runsync, pair.source.url, bundle, prefix + "*")
    import_(runsync, bundle, pair.target.url)
    selected = ("--experiment", prefix + "*", "--json")
    for place in (pair.source.url, pair.target.url):
        assert report(runsync("diff", bundle, place, *selected))["changes"] == []
    points(seeder, grown, "loss", 5)
    seeder.put_artifact(grown, "more.txt", b"more\n")
    for before in (bundle, pair.target.url):
        found = report(runsync("diff", before, pair.source.url, *selected))
        (change,) = found["changes"]
        assert {f["field"] for f in change["fields"]} >= {"metrics.loss", "artifacts.more.txt"}


def test_what_a_side_cannot_read_is_named_and_is_no_change(tmp_path: Path, runsync: Runner) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with opened(str(one)) as workspace:
        filler = Filler(workspace)
        for name in ("home", "lost"):
            home = filler.experiment(Experiment("", name))
            for label in ("sound", "broken"):
                run = Run(id_of(name + label), home, label, status="FINISHED", start_time=START, params={"lr": "1"})
                filler.run(run, {"loss": [(START, 1, 0.5)]}, {"a.txt": b"a"})
    shutil.copytree(one, other)
    same = runsync("diff", one, other)
    assert (same.returncode, same.stdout.splitlines()[-1]) == (0, "No difference was found.")
    (meta,) = other.glob(f"*/{id_of('homebroken')}/meta.yaml")
    meta.write_text("status: [")
    (meta.parent.parent / id_of("homesound") / "params" / "lr").write_bytes(b"\xff")
    (lost,) = other.glob(f"*/{id_of('lostsound')}")
    (lost.parent / "meta.yaml").write_text("name: [")
    for sides in ((one, other), (other, one)):
        told = report(runsync("diff", *sides, "--json"), 3)
        schemas.check("diff-report", told, "diff")
        assert told["changes"] == [], "what cannot be read is neither gone nor new"
        assert {(u["side"], u["kind"]) for u in told["unreadable"]} == {
            ("new" if sides[1] == other else "old", kind) for kind in ("run", "param of run", "experiment")
        }
        shown = runsync("diff", *sides, "--exit-code")
        assert shown.returncode == 3
        assert shown.stdout.splitlines()[-1] == (
            "No difference was found in what could be read. 3 items could not be compared: see above."
        )
    with opened(str(other)) as workspace:
        workspace.store.change_runs([Change(id_of("homesound"), tags={"team": "x"})])
    shown = runsync("diff", one, other, "--exit-code")
    assert (shown.returncode, shown.stdout.splitlines()[-1]) == (4, "3 items could not be compared: see above.")


def test_files_that_a_bundle_lacks_are_named_and_are_no_change(tmp_path: Path) -> None:
    store, bundle = tmp_path / "mlruns", tmp_path / "b"
    with opened(str(store)) as workspace:
        filler = Filler(workspace)
        home = filler.experiment(Experiment("", "home"))
        for label in ("one", "two"):
            filler.run(Run(id_of(label), home, label, start_time=START), {}, {"a.txt": b"a", "b.txt": b"b"})
    (file,) = store.glob(f"*/{id_of('one')}/artifacts/a.txt")
    file.unlink()
    file.symlink_to("/etc/hostname")
    first = runsync.export(str(store), bundle).snapshot
    file.unlink()
    file.write_bytes(b"a")
    found = runsync.diff(f"{bundle}@{first}", str(store))
    assert (found.changes, found.exit_code) == ([], 3)
    assert [(u.side, u.kind, u.id, u.place) for u in found.unreadable] == [
        ("old", "artifact of run", id_of("one"), "a.txt")
    ]
    assert (
        runsync.diff(f"{bundle}@{first}", str(store), selection=runsync.Selection(runs=(id_of("two"),))).exit_code == 0
    )
