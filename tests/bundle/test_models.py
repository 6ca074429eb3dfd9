"""Models in bundles: kept with their files, and of many only what changed is written again."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.damage import flip
from support.hostile import Forgery
from support.interleaving import NoLock
from support.memory import export_to
from support.memory_models import FILES, WEIGHTS, source_with_models

from runsync.bundle import layout
from runsync.bundle.bundle import create_bundle, open_bundle
from runsync.bundle.check import check
from runsync.bundle.copy import copy
from runsync.bundle.entity_part import DOCUMENTS_A_PART
from runsync.bundle.entity_writer import MOST_SMALL
from runsync.bundle.forget import forget
from runsync.bundle.prune import prune
from runsync.bundle.snapshot import open_snapshot
from runsync.errors import BundleDamaged, RunsyncError
from runsync.kinds import BY_NAME
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.progress import Silent
from runsync.model.selection import Selection
from runsync.transfer.diff import diff
from runsync.transfer.find import resolved
from runsync.transfer.repair import RepairReport, repair_from
from runsync.transfer.verify import verify

MODELS = {LOGGED_MODELS.name, REGISTERED_MODELS.name, MODEL_VERSIONS.name, MODEL_ALIASES.name}


def held(bundle: Path | str, kind: Any = LOGGED_MODELS) -> dict[str, Any]:
    return {item.name or item.key[0]: item for item in open_snapshot(bundle).entities(kind).all()}


def many_aliases(count: int) -> list[ModelAlias]:
    return [ModelAlias("churn", f"a{number:05d}", number) for number in range(count)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "bundle"
    report = export_to(create_bundle(folder), source_with_models())
    assert (report.exit_code, report.artifacts, report.artifact_bytes) == (0, 6, 2417)
    return folder


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


def test_models_are_kept_as_they_are_with_their_files(whole: Path) -> None:
    source = source_with_models()
    for name in MODELS - {LOGGED_MODELS.name, MODEL_VERSIONS.name}:
        assert list(held(whole, source.models[name].kind).values()) == source.models[name].items
    logged = held(whole)["net"]
    assert [(file.path, file.size) for file in logged.artifacts] == [("MLmodel", 12), ("model.bin", 700)]
    assert str(replace(logged, artifacts=None)) == str(source.models[LOGGED_MODELS.name].items[0])
    assert [file.path for file in held(whole, MODEL_VERSIONS)["churn/12"].artifacts] == ["model.bin"]
    assert check(whole).faults == []


def test_files_that_models_share_are_stored_once(whole: Path) -> None:
    one = held(whole)["net"].artifacts[1]
    other = held(whole, MODEL_VERSIONS)["churn/12"].artifacts[0]
    assert one.sha256 == other.sha256
    assert (whole / layout.blob(one.sha256)).read_bytes() == WEIGHTS


def test_files_of_a_model_that_is_ready_are_not_read_again(bundle: Path) -> None:
    again = source_with_models()
    report = export_to(open_bundle(bundle), again)
    assert {kind: tally.unchanged for kind, tally in report.objects.items()} == {
        LOGGED_MODELS.name: 2,
        REGISTERED_MODELS.name: 2,
        MODEL_VERSIONS.name: 3,
        MODEL_ALIASES.name: 1,
    }
    assert [asked for each in again.models.values() for asked in each.asked] == []
    one, other = (open_bundle(bundle).manifest(id) for id in open_bundle(bundle).snapshot_ids())
    assert set(one.objects) == set(other.objects)


def test_a_model_that_changed_is_told_by_diff_and_both_snapshots_keep_theirs(bundle: Path) -> None:
    again = source_with_models()
    models = again.models[LOGGED_MODELS.name]
    models.items[0] = replace(models.items[0], tags={"reviewed": "yes"}, params={"depth": "4"})
    report = export_to(open_bundle(bundle), again)
    assert report.objects[LOGGED_MODELS.name].updated == 1
    old, new = open_bundle(bundle).snapshot_ids()
    told = diff(f"{bundle}@{old}", f"{bundle}@{new}")
    assert [(c.kind, c.name, [f.field for f in c.fields]) for c in told.changes] == [
        ("logged model", "net", ["params.depth", "tags.reviewed"])
    ]
    assert held(f"{bundle}@{old}")["net"].tags == {}
    assert held(f"{bundle}@{new}")["net"].tags == {"reviewed": "yes"}
    assert check(bundle).faults == []


def test_a_dry_run_tells_of_all_entities_and_writes_none(tmp_path: Path) -> None:
    source = source_with_models()
    source.models[MODEL_ALIASES.name].items = many_aliases(DOCUMENTS_A_PART + 10)
    planned = export_to(create_bundle(tmp_path / "b"), source, dry_run=True)
    assert (planned.failed, planned.objects[MODEL_ALIASES.name].created) == ([], DOCUMENTS_A_PART + 10)
    assert planned.objects[LOGGED_MODELS.name].created == len(source.models[LOGGED_MODELS.name].items)
    assert [file for file in (tmp_path / "b").rglob("*") if file.is_file() and file.name != "runsync.json"] == []


def test_of_many_entities_only_those_that_changed_are_written(tmp_path: Path) -> None:
    source = source_with_models()
    aliases = source.models[MODEL_ALIASES.name]
    aliases.items = many_aliases(2 * DOCUMENTS_A_PART + 10)
    bundle = create_bundle(tmp_path / "b")
    export_to(bundle, source)
    aliases.items[5] = replace(aliases.items[5], version=77)
    del aliases.items[1500]
    export_to(bundle, source)
    first, second = (bundle.manifest(id) for id in bundle.snapshot_ids())
    parts = {part.documents.path: part for part in second.objects if part.kind == MODEL_ALIASES.name}
    fresh = parts.keys() - {part.documents.path for part in first.objects}
    assert [parts[name].documents.count for name in fresh] == [1]
    assert sorted(len(part.superseded) for part in parts.values()) == [0, 0, 1, 1]
    assert list(held(tmp_path / "b", MODEL_ALIASES).values()).count(aliases.items[5]) == 1
    assert sorted(held(tmp_path / "b", MODEL_ALIASES)) == sorted(alias.name for alias in aliases.items)
    assert layout.SUPERSEDED in bundle.features
    assert check(tmp_path / "b").faults == []


def test_many_small_parts_become_one_and_sparse_ones_are_left(tmp_path: Path) -> None:
    source = source_with_models()
    aliases = source.models[MODEL_ALIASES.name]
    aliases.items = []
    bundle = create_bundle(tmp_path / "b")
    for night in range(MOST_SMALL + 2):
        aliases.items += [ModelAlias("churn", f"night{night}", night)]
        export_to(bundle, source)
    parts = [part for part in bundle.latest().objects if part.kind == MODEL_ALIASES.name]
    assert len(parts) <= 2
    assert len(held(tmp_path / "b", MODEL_ALIASES)) == MOST_SMALL + 2


def test_prune_frees_what_only_a_superseded_line_names(bundle: Path) -> None:
    again = source_with_models()
    models = again.models[LOGGED_MODELS.name]
    models.items[0] = replace(models.items[0], updated_at=9)
    models.contents = {("m-1",): {"MLmodel": b"other"}}
    again.models[MODEL_VERSIONS.name].contents = {}
    again.models[MODEL_VERSIONS.name].items[1] = replace(again.models[MODEL_VERSIONS.name].items[1], updated_at=9)
    export_to(open_bundle(bundle), again)
    forget(f"{bundle}@{open_bundle(bundle).snapshot_ids()[0]}")
    prune(bundle)
    assert check(bundle).faults == []
    assert held(bundle)["net"].artifacts[0].size == 5
    assert WEIGHTS not in [file.read_bytes() for file in (bundle / "blobs").rglob("*") if file.is_file()]


def test_a_copy_of_one_snapshot_takes_the_files_of_its_own_models_only(bundle: Path, tmp_path: Path) -> None:
    again = source_with_models()
    again.models[LOGGED_MODELS.name].items[0] = replace(again.models[LOGGED_MODELS.name].items[0], updated_at=9)
    again.models[LOGGED_MODELS.name].contents = {("m-1",): {"MLmodel": b"other"}}
    export_to(open_bundle(bundle), again)
    newest = open_bundle(bundle).snapshot_ids()[-1]
    assert copy(f"{bundle}@{newest}", tmp_path / "copy").failed == []
    assert check(tmp_path / "copy").faults == []
    assert held(tmp_path / "copy")["net"].artifacts[0].size == 5
    assert layout.SUPERSEDED in open_bundle(tmp_path / "copy").features


def test_a_broken_file_of_a_model_is_repaired_from_its_source(bundle: Path) -> None:
    file = bundle / layout.blob(held(bundle)["net"].artifacts[0].sha256)
    flip(file, 0)
    assert [fault.snapshots for fault in check(bundle).faults] != []
    report = RepairReport("", "")
    opened = open_bundle(bundle)
    repair_from(opened, source_with_models(), report, NoLock(), 4, None, Silent())  # type: ignore[arg-type]
    assert (report.left, report.set_aside) == ([], [])
    assert check(bundle).faults == []


def test_a_file_that_cannot_be_read_is_named_and_tried_again(tmp_path: Path) -> None:
    source = source_with_models()
    models = source.models[LOGGED_MODELS.name]
    models.contents = {("m-1",): {**FILES, "lost": None}}
    bundle = create_bundle(tmp_path / "b")
    report = export_to(bundle, source)
    assert report.exit_code == 3
    assert held(tmp_path / "b")["net"].problems[0].name == "lost"
    models.contents = {("m-1",): FILES}
    assert export_to(bundle, source).exit_code == 0
    assert held(tmp_path / "b")["net"].problems == ()


def test_without_artifacts_models_have_no_files(tmp_path: Path) -> None:
    export_to(create_bundle(tmp_path / "b"), source_with_models(), artifacts=False)
    assert held(tmp_path / "b")["net"].artifacts is None


@pytest.mark.parametrize(
    ("selection", "logged", "versions"),
    [
        (Selection(experiments=("kept",)), {"net"}, {"churn/1"}),
        (Selection(experiments=("gone",)), {"m-2"}, {"other/1"}),
        (Selection(runs=("second",)), set(), set()),
    ],
)
def test_of_some_experiments_and_runs_their_models_are_meant(
    tmp_path: Path, selection: Selection, logged: set[str], versions: set[str]
) -> None:
    export_to(create_bundle(tmp_path / "b"), source_with_models(), selection=selection)
    assert set(held(tmp_path / "b")) == logged
    assert set(held(tmp_path / "b", MODEL_VERSIONS)) == versions
    assert set(held(tmp_path / "b", REGISTERED_MODELS)) == {name.split("/")[0] for name in versions}


def test_a_document_that_is_no_model_is_refused(bundle: Path) -> None:
    part = next(part for part in open_bundle(bundle).latest().objects if part.kind == LOGGED_MODELS.name)
    flip(bundle / part.documents.path, 30)
    with pytest.raises(RunsyncError):
        held(bundle)
    assert any(fault.file == part.documents.path for fault in check(bundle).faults)


def test_a_model_is_selected_with_what_it_links_to(tmp_path: Path) -> None:
    for asked, versions, runs in (
        ("churn@champion", ("churn/12",), ()),
        ("churn/1", ("churn/1",), ("first",)),
        ("churn", ("churn/1", "churn/12"), ("first",)),
    ):
        selection = resolved(source_with_models(), Selection(models=(asked,)))
        assert (selection.models, selection.runs) == (versions, runs)
        folder = tmp_path / asked.replace("/", "-")
        export_to(create_bundle(folder), source_with_models(), selection=selection)
        assert tuple(held(folder, MODEL_VERSIONS)) == versions
        assert set(held(folder, REGISTERED_MODELS)) == {"churn"}
        assert open_bundle(folder).latest().counts.runs == len(runs)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("chrun", "there is no registered model “chrun” with a version: did you mean “churn”?"),
        ("churn@champ", "registered model “churn” has no alias “champ”: did you mean “champion”?"),
        ("churn/3", "registered model “churn” has no version 3"),
    ],
)
def test_a_model_that_is_not_there_is_told_with_what_is(asked: str, message: str) -> None:
    with pytest.raises(RunsyncError) as told:
        resolved(source_with_models(), Selection(models=(asked,)))
    assert str(told.value) == message


def test_only_the_kinds_that_are_asked_for_are_carried(tmp_path: Path) -> None:
    selection = Selection(kinds=("registered-models", "model-versions"))
    report = export_to(create_bundle(tmp_path / "b"), source_with_models(), selection=selection)
    assert (report.exit_code, report.runs.total, set(report.objects)) == (0, 0, set(selection.kinds))
    again = open_bundle(tmp_path / "b").latest()
    assert Selection.from_document(again.selection) == selection


def test_experiments_can_be_carried_alone(tmp_path: Path) -> None:
    source = source_with_models()
    selection = resolved(source, Selection(kinds=("experiments",)))
    report = export_to(create_bundle(tmp_path / "b"), source, selection=selection)
    assert (report.exit_code, report.runs.total, report.objects) == (0, 0, {})
    wanted = source.experiments(Selection())
    assert report.experiments.created == len(wanted) > 0
    assert open_snapshot(tmp_path / "b").experiments(Selection()) == wanted


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(RunsyncError, match="there is no kind “registred-models”: did you mean “registered-models”"):
        resolved(source_with_models(), Selection(kinds=("registred-models",)))


def test_verify_compares_models_with_their_files(bundle: Path, tmp_path: Path) -> None:
    copy(bundle, tmp_path / "copy")
    same = verify(str(bundle), str(tmp_path / "copy"), verify_artifacts=True)
    assert (same.exit_code, same.objects) == (
        0,
        {REGISTERED_MODELS.name: 2, LOGGED_MODELS.name: 2, MODEL_VERSIONS.name: 3, MODEL_ALIASES.name: 1},
    )
    assert same.artifacts == 6
    other = source_with_models()
    models = other.models[LOGGED_MODELS.name]
    models.items[0] = replace(models.items[0], status="FAILED")
    models.contents = {("m-1",): {**FILES, "MLmodel": b"flavors: []\n"}}
    del other.models[MODEL_ALIASES.name].items[0]
    export_to(create_bundle(tmp_path / "other"), other)
    found = verify(str(bundle), str(tmp_path / "other"))
    assert [(d.kind, d.name, d.field) for d in found.differences] == [
        ("logged model", "net", "status"),
        ("logged model", "net", "artifacts.MLmodel"),
        ("model alias", "churn@champion", ""),
    ]
    assert verify(str(bundle), str(tmp_path / "other"), artifacts=False).exit_code == 4


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_an_entity_that_is_twice_in_a_snapshot_is_damage_to_check_and_to_whoever_reads_it(
    whole: Path, tmp_path: Path, kind: str
) -> None:
    forgery = Forgery.of(whole)
    forgery.documents[kind].append(forgery.documents[kind][0])
    forgery.write(tmp_path / "bundle")
    (fault,) = check(tmp_path / "bundle").faults
    assert "is twice in the snapshot" in fault.error
    with pytest.raises(BundleDamaged, match=f"{BY_NAME[kind].noun} .* is twice in snapshot"):
        held(tmp_path / "bundle", BY_NAME[kind])
