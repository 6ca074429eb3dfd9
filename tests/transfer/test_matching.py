"""Copies are found by where they came from: whatever changes its name or its place, nothing is made a second time."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.earlier import as_earlier
from support.stores import START, Filler, assert_holds, contents, opened

import runsync
from runsync.errors import RequestRefused, WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.selection import Selection
from runsync.transfer.report import TransferReport
from runsync.workspaces.direct import experiments as direct_experiments
from runsync.workspaces.direct.store import ExperimentChange
from transfer.conftest import Make
from transfer.moves import NAMES, fill, found, layout, move, plain, rename

SQLITE = pytest.param("sqlite", marks=pytest.mark.slow)
KINDS = pytest.mark.parametrize("kind", ["files", SQLITE])
EACH_WAY = pytest.mark.parametrize(("kind", "bring"), [("files", "sync"), ("sqlite", "bundle")], indirect=["bring"])
IN_FILES = pytest.mark.parametrize(
    ("kind", "bring"), [("files", "sync"), pytest.param("sqlite", "bundle", marks=pytest.mark.slow)], indirect=["bring"]
)
EVERYWHERE = pytest.mark.parametrize(
    ("kind", "bring"),
    [
        ("files", "sync"),
        ("sqlite", "bundle"),
        *(pytest.param(kind, "sync", marks=pytest.mark.slow) for kind in ("postgres", "mysql")),
    ],
    indirect=["bring"],
)
Way = Callable[..., TransferReport]


@pytest.fixture
def bring(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    """Brings all of a source to a target: straight, or by way of a bundle."""
    if request.param == "sync":
        return runsync.sync

    def by_bundle(source: str, target: str, **options: Any) -> TransferReport:
        runsync.export(source, tmp_path / "bundle")
        return runsync.import_(tmp_path / "bundle", target, **options)

    return by_bundle


def assert_mirrored(source: str, target: str, **naming: Any) -> None:
    """The target has all, where and as the source has it, and each run once; a further sync writes nothing."""
    checked = runsync.verify(source, target, **naming)
    assert checked.differences == []
    assert layout(target) == layout(source)
    before = contents(target)
    again = runsync.sync(source, target, **naming)
    assert (again.exit_code, again.experiments.updated, again.runs.updated) == (0, 0, 0)
    assert (again.experiments.created, again.runs.created) == (0, 0)
    assert contents(target) == before


CHANGES: dict[str, dict[str, str]] = {
    "renamed": {"13": "c-new"},
    "swapped": {"11": "b", "12": "a"},
    "in a chain": {"11": "b", "12": "c", "13": "d"},
    "in a circle": {"11": "b", "12": "c", "13": "a"},
}


@pytest.mark.parametrize(
    "change", [pytest.param(c, marks=[] if c in ("renamed", "in a circle") else pytest.mark.slow) for c in CHANGES]
)
@EVERYWHERE
def test_names_follow_the_source(make: Make, kind: str, change: str, bring: Way) -> None:
    source, target = make("files"), make(kind)
    fill(source)
    assert bring(source, target).exit_code == 0
    rename(source, CHANGES[change])
    told = bring(source, target)
    assert (told.exit_code, told.runs.created, told.runs.updated, told.runs.unchanged) == (0, 0, 0, 3)
    assert (told.experiments.created, told.experiments.updated) == (0, len(CHANGES[change]))
    assert_mirrored(source, target)


@KINDS
def test_a_dry_run_tells_of_new_names_and_writes_nothing(make: Make, kind: str) -> None:
    source, target = make("files"), make(kind)
    fill(source)
    runsync.sync(source, target)
    before = contents(target)
    rename(source, CHANGES["swapped"])
    planned = runsync.sync(source, target, dry_run=True)
    assert (planned.experiments.updated, planned.runs.unchanged, planned.exit_code) == (2, 3, 0)
    assert contents(target) == before


@IN_FILES
def test_a_copy_that_was_renamed_by_hand_gets_the_name_of_the_source_again(make: Make, kind: str, bring: Way) -> None:
    source, target = make("files"), make(kind)
    fill(source)
    bring(source, target)
    rename(target, {"13": "mine", **CHANGES["swapped"]})
    assert bring(source, target).exit_code == 0
    assert_mirrored(source, target)


@KINDS
def test_a_run_moved_by_hand_is_found_where_the_id_of_the_experiment_is_that_of_its_own_at_the_source(
    make: Make, kind: str
) -> None:
    """Ids such as “13” are the same in many workspaces, and say nothing of where an experiment was born."""
    source, target = make("files"), make(kind)
    fill(source)
    fill(target, {"13": "favourites"})
    assert runsync.sync(source, target).exit_code == 0
    move(target, "c", "13")
    assert [(d.name, d.field) for d in runsync.verify(source, target).differences] == [("c", "experiment")]
    assert runsync.sync(source, target).runs.updated == 1
    assert runsync.verify(source, target).differences == []


@KINDS
def test_copies_of_an_earlier_version_are_found_and_marked(make: Make, kind: str) -> None:
    source, target = make("files"), make(kind)
    fill(source)
    runsync.sync(source, target)
    as_earlier(target, source, with_lineage=False)
    rename(source, CHANGES["swapped"])
    assert runsync.sync(source, target).experiments.updated == 4  # with Default
    assert_mirrored(source, target)


@IN_FILES
def test_an_experiment_made_anew_under_an_old_name_is_another_one(make: Make, kind: str, bring: Way) -> None:
    source, target = make("files"), make(kind)
    fill(source, {"11": "a"})
    bring(source, target)
    shutil.rmtree(Path(source, "11"))
    with opened(source) as workspace:
        filler = Filler(workspace)
        filler.run(plain("new", filler.experiment(Experiment("14", "a")), 5))
    told = bring(source, target)
    assert (told.exit_code, told.runs.created, told.experiments.created) == (0, 1, 1)
    assert any("called “a (old 11)”" in note for note in told.notes)
    assert layout(target).homes == {("a (old 11)", "11"): ("a",), ("a", "14"): ("new",)}
    assert runsync.verify(source, target).differences == []
    assert runsync.sync(source, target, delete=True, max_delete="100%").exit_code == 0
    assert_mirrored(source, target)


@pytest.mark.parametrize("kind", ["files", "sqlite"])
def test_an_old_copy_that_was_deleted_makes_room_too(make: Make, kind: str) -> None:
    source, target = make("files"), make(kind)
    fill(source, {"11": "a", "12": "b"})
    runsync.sync(source, target)
    shutil.rmtree(Path(source, "11"))
    runsync.sync(source, target, delete=True, max_delete="100%")
    with opened(source) as workspace:
        filler = Filler(workspace)
        filler.run(plain("new", filler.experiment(Experiment("14", "a")), 5))
    assert runsync.sync(source, target).exit_code == 0
    assert_mirrored(source, target)


@EVERYWHERE
def test_runs_follow_into_another_experiment_with_their_files(make: Make, kind: str, bring: Way) -> None:
    source, target = make("files"), make(kind)
    fill(source)
    bring(source, target)
    move(source, "a", "12")
    told = bring(source, target)
    assert (told.exit_code, told.runs.created, told.runs.updated) == (0, 0, 1)
    assert_mirrored(source, target)
    assert_holds(contents(source), contents(target))


@EACH_WAY
def test_merged_experiments_are_merged(make: Make, kind: str, bring: Way) -> None:
    source, target = make("files"), make(kind)
    fill(source)
    bring(source, target)
    move(source, "a", "12")
    shutil.rmtree(Path(source, "11"))
    rename(source, {"12": "a", "13": "b"})
    assert bring(source, target).exit_code == 0
    assert layout(target).homes == {("a (old 11)", "11"): (), ("a", "12"): ("a", "b"), ("b", "13"): ("c",)}
    runsync.sync(source, target, delete=True, max_delete="0")
    assert_mirrored(source, target)


@IN_FILES
def test_a_run_moved_by_hand_in_the_target_is_told_by_verify_and_brought_back(
    make: Make, kind: str, bring: Way
) -> None:
    source, target = make("files"), make(kind)
    fill(source)
    bring(source, target)
    with opened(target) as workspace:
        own = workspace.store.create_experiment(Experiment("77", "favourites", artifact_location="/nowhere"))
    move(target, "c", own)
    move(target, "a", "12")
    told = [(d.name, d.field, d.source, d.target) for d in runsync.verify(source, target).differences]
    assert told == [("a", "experiment", "a", "b"), ("c", "experiment", "c", "favourites")]
    assert bring(source, target).exit_code == 0
    with opened(target) as workspace:
        workspace.store.change_experiment(ExperimentChange(own, lifecycle_stage="deleted"))
    assert_mirrored(source, target)


@EACH_WAY
def test_a_name_that_somebody_else_has_fails_alone_and_the_advice_works(make: Make, kind: str, bring: Way) -> None:
    source, target = make("files"), make(kind)
    fill(source)
    bring(source, target)
    with opened(target) as workspace:
        workspace.store.create_experiment(Experiment("99", "taken", artifact_location="/nowhere"))
    rename(source, {"13": "taken", **CHANGES["swapped"]})
    with opened(source) as workspace:
        Filler(workspace).default()
    told = bring(source, target)
    assert (told.exit_code, told.runs.created, told.runs.failed) == (3, 0, 0)
    (failed,) = told.failed
    assert (failed["kind"], failed["id"]) == ("experiment", "13")
    assert "--rename '13=NEW'" in failed["error"]
    assert layout(target).homes.keys() == {("a", "12"), ("b", "11"), ("c", "13"), ("taken", "99")}
    assert bring(source, target, rename={"13": "d"}).exit_code == 0
    assert layout(target).homes.keys() == {("a", "12"), ("b", "11"), ("d", "13"), ("taken", "99")}
    assert runsync.verify(source, target, rename={"13": "d"}).differences == []


@KINDS
def test_two_sources_share_a_target_though_their_ids_collide(make: Make, kind: str) -> None:
    one, other, target = make("files"), make("files"), make(kind)
    fill(one, {"11": "a", "12": "b"})
    fill(other, {"11": "x", "12": "y"})
    for source in (one, other):
        assert runsync.sync(source, target).exit_code == 0
    rename(one, {"11": "b", "12": "a"})
    rename(other, {"11": "z"})
    for source in (one, other):
        told = runsync.sync(source, target)
        assert (told.exit_code, told.runs.created, told.experiments.created) == (0, 0, 0)
        assert runsync.verify(source, target).differences == []
    homes = layout(target).homes
    assert {name: runs for (name, _), runs in homes.items()} == {"a": ("b",), "b": ("a",), "z": ("x",), "y": ("y",)}


@KINDS
def test_what_two_sources_shared_goes_apart_when_one_gives_it_another_name(make: Make, kind: str) -> None:
    one, other, target = make("files"), make("files"), make(kind)
    for source, id, label in ((one, "11", "ours"), (other, "12", "theirs")):
        with opened(source) as workspace:
            filler = Filler(workspace)
            filler.run(plain(label, filler.experiment(Experiment(id, "shared"))))
        assert runsync.sync(source, target).exit_code == 0
    assert layout(target).homes == {("shared", "11"): ("ours", "theirs")}
    rename(one, {"11": "apart"})
    for source in (one, other):
        assert runsync.sync(source, target).exit_code == 0
        assert runsync.verify(source, target).differences == []
    assert layout(target).homes == {("apart", "11"): ("ours",), ("shared", "12"): ("theirs",)}


@KINDS
def test_a_source_that_moved_to_another_address_is_known_by_its_runs(make: Make, kind: str, tmp_path: Path) -> None:
    source, target = make("files"), make(kind)
    fill(source)
    runsync.sync(source, target)
    moved = str(tmp_path / "moved")
    Path(source).rename(moved)
    rename(moved, CHANGES["in a circle"])
    told = runsync.sync(moved, target)
    assert (told.exit_code, told.runs.created, told.experiments.created) == (0, 0, 0)
    assert_mirrored(moved, target)


@KINDS
def test_names_follow_from_place_to_place_and_not_back_home(make: Make, kind: str) -> None:
    first, second, third = make("files"), make(kind), make("sqlite")
    fill(first)
    for _ in range(2):
        for source, target in ((first, second), (second, third)):
            assert runsync.sync(source, target).exit_code == 0
            assert_mirrored(source, target)
        rename(first, CHANGES["in a circle"])
    # The first has other names now than the second; what is at home there keeps its name.
    back = runsync.sync(second, first)
    assert (back.exit_code, back.runs.created, back.experiments.created) == (0, 0, 0)
    assert {name for name, _ in layout(first).homes} == {"a", "b", "c"}
    # And from the first to the third, which has copies that came by way of the second.
    straight = runsync.sync(first, third)
    assert (straight.exit_code, straight.runs.created, straight.experiments.created) == (0, 0, 0)
    assert layout(third).copies == 1


@KINDS
def test_a_copy_under_another_name_stays_beside_the_one_of_the_sources_name(make: Make, kind: str) -> None:
    source, target = make("files"), make(kind)
    fill(source, {"11": "a"})
    runsync.sync(source, target, prefix="drill/")
    rename(source, {"11": "b"})
    told = runsync.sync(source, target, prefix="drill/")
    assert (told.exit_code, told.experiments.created, told.experiments.updated) == (0, 0, 1)
    assert {name for name, _ in layout(target).homes} == {"drill/Default", "drill/b"}
    apart = runsync.sync(source, target)
    assert apart.experiments.created == 2  # Default too; its run cannot be there twice: a store has each id once
    assert {name for name, _ in layout(target).homes} == {"drill/Default", "drill/b", "b"}


@pytest.mark.parametrize("bring", ["sync", pytest.param("bundle", marks=pytest.mark.slow)], indirect=True)
def test_two_experiments_of_one_name_fail_and_the_others_go_on_until_one_is_renamed_by_its_id(
    make: Make, tmp_path: Path, bring: Way
) -> None:
    source, target = make("files"), make("sqlite")
    fill(source, {"11": "a", "13": "c"})
    twin = Path(source, "12")
    shutil.copytree(Path(source, "11"), twin, ignore=lambda folder, names: [n for n in names if len(n) == 32])
    meta = (twin / "meta.yaml").read_text().replace("11", "12")
    (twin / "meta.yaml").write_text(meta)
    with opened(source) as workspace:
        assert [e.name for e in workspace.experiments(Selection())].count("a") == 2
    told = bring(source, target)
    assert (told.exit_code, told.runs.created) == (3, 1)
    assert {(f["kind"], f["id"]) for f in told.failed} >= {("experiment", "11"), ("experiment", "12")}
    assert all(f"--rename '{f['id']}=NEW'" in f["error"] for f in told.failed if f["kind"] == "experiment")
    checked = runsync.verify(source, target)
    assert checked.exit_code == 4
    assert any("--rename '11=NEW'" in note for note in checked.notes)
    assert bring(source, target, rename={"12": "a too"}).exit_code == 0
    assert {name for name, _ in layout(target).homes} == {"a", "a too", "c"}
    assert runsync.verify(source, target, rename={"12": "a too"}).differences == []
    with pytest.raises(WrongUsage, match="“a” means 2 experiments"):
        runsync.verify(source, target, rename={"a": "b"})


def test_second_copies_are_differences_and_named_by_sync(make: Make) -> None:
    """As earlier versions left them on servers: the experiment made anew, with all its runs."""
    source, target = make("files"), make("files")
    fill(source)
    runsync.sync(source, target)
    again = Path(target, "88")
    shutil.copytree(Path(target, "13"), again)
    for meta in again.rglob("meta.yaml"):
        if meta.parent.parent.name != "datasets":
            text = (
                meta.read_text().replace("experiment_id: '13'", "experiment_id: '88'").replace("name: c\n", "name: d\n")
            )
            old = meta.parent.name
            meta.write_text(text.replace(old, "f" * 32) if len(old) == 32 else text)
    (run,) = (folder for folder in again.iterdir() if len(folder.name) == 32)
    run.rename(again / ("f" * 32))
    told = [(d.kind, d.field, d.source) for d in runsync.verify(source, target).differences]
    assert told == [("experiment", "copies", "1"), ("run", "copies", "1")]
    noted = runsync.sync(source, target)
    assert (noted.exit_code, noted.runs.unchanged) == (0, 3)
    assert any("another copy of experiment “c”: “d” (88)" in note for note in noted.notes)


def test_diff_tells_of_new_names_and_places_and_no_run_as_gone(make: Make) -> None:
    source, target = make("files"), make("sqlite")
    fill(source)
    runsync.sync(source, target)
    rename(source, CHANGES["swapped"])
    move(source, "c", "12")
    for old, new, homes, names in (
        (target, source, ("c", "a"), {("a", "b"), ("b", "a")}),
        (source, target, ("a", "c"), {("b", "a"), ("a", "b")}),
    ):
        changes = {(c.kind, c.name, c.change): c.fields for c in runsync.diff(old, new).changes}
        assert {kind for kind, _, change in changes if change != "changed"} == set()
        told = [(f.old, f.new) for f in changes["run", "c", "changed"] if f.field == "experiment"]
        assert told == [homes]
        renamed = {
            (f.old, f.new)
            for (kind, *_), fs in changes.items()
            for f in fs
            if (kind, f.field) == ("experiment", "name")
        }
        assert renamed == names


class Killed(BaseException):
    """Nothing catches it: the process is gone."""


@pytest.mark.parametrize("change", ["swapped", pytest.param("in a circle", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["files", "sqlite"])
def test_killed_at_each_renaming_the_next_one_ends_it(
    make: Make, kind: str, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = make("files"), make(kind)
    fill(source)
    runsync.sync(source, target)
    rename(source, CHANGES[change])
    whole = direct_experiments.DirectExperiments.rename
    done = 0

    def stopping(self: Any, experiment: Experiment, name: str) -> None:
        nonlocal done
        whole(self, experiment, name)
        done += 1
        raise Killed

    monkeypatch.setattr(direct_experiments.DirectExperiments, "rename", stopping)
    for _ in range(20):
        try:
            runsync.sync(source, target)
            break
        except Killed:
            continue
    assert done >= len(CHANGES[change])
    assert_mirrored(source, target)


def test_killed_while_a_run_is_moved_the_next_one_ends_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from runsync.workspaces.files import move as files_move

    source, target = make("files"), make("files")
    fill(source)
    runsync.sync(source, target)
    move(source, "a", "12")

    def stopping(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(files_move, "replace_file", stopping)  # after the folder was renamed, before its meta.yaml is
        with pytest.raises(Killed):
            runsync.sync(source, target)
    assert runsync.sync(source, target).exit_code == 0
    assert_mirrored(source, target)
    with opened(target) as workspace:
        assert found(workspace, "a").artifact_uri.endswith(f"/12/{found(workspace, 'a').run_id}/artifacts")
        assert found(workspace, "a").start_time == START


def test_a_renaming_that_is_refused_is_told_and_keeps_the_runs_coming(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Azure ML, which renames no experiment."""
    source, target = make("files"), make("sqlite")
    fill(source)
    runsync.sync(source, target)
    rename(source, {"13": "d", **CHANGES["swapped"]})

    def refused(self: Any, experiment: Experiment, name: str) -> None:
        raise RequestRefused("it cannot rename experiments")

    monkeypatch.setattr(direct_experiments.DirectExperiments, "rename", refused)
    told = runsync.sync(source, target)
    assert (told.exit_code, told.runs.created, told.runs.unchanged) == (3, 0, 3)
    assert {f["id"] for f in told.failed} == {"11", "12", "13"}
    assert runsync.sync(source, target, rename=NAMES).exit_code == 0
