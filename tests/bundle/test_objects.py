"""Notebooks and permissions in bundles: kept, shared between snapshots, checked, pruned, copied, told."""

import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support.damage import edit_marker, flip
from support.interleaving import NoLock
from support.memory import export_into, export_to
from support.stopping import Stopped, StoppingStore

from runsync.bundle import layout
from runsync.bundle.bundle import Bundle, create_bundle, open_bundle
from runsync.bundle.check import check
from runsync.bundle.copy import copy
from runsync.bundle.forget import forget
from runsync.bundle.inspect import inspect
from runsync.bundle.local_store import LocalStore
from runsync.bundle.prune import prune
from runsync.bundle.snapshot import open_snapshot
from runsync.errors import AccessDenied, BundleDamaged, RequestRefused, WrongUsage
from runsync.kinds import KINDS
from runsync.kinds.kind import Entity
from runsync.kinds.notebooks import Notebook, parse_formats
from runsync.kinds.permissions import Grant, Permissions
from runsync.model.progress import Silent
from runsync.testing.memory import MemorySource, small_source
from runsync.testing.memory_kinds import MemoryNotebooks, MemoryPermissions
from runsync.transfer.repair import RepairReport, repair_from

PATH = "/Users/ada@example.com/churn/train"
FIRST = b"# Databricks notebook source\nprint(1)\n"
BOTH = ("SOURCE", "HTML")


def source_with_notebooks() -> MemorySource:
    """The small source, two of whose runs ran in a notebook (one at a revision, one not said at which)."""
    source = small_source()
    first, second, third = source.runs
    tags = {"mlflow.databricks.notebookPath": PATH, "mlflow.databricks.notebookID": "77"}
    first = replace(first, tags={**first.tags, **tags, "mlflow.databricks.notebookRevisionID": "1699999990000"})
    source.runs = [first, replace(second, tags=tags), third]
    texts: dict[tuple[str, str, str], bytes | RequestRefused] = {
        (PATH, "1699999990000", "SOURCE"): FIRST,
        (PATH, "", "SOURCE"): b"# Databricks notebook source\nprint(2)\n",
        (PATH, "1699999990000", "HTML"): b"<p>1</p>",
        (PATH, "", "HTML"): b"<p>2</p>",
    }
    granted = (
        Grant("group", "science", "CAN_EDIT"),
        Grant("user", "ada@example.com", "CAN_MANAGE", True, ("/directories/1",)),
    )
    source.notebooks = MemoryNotebooks(texts)
    source.permissions = MemoryPermissions({"1": Permissions("1", "kept", grants=granted)})
    return source


def objects_in(bundle: Path) -> dict[tuple[str, ...], Entity]:
    snapshot = open_snapshot(bundle)
    return {item.key: item for kind in KINDS for item in snapshot.entities(kind).all()}


def blob_of(bundle: Path, item: Entity) -> Path:
    return bundle / layout.blob(item.blobs[0].sha256)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "bundle"
    export_to(create_bundle(folder), source_with_notebooks(), notebooks=BOTH)
    return folder


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


def test_each_notebook_revision_and_format_is_kept_with_its_bytes_and_its_runs(whole: Path) -> None:
    found = objects_in(whole)
    exact = found[PATH, "1699999990000", "SOURCE"]
    assert isinstance(exact, Notebook)
    assert (exact.language, exact.object_id, exact.is_last, exact.runs) == ("PYTHON", "77", False, ("first",))
    assert blob_of(whole, exact).read_bytes() == FIRST
    last = found[PATH, "", "SOURCE"]
    assert isinstance(last, Notebook)
    assert last.is_last, "a run that names no revision has the last one, and that is said"
    assert [key for key in found if len(key) == 3] == sorted(
        (PATH, revision, format) for revision in ("", "1699999990000") for format in BOTH
    )


def test_formats_are_read_as_a_user_writes_them_and_others_are_refused() -> None:
    assert parse_formats("html, SOURCE,html") == ("SOURCE", "HTML")
    assert parse_formats("") == ()
    with pytest.raises(WrongUsage, match="“PDF” is no format of notebooks: those are SOURCE, JUPYTER, HTML, DBC"):
        parse_formats("SOURCE,pdf")


def test_a_source_without_notebooks_says_so_when_they_are_asked_for(tmp_path: Path) -> None:
    report = export_to(create_bundle(tmp_path / "b"), small_source(), notebooks=("SOURCE",))
    assert report.notes == ["memory has no notebooks to keep"]


def test_permissions_of_every_experiment_are_kept_and_say_what_is_inherited(whole: Path) -> None:
    found = objects_in(whole)
    kept = found["1",]
    assert isinstance(kept, Permissions)
    assert [(g.principal_type, g.principal, g.level, g.inherited) for g in kept.grants] == [
        ("group", "science", "CAN_EDIT", False),
        ("user", "ada@example.com", "CAN_MANAGE", True),
    ]
    assert found["2",] == Permissions("2", "gone")


def test_a_report_counts_them_by_kind(tmp_path: Path) -> None:
    report = export_to(create_bundle(tmp_path / "b"), source_with_notebooks(), notebooks=("SOURCE",))
    assert (report.exit_code, report.failed) == (0, [])
    assert {kind: tally.created for kind, tally in report.objects.items()} == {"permissions": 2, "notebooks": 2}
    assert report.artifacts == 3, "a notebook is no artifact"
    json.dumps(report.to_document())


def test_notebooks_that_were_not_asked_for_are_counted_as_left_behind(tmp_path: Path) -> None:
    report = export_to(create_bundle(tmp_path / "b"), source_with_notebooks())
    assert [(left.what, left.count) for left in report.not_carried] == [("notebooks", 2)]
    assert open_bundle(tmp_path / "b").latest().not_carried == tuple(report.not_carried)


def test_a_revision_that_is_stored_is_not_fetched_again(bundle: Path) -> None:
    again = source_with_notebooks()
    report = export_to(open_bundle(bundle), again, notebooks=BOTH)
    assert again.notebooks is not None
    assert again.notebooks.asked == []
    assert {kind: tally.unchanged for kind, tally in report.objects.items()} == {"permissions": 2, "notebooks": 4}
    one, other = open_bundle(bundle).snapshot_ids()
    assert open_bundle(bundle).manifest(one).objects == open_bundle(bundle).manifest(other).objects


def test_a_last_revision_is_fetched_again_once_it_has_changed(bundle: Path) -> None:
    again = source_with_notebooks()
    assert again.notebooks is not None
    again.notebooks.modified_at = 1_800_000_000_000
    again.notebooks.texts[PATH, "", "SOURCE"] = b"# Databricks notebook source\nprint(3)\n"
    report = export_to(open_bundle(bundle), again, notebooks=("SOURCE",))
    assert again.notebooks.asked == [f"{PATH} (SOURCE)"]
    assert report.objects["notebooks"].updated == 1
    assert blob_of(bundle, objects_in(bundle)[PATH, "", "SOURCE"]).read_bytes().endswith(b"print(3)\n")


def test_what_another_workspace_has_at_the_same_path_is_another_notebook(bundle: Path) -> None:
    other = source_with_notebooks()
    assert other.notebooks is not None
    other.place = replace(other.place, address="another")
    other.notebooks.texts[PATH, "1699999990000", "SOURCE"] = b"# Databricks notebook source\nother\n"
    export_to(open_bundle(bundle), other, notebooks=("SOURCE",))
    found = objects_in(bundle)[PATH, "1699999990000", "SOURCE"]
    assert blob_of(bundle, found).read_bytes().endswith(b"other\n")
    again = source_with_notebooks()
    export_to(open_bundle(bundle), again, notebooks=BOTH)
    assert again.notebooks is not None
    assert again.notebooks.asked == [], "what its own workspace had is known, also past a snapshot of another"


def test_a_run_that_comes_later_is_named_by_the_notebook_without_a_fetch(bundle: Path) -> None:
    again = source_with_notebooks()
    assert again.notebooks is not None
    again.runs.append(replace(again.runs[0], run_id="fourth"))
    export_to(open_bundle(bundle), again, notebooks=BOTH)
    assert again.notebooks.asked == []
    assert objects_in(bundle)[PATH, "1699999990000", "SOURCE"].runs == ("first", "fourth")


def test_a_notebook_that_is_gone_stays_in_the_bundle_and_is_named_where_it_never_was(bundle: Path) -> None:
    later = source_with_notebooks()
    assert later.notebooks is not None
    later.notebooks.texts.clear()
    later.notebooks.modified_at = None
    report = export_to(open_bundle(bundle), later, notebooks=("SOURCE", "JUPYTER"))
    assert report.exit_code == 0
    assert (PATH, "", "SOURCE") in objects_in(bundle)
    (left,) = report.not_carried
    assert (left.what, left.kind, left.count) == ("notebooks that the source no longer has", "", 2)
    assert open_bundle(bundle).latest().not_carried == (left,)
    assert "not there any more" in left.why
    assert all("JUPYTER" in name for name in left.names)


def test_a_notebook_that_is_refused_fails_by_name_and_nothing_else_does(tmp_path: Path) -> None:
    source = source_with_notebooks()
    assert source.notebooks is not None
    source.notebooks.texts[PATH, "", "SOURCE"] = RequestRefused(
        "it is larger than 10 MB", 400, "MAX_NOTEBOOK_SIZE_EXCEEDED"
    )
    report = export_to(create_bundle(tmp_path / "b"), source, notebooks=("SOURCE",))
    assert report.exit_code == 3
    assert [(f["kind"], f["name"], f["error"]) for f in report.failed] == [
        ("notebook", f"{PATH} (SOURCE)", "it is larger than 10 MB")
    ]
    assert (PATH, "1699999990000", "SOURCE") in objects_in(tmp_path / "b")
    assert [one.pop("retry") for one in report.failed] == [False]
    assert open_bundle(tmp_path / "b").latest().failed == tuple(report.failed)


def test_permissions_that_may_not_be_read_are_named_and_stay_behind(tmp_path: Path) -> None:
    source = source_with_notebooks()
    assert source.permissions is not None
    source.permissions.permissions["2"] = AccessDenied("no", 403, "PERMISSION_DENIED")
    report = export_to(create_bundle(tmp_path / "b"), source, notebooks=("SOURCE",))
    assert (report.exit_code, report.failed) == (3, [])
    assert [(left.what, left.count, left.names) for left in report.not_carried] == [("permissions", 1, ("gone",))]


def test_a_bundle_with_them_is_sound_and_needs_all_its_files(whole: Path) -> None:
    report = check(whole)
    assert (report.faults, report.unused, report.foreign) == ([], [], [])


def test_a_broken_notebook_hits_its_snapshots_and_its_runs(bundle: Path) -> None:
    (first,) = open_bundle(bundle).snapshot_ids()
    file = blob_of(bundle, objects_in(bundle)[PATH, "1699999990000", "SOURCE"])
    plain = small_source()
    export_into(bundle, plain)
    flip(file, 0)
    (fault,) = check(bundle).faults
    assert (fault.file, fault.snapshots, fault.runs) == (file.relative_to(bundle).as_posix(), [first], ["first"])
    file.unlink()
    (fault,) = check(bundle, quick=True).faults
    assert (fault.error, fault.snapshots, fault.runs) == ("it is missing", [first], ["first"])


def test_a_missing_or_miscounted_objects_part_is_told(bundle: Path) -> None:
    (part,) = bundle.glob("parts/*.permissions.jsonl.gz")
    flip(part, 30)
    (fault,) = check(bundle).faults
    assert fault.file == part.relative_to(bundle).as_posix()
    assert fault.snapshots == open_bundle(bundle).snapshot_ids()
    with pytest.raises(BundleDamaged, match="what is needed cannot be known"):
        prune(bundle)


def test_a_broken_notebook_is_repaired_from_its_source(bundle: Path) -> None:
    file = blob_of(bundle, objects_in(bundle)[PATH, "1699999990000", "SOURCE"])
    flip(file, 0)
    report = RepairReport("", "")
    opened = open_bundle(bundle)
    repair_from(opened, source_with_notebooks(), report, NoLock(), 4, None, Silent())  # type: ignore[arg-type]
    assert (report.left, report.set_aside) == ([], [])
    assert file.read_bytes() == FIRST


def test_prune_keeps_what_a_snapshot_needs_and_frees_the_rest(bundle: Path) -> None:
    first, only_there = objects_in(bundle), objects_in(bundle)[PATH, "", "HTML"]
    export_to(open_bundle(bundle), source_with_notebooks(), notebooks=("SOURCE",))
    assert prune(bundle).removed_files == 0
    old, new = open_bundle(bundle).snapshot_ids()
    forget(f"{bundle}@{old}")
    prune(bundle)
    assert not blob_of(bundle, only_there).exists()
    assert blob_of(bundle, first[PATH, "", "SOURCE"]).exists()
    report = check(bundle)
    assert (report.faults, report.unused) == ([], [])
    assert open_bundle(bundle).snapshot_ids() == [new]


def test_a_copy_has_them_and_asks_its_readers_for_as_much(bundle: Path, tmp_path: Path) -> None:
    report = copy(bundle, tmp_path / "copy")
    assert report.exit_code == 0
    assert objects_in(tmp_path / "copy") == objects_in(bundle)
    assert check(tmp_path / "copy").faults == []
    assert _features(tmp_path / "copy") == ["history", "notebooks", "permissions"]


def test_a_snapshot_whose_notebook_is_broken_is_not_copied(bundle: Path, tmp_path: Path) -> None:
    flip(blob_of(bundle, objects_in(bundle)[PATH, "", "SOURCE"]), 3)
    report = copy(bundle, tmp_path / "copy")
    assert report.copied == []
    assert report.exit_code == 12


def test_inspect_counts_them(whole: Path) -> None:
    found = {summary.kind: (summary.count, summary.bytes > 0) for summary in inspect(whole).objects}
    assert found == {"notebooks": (4, True), "permissions": (2, False)}


def test_a_bundle_with_them_is_refused_by_who_does_not_know_them(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "FEATURES", frozenset(["history"]))
    for act in (open_snapshot, check, prune):
        with pytest.raises(BundleDamaged, match="needs the feature “notebooks”: upgrade runsync"):
            act(bundle)


def test_a_bundle_without_them_is_as_it_was_before(tmp_path: Path) -> None:
    export_into(tmp_path / "b", small_source())
    assert _features(tmp_path / "b") == ["history"]
    (manifest,) = (tmp_path / "b").glob("snapshots/*.json")
    assert not {"objects", "notebook_formats"} & json.loads(manifest.read_bytes()).keys()
    assert objects_in(tmp_path / "b") == {}


def test_a_feature_that_is_asked_for_already_stays(bundle: Path) -> None:
    edit_marker(bundle, required_features=["permissions"])
    open_bundle(bundle).require(["notebooks"])
    assert _features(bundle) == ["notebooks", "permissions"]


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.long
def test_an_export_that_is_stopped_at_any_write_goes_on_and_has_all_of_them(tmp_path: Path, step: int) -> None:
    moment = 0
    while True:
        folder = tmp_path / str(moment)
        export_to(create_bundle(folder), small_source())
        stopping = StoppingStore(LocalStore(folder), moment)
        with suppress(Stopped):
            export_to(Bundle(stopping), source_with_notebooks(), notebooks=BOTH)
        report = check(folder)
        assert report.faults == []
        if not stopping.is_stopped:
            break
        export_to(open_bundle(folder), source_with_notebooks(), notebooks=BOTH)
        assert len(objects_in(folder)) == 6
        assert check(folder).faults == []
        moment += step
    assert moment >= 2 * 10


def _features(bundle: Path) -> object:
    return json.loads((bundle / "runsync.json").read_bytes())["required_features"]
