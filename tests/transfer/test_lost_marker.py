"""A bundle without its runsync.json is a damaged one; check --repair writes it again, on a disk and on S3."""

import json
from pathlib import Path

import pytest
from conftest import Runner
from support.memory import export_into
from support.s3 import Bucket

from runsync.bundle import layout
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import create_bundle, existing_or_empty, open_bundle
from runsync.bundle.check import check
from runsync.bundle.copy import copy
from runsync.bundle.store import Store
from runsync.errors import BundleDamaged, WrongUsage
from runsync.s3 import S3Options
from runsync.testing.memory import small_source
from runsync.transfer.repair import repair


def marker_of(store: Store) -> dict[str, object]:
    told: dict[str, object] = json.loads(store.read(layout.MARKER))
    return told


def lose_marker(store: Store) -> dict[str, object]:
    told = marker_of(store)
    store.remove(layout.MARKER)
    return told


@pytest.mark.parametrize("where", ["disk", pytest.param("S3", marks=pytest.mark.slow)])
def test_a_lost_marker_is_damage_and_repair_writes_it_again(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    export_into(tmp_path / "made", small_source())
    address, access = str(tmp_path / "made"), Access()
    if where == "S3":
        bucket: Bucket = request.getfixturevalue("bucket")
        address, access = f"{bucket.url}/backup", Access(s3=S3Options(bucket.endpoint))
        copy(tmp_path / "made", address, access=access)
    store = locate(address, access).store
    before = lose_marker(store)
    for opened in (open_bundle, create_bundle, existing_or_empty):
        with pytest.raises(BundleDamaged, match=r"runsync\.json is missing, .* --repair writes it again"):
            opened(address, access)
    planned = repair(address, dry_run=True, access=access)
    assert ([fault.file for fault in planned.left], planned.set_aside) == ([layout.MARKER], [])
    assert store.size(layout.MARKER) is None
    done = repair(address, access=access)
    assert (done.exit_code, done.repaired, done.quarantined) == (0, [layout.MARKER], [])
    assert marker_of(store)["required_features"] == before["required_features"] == [layout.ORDERED]
    assert check(address, access=access).exit_code == 0


def test_the_marker_asks_again_for_all_that_a_reader_must_know(tmp_path: Path) -> None:
    export_into(tmp_path / "b", small_source())
    bundle = open_bundle(tmp_path / "b")
    (tmp_path / "b" / layout.part("0" * 64, layout.ENTITIES["permissions"])).write_bytes(b"")
    (tmp_path / "b" / layout.part("0" * 64, layout.RUNS)).write_bytes(b"unreadable: it may name growing files")
    lose_marker(bundle.store)
    repair(tmp_path / "b")
    assert marker_of(bundle.store)["required_features"] == sorted(["permissions", layout.GROWING, layout.ORDERED])


def test_a_snapshot_that_is_missing_too_is_told(tmp_path: Path) -> None:
    snapshot = export_into(tmp_path / "b", small_source()).snapshot
    lose_marker(open_bundle(tmp_path / "b").store)
    (tmp_path / "b" / layout.snapshot(snapshot)).unlink()
    found = {fault.file for fault in repair(tmp_path / "b", dry_run=True).faults}
    assert found == {layout.MARKER, layout.snapshot(snapshot)}


def test_parts_alone_do_not_tell_the_version_of_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / layout.part("0" * 64, layout.RUNS)).write_bytes(b"")
    with pytest.raises(BundleDamaged, match="take it from a copy"):
        repair(tmp_path)
    assert not (tmp_path / layout.MARKER).exists()


def test_no_command_advises_to_empty_a_folder(tmp_path: Path, runsync: Runner) -> None:
    export_into(tmp_path / "b", small_source())
    lose_marker(open_bundle(tmp_path / "b").store)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(WrongUsage, match=r"not empty and no bundle: name a new place$"):
        create_bundle(tmp_path / "other")
    for command in (["check"], ["copy", tmp_path / "b2"], ["snapshots"]):
        done = runsync(command[0], tmp_path / "b", *command[1:])
        assert done.returncode == 12, done.stderr
        assert "--repair writes it again" in done.stderr
    assert f"runsync check {tmp_path / 'b'} tells" in runsync("doctor", tmp_path / "b").stderr
    assert runsync("check", tmp_path / "b", "--repair", "--yes").stdout.endswith("Sound.\n")
