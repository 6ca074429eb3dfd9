"""`runs restore --from` finds a purged run in whichever snapshot of the bundle has it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from conftest import Runner
from support.changes import valid
from support.damage import documents_in, flip
from support.memory import export_into
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from runsync.errors import BundleDamaged, NothingSelected, TooManyChanges
from runsync.kinds.left_behind import MODEL_LINKS, changed
from runsync.kinds.traces import TRACES
from runsync.model.experiment import DELETED, Experiment
from runsync.model.identity import ORIGIN
from runsync.model.place import Place
from runsync.model.progress import Silent
from runsync.runs.change import ChangeReport, How
from runsync.runs.several_snapshots import joined
from runsync.testing.memory import MemorySource, run_with_metrics
from runsync.transfer.report import Tally, TransferReport

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


@pytest.fixture
def manifests(bundle: Path) -> list[dict[str, Any]]:
    """Of the bundle's snapshots, oldest first."""
    found = (json.loads(file.read_bytes()) for file in bundle.glob("snapshots/*.json"))
    return sorted(found, key=lambda manifest: manifest["id"])


def damaged(bundle: Path, manifest: dict[str, Any], run_id: str) -> str:
    """Turns a bit of the part that has a run in a snapshot."""
    for part in reversed(manifest["parts"]):
        file = bundle / part["runs"]["path"]
        if any(document["run_id"] == run_id for document in documents_in(file)):
            file.chmod(0o644)
            flip(file, file.stat().st_size // 2)
            return str(part["runs"]["path"])
    raise AssertionError(run_id)


def test_no_older_version_is_taken_where_a_part_of_a_newer_snapshot_is_damaged(
    bundle: Path, store: str, manifests: list[dict[str, Any]]
) -> None:
    part = damaged(bundle, manifests[1], B)
    done = valid(runsync.restore_selected_runs(store, runsync.Selection(experiments=("e",)), from_bundle=bundle))
    assert (done.exit_code, done.stopped, done.of("import")) == (3, "", [])
    errors = {item.id: item.error for item in done.of("failed")}
    assert set(errors) == {part, A, B, CHILD}
    older = f"{bundle}@{manifests[0]['id']}"
    told = f"may hold a newer version: mend that (runsync check --repair), or take the older one (--from {older})"
    assert told in errors[B]
    for text in (B, "bbb", "bbbb"):
        with pytest.raises(BundleDamaged, match="it holds 1 run of this snapshot"):
            runsync.restore_selected_runs(store, runs=[text], from_bundle=bundle)
    assert runsync.restore_selected_runs(store, runs=[B], from_bundle=older).exit_code == 0
    assert _runs(store) == {B: "1", C: "1"}


def test_what_is_sound_comes_back_and_a_part_that_is_damaged_is_told(
    bundle: Path, store: str, manifests: list[dict[str, Any]]
) -> None:
    newest = f"{bundle}@{manifests[1]['id']}"
    part = damaged(bundle, manifests[1], C)
    done = valid(runsync.restore_selected_runs(store, runs=[B], from_bundle=newest))
    assert (done.exit_code, [item.id for item in done.of("import")]) == (3, [B])
    assert {(item.kind, item.id) for item in done.of("failed")} == {("part of runs", part)}


def test_a_snapshot_that_cannot_be_read_may_have_what_is_named(
    bundle: Path, store: str, manifests: list[dict[str, Any]]
) -> None:
    flip(bundle / "snapshots" / f"{manifests[1]['id']}.json", 40)
    done = valid(runsync.restore_selected_runs(store, runs=["aaaa"], from_bundle=bundle))
    assert (done.exit_code, {item.id for item in done.of("failed")}) == (3, {manifests[1]["id"], A, CHILD})
    with pytest.raises(BundleDamaged, match=r"no run “zzz”.*; it may have been in what is damaged: "):
        runsync.restore_selected_runs(store, runs=["zzz"], from_bundle=bundle)


def home_of(server: MlflowServer, prefix: str) -> None:
    with Seeder(server.url) as seeder:
        seeder.create_experiment(prefix + "e")


@pytest.fixture
def scattered(tmp_path: Path, prefix: str) -> Path:
    """A parent and a child, each with the other in an older night: `a` above `child` and `b` above `c`."""
    bundle = tmp_path / "scattered"
    a, b = (run_with_metrics(id, {}, name=id[:3], experiment_id="1") for id in (A, B))
    child = run_with_metrics(CHILD, {}, name="ddd", experiment_id="1", tags={"mlflow.parentRunId": A})
    c = run_with_metrics(C, {}, name="ccc", experiment_id="1", tags={"mlflow.parentRunId": B})
    for runs in ([a, c], [b, child]):
        export_into(bundle, MemorySource([Experiment("1", prefix + "e")], runs, {}))
    return bundle


def test_runs_of_several_snapshots_are_one_plan_one_question_and_one_report(
    mlflow3_a: MlflowServer, prefix: str, scattered: Path
) -> None:
    """And a run is linked to its parent, whichever of the two comes first."""
    home_of(mlflow3_a, prefix)
    wanted = runsync.Selection(runs=(A, B, C, CHILD))

    def restore(**how: Any) -> ChangeReport:
        return runsync.restore_selected_runs(mlflow3_a.url, wanted, from_bundle=scattered, how=How(**how))

    planned = restore(dry_run=True)
    assert (planned.exit_code, {item.id for item in planned.of("import")}) == (0, {A, B, C, CHILD})
    with pytest.raises(TooManyChanges, match="4 would be changed, more than --max-changes 3 allows"):
        restore(most=3)
    asked: list[int] = []
    done = valid(restore(most=4, confirm=lambda plan: asked.append(len(plan.changed()))))
    assert (asked, done.exit_code, done.stopped) == ([4], 0, "")
    assert done.imported is not None
    assert (done.imported.runs, done.imported.experiments) == (Tally(created=4), Tally(unchanged=1))
    assert done.imported.snapshot == ", ".join(one.id for one in runsync.snapshots(scattered).snapshots)
    new = {item.id: item.new_id for item in done.of("import")}
    there = {run.run_id: run for run in runsync.list_runs(mlflow3_a.url, selection=of(prefix)).runs}
    assert there.keys() == set(new.values())
    assert there[new[CHILD]].tags["mlflow.parentRunId"] == new[A]
    assert there[new[C]].tags["mlflow.parentRunId"] == new[B]


@pytest.mark.parametrize("dead", [0, 1])
def test_of_two_copies_the_deleted_one_stays_so(
    mlflow3_a: MlflowServer, on_three: Seeder, prefix: str, tmp_path: Path, dead: int
) -> None:
    origin = uuid4().hex
    export_into(tmp_path / "b", MemorySource([Experiment("1", "e")], [run_with_metrics(origin, {})], {}))
    copies: list[str] = []
    for _ in range(2):
        done = runsync.import_(tmp_path / "b", mlflow3_a.url, prefix=prefix)
        copies.append(done.id_map["runs"][origin])
        on_three.post("runs/delete-tag", run_id=copies[-1], key=ORIGIN)
    assert len(set(copies)) == 2
    for run_id in copies:
        on_three.set_tag(run_id, ORIGIN, origin)
    copies.sort()
    on_three.delete_run(copies[dead])
    back = valid(runsync.restore_selected_runs(mlflow3_a.url, runs=[origin], from_bundle=tmp_path / "b"))
    assert (back.exit_code, back.changed()) == (0, [])
    assert on_three.get_run(copies[dead])["info"]["lifecycle_stage"] == DELETED


def of(prefix: str) -> runsync.Selection:
    return runsync.Selection(experiments=(prefix + "e",))


def test_what_stops_the_second_import_leaves_the_first_one_told(
    mlflow3_a: MlflowServer, prefix: str, scattered: Path
) -> None:
    home_of(mlflow3_a, prefix)
    wanted = runsync.Selection(runs=(A, CHILD))

    class Stopping(Silent):
        batches = 0

        def expect(self, runs: int) -> None:
            self.batches += 1
            if self.batches == 2:
                raise KeyboardInterrupt

    done = valid(
        runsync.restore_selected_runs(mlflow3_a.url, wanted, from_bundle=scattered, how=How(progress=Stopping()))
    )
    assert (done.exit_code, done.stopped[:20]) == (130, "stopped from outside")
    assert done.imported is not None
    assert done.imported.runs.created == 1
    assert {item.id: item.action for item in done.items} == {A: "import", CHILD: "not reached"}
    again = valid(runsync.restore_selected_runs(mlflow3_a.url, wanted, from_bundle=scattered))
    assert (again.exit_code, {item.id for item in again.of("import")}) == (0, {CHILD})
    [parent] = [item.new_id for item in done.of("import")]
    links = [run.tags.get("mlflow.parentRunId") for run in runsync.list_runs(mlflow3_a.url, selection=of(prefix)).runs]
    assert sorted(filter(None, links)) == [parent]


def test_the_reports_of_several_imports_are_one() -> None:
    place = Place("bundle", "b", "1")
    one, two = TransferReport("import", place, place), TransferReport("import", place, place)
    one.objects = {"notebooks": Tally(1)}
    two.objects = {"notebooks": Tally(1, 2), "files": Tally(3)}
    two.warnings, two.accept, two.runs = ["snapshot 1 is missing"], frozenset({"traces"}), Tally(failed=2)
    one.not_carried = [TRACES.left(3, "why"), MODEL_LINKS.left(1, "why", ("a",)), changed("1 run: ids", 1, "why")]
    two.not_carried = [TRACES.left(4, "why"), MODEL_LINKS.left(1, "why", ("b",)), changed("1 run: ids", 1, "why")]
    done = joined([one, two])
    assert done is not None
    assert done.objects == {"notebooks": Tally(2, 2), "files": Tally(3)}
    assert (done.warnings, done.accept, done.runs) == (two.warnings, two.accept, Tally(failed=2))
    assert [(left.what, left.count) for left in done.not_carried] == [
        ("traces", 4),
        ("links to logged models", 2),
        ("1 run: ids", 1),
        ("1 run: ids", 1),
    ]


def test_a_dry_run_tells_which_runs_would_lack_something(bundle: Path, store: str, runsync: Runner) -> None:
    api, long = __import__("runsync"), "x" * 256
    odd = run_with_metrics("e" * 32, {}, name="odd")
    export_into(bundle, MemorySource([Experiment("1", "e")], [odd], {}, {odd.run_id: {long: b"1", "good.txt": b"2"}}))
    restore = ("runs", "restore", store, "--from", str(bundle), "--run", "eeee", "--run", "aaaa")
    before = _runs(store)
    planned = valid(api.restore_selected_runs(store, runs=["eeee", "aaaa"], from_bundle=bundle, how=How(dry_run=True)))
    shown = runsync(*restore, "--dry-run")
    assert _runs(store) == before
    assert (shown.returncode, planned.exit_code) == (3, 3)
    done = valid(api.restore_selected_runs(store, runs=["eeee", "aaaa"], from_bundle=bundle))
    assert [(i.id, i.action) for i in planned.items] == [(i.id, i.action) for i in done.items]
    assert {item.id: item.action for item in done.items} == {A: "import", CHILD: "import", odd.run_id: "failed"}
    assert (
        shown.stdout.splitlines()[-1] == "1 run would fail, as listed above. Run it without --dry-run to do the rest."
    )
    again = runsync("runs", "restore", store, "--from", str(bundle), "--run", "aaaa", "--dry-run")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "There is nothing to do.")
