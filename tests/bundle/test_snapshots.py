"""Listing and forgetting snapshots: what is told, what goes, and what does not."""

import dataclasses
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.clocks import Clock
from support.damage import files_of, flip
from support.memory import add_snapshot, export_to

from runsync.bundle.bundle import Bundle, create_bundle
from runsync.bundle.forget import forget
from runsync.bundle.retention import Policy
from runsync.bundle.snapshots import snapshots
from runsync.errors import BundleNotFound, WrongUsage
from runsync.model.place import Place
from runsync.testing.memory import small_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bundle"


@pytest.fixture
def bundle(folder: Path) -> Bundle:
    return create_bundle(folder)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Exports are made in December 2025, before the dates that tests choose; it is February 2026 after that."""
    return Clock(monkeypatch, datetime(2025, 12, 1, tzinfo=UTC))


FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)


def dated(bundle: Bundle, day: str, **changes: object) -> str:
    """A snapshot like the newest one, finished at noon of a day."""
    snapshot_id = f"{day.replace('-', '')}T120000.000Z-{len(bundle.snapshot_ids()):06x}"
    manifest = bundle.manifest(bundle.snapshot_ids()[0])
    add_snapshot(bundle, dataclasses.replace(manifest, id=snapshot_id, created_at=f"{day}T12:00:00.000Z", **changes))  # type: ignore[arg-type]
    return snapshot_id


def test_all_snapshots_are_listed_oldest_first_with_what_they_hold(bundle: Bundle, folder: Path) -> None:
    made = [export_to(bundle, small_source()).snapshot for _ in range(3)]
    report = snapshots(folder)
    assert [one.id for one in report.snapshots] == made
    first = report.snapshots[0]
    assert (first.source, first.runs, first.metric_points, first.artifacts) == ("memory", 3, 53, 3)
    assert (first.experiments, first.artifact_bytes, first.failed, first.problems) == (2, 1005, 0, 0)
    assert report.exit_code == 0


def test_a_broken_manifest_is_told_and_the_others_are_listed(bundle: Bundle, folder: Path) -> None:
    made = [export_to(bundle, small_source()).snapshot for _ in range(4)]
    flip(folder / f"snapshots/{made[1]}.json", 500)
    content = (folder / f"snapshots/{made[0]}.json").read_bytes()
    (folder / f"snapshots/{made[2]}.json").write_bytes(content)
    report = snapshots(folder)
    assert [one.id for one in report.snapshots] == [made[0], made[3]]
    assert [one.id for one in report.broken] == made[1:3]
    assert report.broken[1].error.endswith(f"it is the manifest of another snapshot, {made[0]}")
    assert report.exit_code == 12


def test_a_hundred_snapshots_are_listed_in_under_a_second_of_cpu(bundle: Bundle, folder: Path) -> None:
    export_to(bundle, small_source())
    for number in range(100):
        dated(bundle, f"20{number:02d}-01-01")
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        assert len(snapshots(folder).snapshots) == 101
        seconds.append(time.process_time() - begun)
    assert min(seconds) < 1


def test_a_place_without_a_bundle_is_told(tmp_path: Path) -> None:
    for verb in (snapshots, lambda where: forget(where, Policy(last=1))):
        with pytest.raises(BundleNotFound):
            verb(tmp_path)


def test_each_source_and_selection_is_looked_at_by_itself(bundle: Bundle, folder: Path, clock: Clock) -> None:
    first = export_to(bundle, small_source()).snapshot
    selection = dict(bundle.latest().selection)
    others = [
        dated(bundle, "2026-01-01", source=Place("memory", "another")),
        dated(bundle, "2026-01-02", source=Place("memory", "memory"), selection={**selection, "state": "active"}),
        dated(bundle, "2026-01-03", selection={**selection, "filter": "x"}),
        dated(bundle, "2026-01-04", selection=selection, with_artifacts=False),
    ]
    clock.now = FEBRUARY
    report = forget(folder, Policy(last=1))
    assert report.to_remove == []
    assert bundle.snapshot_ids() == [first, *others]


def test_a_selection_by_age_is_the_same_every_night(bundle: Bundle, folder: Path, clock: Clock) -> None:
    export_to(bundle, small_source())
    selection = dict(bundle.latest().selection)
    older = dated(bundle, "2026-01-01", selection={**selection, "since": 1})
    newer = dated(bundle, "2026-01-02", selection={**selection, "since": 2})
    clock.now = FEBRUARY
    assert forget(folder, Policy(last=1)).to_remove == [older]
    assert newer in bundle.snapshot_ids()


def test_forgetting_removes_manifests_with_their_records_and_nothing_else(bundle: Bundle, folder: Path) -> None:
    made = [export_to(bundle, small_source()).snapshot for _ in range(4)]
    before = files_of(folder)
    planned = forget(folder, Policy(last=2), dry_run=True)
    assert files_of(folder) == before
    report = forget(folder, Policy(last=2))
    assert report.snapshots == planned.snapshots
    records = {name for name in before if name.startswith("history/") and any(gone in name for gone in made[:2])}
    assert before.keys() - files_of(folder).keys() == {*records, *(f"snapshots/{gone}.json" for gone in made[:2])}
    assert (len(records), files_of(folder).keys() - before.keys()) == (2, set())
    assert forget(folder, Policy(last=2)).to_remove == []


@pytest.mark.parametrize("name", ["the id", "its beginning", "its end", "latest"])
def test_one_snapshot_is_forgotten_by_its_name(bundle: Bundle, folder: Path, name: str) -> None:
    made = [export_to(bundle, small_source()).snapshot for _ in range(2)]
    dated(bundle, "2026-01-01")
    made = bundle.snapshot_ids()
    last = made[-1]
    named = {"the id": last, "its beginning": "20260101", "its end": last[-6:], "latest": "latest"}[name]
    assert forget(f"{folder}@{named}").to_remove == [last]
    assert bundle.snapshot_ids() == made[:-1]


@pytest.mark.parametrize("name", ["2030-01-01", "0s"])
def test_a_time_is_too_vague_a_name_for_what_is_to_be_forgotten(bundle: Bundle, folder: Path, name: str) -> None:
    made = export_to(bundle, small_source()).snapshot
    with pytest.raises(WrongUsage, match=f"would mean {made}: name the snapshot to forget by its id"):
        forget(f"{folder}@{name}")
    assert bundle.snapshot_ids() == [made]


def test_a_broken_snapshot_is_kept_by_a_policy_and_forgotten_by_its_id(bundle: Bundle, folder: Path) -> None:
    made = [export_to(bundle, small_source()).snapshot for _ in range(4)]
    flip(folder / f"snapshots/{made[0]}.json", 500)
    report = forget(folder, Policy(last=1))
    assert (report.exit_code, report.to_remove, [one.id for one in report.broken]) == (12, made[1:3], made[:1])
    assert bundle.snapshot_ids() == [made[0], made[3]]
    assert forget(f"{folder}@{made[0]}").to_remove == made[:1]
    assert bundle.snapshot_ids() == made[3:]


@pytest.mark.parametrize("policy", [None, Policy()])
def test_without_a_policy_or_a_name_nothing_is_forgotten(bundle: Bundle, folder: Path, policy: Policy | None) -> None:
    made = export_to(bundle, small_source()).snapshot
    with pytest.raises(WrongUsage, match="an empty policy would keep no snapshot: say what to keep with --keep-last"):
        forget(folder, policy)
    with pytest.raises(WrongUsage, match="one snapshot or a policy"):
        forget(f"{folder}@{made}", Policy(last=1))
    assert bundle.snapshot_ids() == [made]
