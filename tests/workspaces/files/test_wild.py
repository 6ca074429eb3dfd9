"""File stores as they are found: what cannot be read is named, all else is there, and nothing crashes."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.stores import opened

from runsync.errors import AccessDenied, RequestRefused, WorkspaceUnreachable
from runsync.model.experiment import Experiment
from runsync.model.run import Problem
from runsync.workspaces.direct.store import Query
from runsync.workspaces.files import is_file_store, open_store
from runsync.workspaces.files.batches import TORN
from runsync.workspaces.files.strays import is_stray
from workspaces.files.small import START, arrival, make_store, run_of
from workspaces.files.told import all_runs, points, unreadable

Damage = Callable[[Path], object]


def meta(text: str | bytes) -> Damage:
    data = text.encode() if isinstance(text, str) else text
    return lambda run: (run / "meta.yaml").write_bytes(data)


def with_meta(old: str, new: str) -> Damage:
    def change(run: Path) -> None:
        text = (run / "meta.yaml").read_text()
        assert old in text
        (run / "meta.yaml").write_text(text.replace(old, new))

    return change


def file(name: str, data: bytes) -> Damage:
    def write(run: Path) -> None:
        assert not Path(name).is_absolute()
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(data)

    return write


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no meta.yaml": (lambda run: (run / "meta.yaml").unlink(), "it has no meta.yaml: an import or a training run"),
    "empty": (meta(""), "it is empty"),
    "cut off": (meta("artifact_uri: 'file"), "it is no YAML"),
    "a list": (meta("- a\n"), "it is no mapping"),
    "aliases": (meta("a: &x [1]\nb: *x\n"), "aliases"),
    "python": (meta("run_id: !!python/object/apply:os.system ['touch hacked']\n"), "could not determine a constructor"),
    "too large": (meta("a: b\n" * 300_000), "larger than 1048576 bytes"),
    "not utf-8": (meta(b"run_name: \xff\n"), "it is no YAML"),
    "another run": (with_meta("run_id: bad", "run_id: other"), "is that of run 'other'"),
    "another experiment": (with_meta("experiment_id: '0'", "experiment_id: '7'"), "says that it is of experiment '7'"),
    "odd stage": (with_meta("lifecycle_stage: active", "lifecycle_stage: gone"), "lifecycle_stage 'gone'"),
}
PIECES: dict[str, tuple[Damage, str, str]] = {
    "odd status": (with_meta("status: 3", "status: 9"), "field status", "status 9"),
    "odd time": (
        with_meta(f"end_time: {START + 1000}", "end_time: noon"),
        "field end_time",
        "end_time in meta.yaml is no whole number",
    ),
    "huge time": (
        with_meta(f"end_time: {START + 1000}", "end_time: 99999999999999999999"),
        "field end_time",
        "no whole number of 64",
    ),
    "nested name": (
        with_meta("run_name: ", "run_name: [[]]\nx: "),
        "field run_name",
        "run_name in meta.yaml is no text",
    ),
    "undecodable param": (file("params/odd", b"a\xffb"), "param odd", "params/odd is not UTF-8 at byte 1"),
    "undecodable tag": (file("tags/x/odd", b"\xff"), "tag x/odd", "x/odd is not UTF-8 at byte 0"),
    "undecodable name": (
        lambda run: Path(os.fsdecode(bytes(run) + b"/params/\xff")).touch(),
        "param \\xff",
        "is not UTF-8",
    ),
    "bad line": (
        file("metrics/loss", b"1 2 3\n1 two 3\n1 2 4\n"),
        "metric loss",
        "line 2 is no point of a metric: 1 two",
    ),
    "four fields": (file("metrics/loss", b"1 2 3 x\n1 2 3\n"), "metric loss", "line 1 is no point"),
    "binary metric": (file("metrics/a/b", bytes(range(256))), "metric a/b", "line 1"),
    "no dataset": (lambda run: shutil.rmtree(run.parent / "datasets"), "input ", "which it read, is not there"),
    "broken input": (file("inputs/x/meta.yaml", b"["), "input x", "it is no YAML"),
    "odd input": (
        file("inputs/x/meta.yaml", b"source_type: TRACE\n"),
        "input x",
        "an input of an unknown kind: 'TRACE'",
    ),
    "pipe": (lambda run: os.mkfifo(run / "params" / "pipe"), "param pipe", "params/pipe is no plain file"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_named_with_the_reason_and_the_others_are_read(name: str, tmp_path: Path) -> None:
    damage, reason = DAMAGES[name]
    root = tmp_path / "mlruns"
    store = make_store(root, "bad")
    assert store.write_runs([arrival(run_of("good", dataset_inputs=()))]) == {}
    damage(root / "0" / "bad")
    store = open_store(root, create=False)
    found = unreadable(store)
    assert list(found) == ["bad"]
    assert reason in found["bad"]
    assert [run.run_id for run in all_runs(store)] == ["good"]
    assert not Path("hacked").exists()


@pytest.mark.parametrize("name", PIECES)
def test_a_damaged_piece_of_a_run_is_named_and_the_rest_of_the_run_is_read(name: str, tmp_path: Path) -> None:
    damage, piece, reason = PIECES[name]
    root = tmp_path / "mlruns"
    make_store(root, "bad")
    damage(root / "0" / "bad")
    store = open_store(root, create=False)
    (batch,) = store.batches(Query(("0",)))
    (run,) = batch.runs
    (problem,) = batch.broken["bad"]
    assert f"{problem.kind} {problem.name}".startswith(piece)
    assert reason in problem.reason
    assert batch.unreadable == ()
    assert dict(run.params) == {"lr": "0.1", "net/depth": "3", "empty": ""}
    keys = [key for key in ("loss", "val/acc") if piece != f"metric {key}"]
    assert [metric.key for metric in run.latest_metrics] == keys
    assert list(points(store, "bad")) == keys


STRAYS = (
    *(".DS_Store", "Thumbs.db", "thumbs.DB", "desktop.ini", "._lr", ".nfs0000000000a1", ".fuse_hidden0000001", ".#lr"),
    *(
        "lr~",
        "#lr#",
        ".lr.swp",
        ".lr.swo",
        ".lr.un~",
        "~$lr",
        ".~lock.lr#",
        "@eaDir/lr@SynoEAStream",
        "lr@SynoResource",
    ),
    *("#recycle/lr", "@Recycle/lr", ".@__thumb/lr", ".AppleDouble/lr", "lr (Ada's conflicted copy 2026-01-02)"),
    *(
        "lr (conflicted copy 2026-01-02 101112)",
        "lr (1)",
        "lr.sync-conflict-20260102-101112-ABCDEFG",
        ".syncthing.lr.tmp",
    ),
    *("lr:Zone.Identifier", ".gitkeep", ".ipynb_checkpoints/lr-checkpoint", ".goutputstream-AB12C3", "lost+found/x"),
)


def test_what_a_nas_an_editor_or_a_sync_tool_leaves_is_passed_over_and_counted(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    make_store(root, "run")
    folders = ("run/params", "run/tags", "run/metrics", "run/metrics/val", "run", "tags", ".")
    for folder in folders:
        for name in STRAYS:
            file(f"{folder}/{name}", b"\xff\x00\x01")(root / "0")
    file("@eaDir/x@SynoEAStream", b"\xff")(root)
    shutil.copytree(root / "0/run", root / "0/run (1)")
    shutil.copytree(root / "0/run", root / "0/run - conflict +", dirs_exist_ok=True)
    store = open_store(root, create=False)
    (run,) = all_runs(store)
    assert run.params == {"lr": "0.1", "net/depth": "3", "empty": ""}
    assert (list(run.tags), list(points(store, "run"))) == (["a/b", "mlflow.runName"], ["loss", "val/acc"])
    assert unreadable(store) == {}
    assert store.experiments()[0].tags == {}
    (note,) = store.notes
    assert note.startswith(f"passed over {len(folders) * len(STRAYS) + 3:,} files and folders that are not MLflow's")
    assert list(store.notes) == [note], "each counts once, however often it is met"


def test_doctor_asks_nothing_of_its_user_for_strays(tmp_path: Path) -> None:
    make_store(tmp_path / "mlruns", "run")
    file("params/.lr.swp", b"x")(tmp_path / "mlruns/0/run")
    with opened(str(tmp_path / "mlruns")) as workspace:
        (found,) = (one for one in workspace.examine() if one.told.startswith("passed over 1 file"))
    assert found.remedy.startswith("nothing needs to be done")


def test_a_folder_with_a_name_that_is_no_id_is_a_failed_item_unless_it_is_a_copy(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    make_store(root, "run", "bbb", "ccc")
    for number in ("2", "3"):
        shutil.copytree(root / "0", root / number)
        (root / number / "meta.yaml").write_text(f"experiment_id: '{number}'\nname: e{number}\n")
        for run in ("run", "bbb", "ccc"):
            shutil.rmtree(root / number / run)
    shutil.copytree(root / "0/run", root / "0/run (copy)")
    (root / "0/bbb").rename(root / "0" / os.fsdecode(b"bbb\xe9"))
    (root / "0/ccc").rename(root / "0/ccc (1)")
    file("not an id/meta.yaml", b"[")(root / "0")
    shutil.copytree(root / "2", root / "2 (copy)")
    (root / "3").rename(root / os.fsdecode(b"3\xe9"))
    store = open_store(root, create=False)
    assert [run.run_id for run in all_runs(store)] == ["run"]
    failed = [*store.unreadable_experiments()]
    failed += [one for batch in store.batches(Query(("0", "2"))) for one in batch.unreadable]
    assert sorted((one.kind, one.id, one.place.removeprefix(f"{root}/")) for one in failed) == [
        ("experiment", "3", "3\\xe9"),
        ("run", "bbb", "0/bbb\\xe9"),
        ("run", "ccc", "0/ccc (1)"),
        ("run", "not an id", "0/not an id"),
    ]
    assert all("rename the folder" in one.reason for one in failed)
    (note,) = store.notes
    assert note.startswith("passed over 2 files and folders"), note


@pytest.mark.parametrize(
    "name", ["lr", "val_loss", "a.b-c d/e:f", ".hidden", "mlflow.runName", "x.swp", "copy of lr", "4913"]
)
def test_names_that_mlflow_writes_are_not_taken_for_strays(name: str) -> None:
    assert not any(is_stray(step) for step in name.split("/"))


def test_a_broken_tag_of_an_experiment_is_named_and_its_runs_are_read(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    make_store(root, "run")
    file("tags/bad", b"\xff")(root / "0")
    file("tags/good", b"1")(root / "0")
    store = open_store(root, create=False)
    (experiment,) = store.experiments()
    assert experiment.tags == {"good": "1"}
    (one,) = store.unreadable_experiments()
    assert (one.kind, one.id, one.reason) == ("tag of experiment", "0", "“bad”: tags/bad is not UTF-8 at byte 0")
    assert [run.run_id for run in all_runs(store)] == ["run"]


def test_duplicate_lines_old_lines_windows_lines_and_datasets_are_points(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns", "run")
    metrics = tmp_path / "mlruns/0/run/metrics"
    (metrics / "twice").write_bytes(b"5 0.5 1\n5 0.5 1\n3 nan 0\n4 -inf 2\n")
    (metrics / "old").write_bytes(b"7 1.5\n8 2\n")
    (metrics / "windows").write_bytes(b"7 1.5 1\r\n8 2.5 2\r\n")
    (metrics / "mixed").write_bytes(b"7 1.5\n\n8 2.5 2\n9 1e-3 3 my data 12ab\n")
    (metrics / "nothing").write_bytes(b"")
    (metrics / ".DS_Store").write_bytes(b"\x00\x01")
    (tmp_path / "mlruns/0/run/params/._lr").write_bytes(b"\xff\x00")
    (tmp_path / "mlruns/0/.DS_Store").write_bytes(b"\x00")
    (tmp_path / "mlruns/.DS_Store").write_bytes(b"\x00")
    store = open_store(tmp_path / "mlruns", create=False)
    assert unreadable(store) == {}
    told = points(store, "run")
    assert told["twice"] == [[3, "nan", 0], [4, "-inf", 2], [5, "0.5", 1], [5, "0.5", 1]]
    assert told["old"] == [[7, "1.5", 0], [8, "2.0", 0]]
    assert told["windows"] == [[7, "1.5", 1], [8, "2.5", 2]]
    assert told["mixed"] == [[7, "1.5", 0], [8, "2.5", 2], [9, "0.001", 3]]
    assert "nothing" not in told
    (run,) = all_runs(store)
    latest = {m.key: (m.timestamp, repr(m.value), m.step) for m in run.latest_metrics}
    assert latest["twice"] == (4, "-inf", 2)
    assert latest["mixed"] == (9, "0.001", 3)
    assert list(run.params) == ["empty", "lr", "net/depth"]
    with store.histories(["run"]) as histories:
        rows = [row for batch in histories.of("run") for row in batch.to_pylist()]
    assert [(r["dataset_name"], r["dataset_digest"]) for r in rows if r["timestamp"] == 9] == [("my data", "12ab")]


@pytest.mark.parametrize(
    ("torn", "kept"), [(b"9 0.", False), (b"9 0.5", False), (b"9 0.5 ", False), (b"9 0.5 3", True), (b"9", False)]
)
def test_a_last_line_without_its_end_counts_only_where_it_is_a_whole_point(
    torn: bytes, kept: bool, tmp_path: Path
) -> None:
    store = make_store(tmp_path / "mlruns", "run")
    (tmp_path / "mlruns/0/run/metrics/loss").write_bytes(b"7 1.5 1\n8 2.5 2\n" + torn)
    assert unreadable(store) == {}
    assert points(store, "run")["loss"] == [[7, "1.5", 1], [8, "2.5", 2]] + [[9, "0.5", 3]] * kept


def test_of_two_runs_with_one_id_the_first_is_read_and_the_other_named(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    store = make_store(root, "run", "other")
    store.create_experiment(Experiment("1", "more", "active", store.default_artifact_root("1"), START, START))
    shutil.copytree(root / "0" / "run", root / "1" / "run")
    with_meta("experiment_id: '0'", "experiment_id: '1'")(root / "1" / "run")
    (root / "1/run/metrics/loss").write_bytes(b"5 9.9 1\n")
    store = open_store(root, create=False)
    assert [(run.experiment_id, run.run_id) for run in all_runs(store)] == [("0", "run"), ("0", "other")]
    assert unreadable(store) == {"run": f"{root}/0/run has the same run id: move one of the two away"}
    assert [9.9] not in [row[1:2] for row in points(store, "run")["loss"]]


def test_the_point_that_a_finished_run_has_lost_is_named(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns", "run")
    (tmp_path / "mlruns/0/run/metrics/loss").write_bytes(b"7 1.5 1\n8 2.5 2\n9 0.")
    [batch] = store.batches(Query(("0",)))
    assert batch.broken == {"run": (Problem("point", "loss", TORN),)}
    assert points(store, "run")["loss"] == [[7, "1.5", 1], [8, "2.5", 2]]


def test_an_old_meta_yaml_is_read(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns", "run")
    (tmp_path / "mlruns/0/run/meta.yaml").write_text(
        "artifact_uri: /old/0/run/artifacts\nend_time: null\nentry_point_name: ''\nexperiment_id: 0\nname: ''\n"
        "run_uuid: run\nsource_name: train.py\nsource_type: 4\nsource_version: ''\nstart_time: 5\ntags: []\n"
        "user_id: me\n"
    )
    (tmp_path / "mlruns/0/meta.yaml").write_text(
        "artifact_location: /old/0\nexperiment_id: 0\nlifecycle_stage: active\nname: Default\n"
    )
    store = open_store(tmp_path / "mlruns", create=False)
    (run,) = all_runs(store)
    assert (run.run_id, run.experiment_id, run.status, run.lifecycle_stage) == ("run", "0", "RUNNING", "active")
    assert (run.name, run.start_time, run.end_time, run.user_id) == ("name of run", 5, None, "me")
    assert store.experiments()[0].creation_time is None


def test_experiments_that_cannot_be_read_are_named_where_all_are_asked_for(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    make_store(root, "run")
    (root / "11").mkdir()
    (root / "12").mkdir()
    (root / "12/meta.yaml").write_text("[")
    shutil.copytree(root / "0", root / "13")
    shutil.copytree(root / "0", root / ".trash/0")
    (root / "14").mkdir()
    (root / "14/meta.yaml").write_text("experiment_id: '14'\n")
    (root / "15").symlink_to(root / "0")
    (root / "not an id").mkdir()
    store = open_store(root, create=False)
    assert [e.experiment_id for e in store.experiments()] == ["0"]
    bad = store.unreadable_experiments()
    assert {(one.kind, one.id) for one in bad} == {("experiment", id) for id in ("0", "11", "12", "13", "14", "15")}
    told = {one.place.removeprefix(f"{root}/"): one.reason for one in bad}
    assert told["11"] == "it has no meta.yaml"
    assert "it is no YAML" in told["12"]
    assert told["13"] == "its meta.yaml is that of experiment '0'"
    assert told["14"] == "its meta.yaml gives it no name"
    assert told["15"] == "it is a link, and links are not followed"
    assert told[".trash/0"] == "an active experiment of the same id hides it"
    assert len(told) == 6


@pytest.mark.long
def test_a_run_or_experiment_that_goes_away_meanwhile_is_skipped(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    store = make_store(root, *(f"run{i:03}" for i in range(250)))
    batches = store.batches(Query(("0", "gone")))
    first = next(batches)
    for i in range(200, 240):
        shutil.rmtree(root / f"0/run{i:03}")
    rest = list(batches)
    assert len(first.runs) == 200
    assert [len(batch.runs) for batch in rest] == [10]
    assert all(not batch.unreadable for batch in rest)
    shutil.rmtree(root / "0")
    store.refresh()
    with pytest.raises(RequestRefused, match="run run000 is no longer there"), store.histories(["run000"]) as histories:
        list(histories.of("run000"))


def test_folders_that_are_no_runs_are_passed_over(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    make_store(root, "run")
    for name in ("traces", "models", "empty", ".hidden"):
        (root / "0" / name).mkdir()
    (root / "0/file").touch()
    store = open_store(root, create=False)
    assert [run.run_id for run in all_runs(store)] == ["run"]
    assert unreadable(store) == {}
    assert store.run_counts() == {"0": 1}


def test_what_is_no_file_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceUnreachable, match="there is no folder"):
        open_store(tmp_path / "nowhere", create=False)
    (tmp_path / "x").mkdir()
    (tmp_path / "x/notes.txt").touch()
    assert not is_file_store(tmp_path / "x")
    for create in (False, True):
        with pytest.raises(WorkspaceUnreachable, match="is no file store of MLflow"):
            open_store(tmp_path / "x", create=create)
    (tmp_path / "x/.trash").mkdir()
    assert is_file_store(tmp_path / "x")


@contextmanager
def with_fewer_rights(folder: Path) -> Iterator[None]:
    """As nobody, who may go into the folders above this one."""
    modes = {place: place.stat().st_mode for place in folder.parents if place.stat().st_mode & 0o005 != 0o005}
    try:
        for place in modes:
            place.chmod(0o755)
        os.seteuid(65534)
        yield
    finally:
        os.seteuid(0)
        for place, mode in modes.items():
            place.chmod(mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody with fewer rights")
def test_reading_needs_read_rights_only_and_names_what_it_may_not_read(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    store = make_store(root, "closed", "half", "open")
    experiment = store.create_experiment(Experiment("7", "closed"))
    (root / "0/closed").chmod(0)
    (root / "0/half/params/lr").chmod(0)
    (root / experiment).chmod(0)
    assert unreadable(store) == {}  # root may read all
    with with_fewer_rights(root):
        store = open_store(root, create=False)
        assert [run.run_id for run in all_runs(store)] == ["half", "open"]
        assert unreadable(store) == {"closed": "permission denied", experiment: "permission denied"}
        (batch,) = (found for found in store.batches(Query(("0",))) if found.runs)
        assert batch.broken == {"half": (Problem("param", "lr", "permission denied"),)}
        with pytest.raises(AccessDenied, match="may not be written to"):
            store.check_writable()
        with pytest.raises(AccessDenied, match="cannot be written: permission denied"):
            store.create_experiment(Experiment("8", "mine"))
        assert store.write_runs([arrival(run_of("mine"))]) == {"mine": "permission denied"}
    root.chmod(0)
    with with_fewer_rights(root), pytest.raises(AccessDenied, match="cannot be opened"):
        open_store(root, create=False)
