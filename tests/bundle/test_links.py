"""Links and what is no file: blobs/ and parts/ may be moved and linked, nothing else is followed, nothing blocks."""

import os
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support.attempts import attempt, wrong_with
from support.damage import files_of, one_of
from support.memory import export_into

from runsync.bundle.bundle import open_bundle
from runsync.bundle.check import check
from runsync.bundle.local_store import LocalStore
from runsync.bundle.store import NO_FILE
from runsync.errors import BundleDamaged, RunsyncError
from runsync.testing.memory import small_source


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    export_into(tmp_path / "bundle", small_source())
    return tmp_path / "bundle"


def moved(folder: Path, to: Path) -> None:
    shutil.move(folder, to)
    folder.symlink_to(to)


@pytest.mark.parametrize("names", [["blobs"], ["parts"], ["blobs", "parts"], []])
def test_a_bundle_moved_to_another_disk_works_for_every_command_and_grows_there(
    bundle: Path, tmp_path: Path, names: list[str]
) -> None:
    (tmp_path / "disk").mkdir()
    for name in names:
        moved(bundle / name, tmp_path / "disk" / name)
    if not names:
        moved(bundle, tmp_path / "disk" / "all")
    report = check(bundle)
    assert (report.exit_code, report.foreign, report.unused) == (0, [], [])
    source = small_source()
    source.files["first"]["new"] = b"new"
    source.runs[0] = replace(source.runs[0], params={"lr": "9"})
    assert export_into(bundle, source).exit_code == 0
    assert attempt("import", bundle, tmp_path / "store").code == 0
    assert attempt("copy", bundle, tmp_path / "copy").code == 0
    assert attempt("forget", bundle, "--keep-last", 1, "--prune", "--yes").code == 0
    assert check(bundle).exit_code == 0
    assert all((bundle / name).is_symlink() for name in names)
    inside = bundle.resolve()
    assert len(list(inside.glob("blobs/*/*"))) == len(list((tmp_path / "copy").glob("blobs/*/*")))


def _socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(file.parent)
        made.bind(file.name)


ODD: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a folder": os.mkdir,
    "a link": lambda file: file.symlink_to("/dev/zero"),
    "a socket": _socket,
}


@pytest.mark.parametrize("kind", ["manifest", "runs part", "metrics part", "experiments part", "blob"])
@pytest.mark.parametrize("odd", list(ODD))
def test_what_is_no_file_is_named_and_neither_read_nor_waited_for(
    bundle: Path, odd: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    file = one_of(bundle, kind)
    file.unlink()
    ODD[odd](file)
    report = check(bundle)
    name = file.relative_to(bundle).as_posix()
    assert (report.exit_code, {fault.file for fault in report.faults}) == (12, {name})
    assert any(odd in fault.error for fault in report.faults)
    assert (report.suspects, report.is_noted) == ([], True)  # nobody takes it for sound anyway
    assert "cannot be written" not in attempt("check", bundle).stdout
    store = LocalStore(bundle)
    assert store.size(name) == NO_FILE
    with pytest.raises(BundleDamaged, match=f"cannot be read: it is {odd}, not a file"):
        store.open(name)


@pytest.mark.parametrize("odd", list(ODD))
def test_repair_sets_aside_what_is_no_file_and_the_next_export_stores_the_file(
    bundle: Path, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    sound = files_of(bundle)
    file = one_of(bundle, "blob")
    file.unlink()
    ODD[odd](file)
    attempt("check", bundle, "--repair", "--yes")
    assert file not in list(file.parent.iterdir())
    assert export_into(bundle, small_source()).exit_code == 0
    assert check(bundle).exit_code == 0
    assert sound.items() <= files_of(bundle).items()


@pytest.mark.parametrize("odd", ["a FIFO", "a link", "a socket"])
def test_the_marker_is_a_file_or_it_is_no_bundle(bundle: Path, odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bundle)
    (bundle / "runsync.json").unlink()
    ODD[odd](bundle / "runsync.json")
    for command in (("check", bundle), ("snapshots", bundle), ("export", bundle, bundle), ("copy", bundle, "copy")):
        ended = attempt(*command)
        assert not wrong_with(ended)
        assert ended.code in (2, 10, 12)


@pytest.mark.parametrize("name", ["snapshots", "locks", "claims", "suspects", "tmp", "quarantine"])
def test_no_other_folder_is_followed(bundle: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    if (bundle / name).exists():
        shutil.move(bundle / name, outside)
    else:
        outside.mkdir()
    before = files_of(outside)
    (bundle / name).symlink_to(outside)
    for command in (("check", bundle), ("unlock", bundle), ("prune", bundle)):
        assert not wrong_with(attempt(*command))
    assert attempt("check", bundle).code == (12 if name == "snapshots" else 0)
    with pytest.raises(BundleDamaged, match="is a link, not a folder"):
        LocalStore(bundle).create(f"{name}/new", b"new")
    assert files_of(outside) == before


@pytest.mark.parametrize("name", ["snapshots", "history", "parts", "blobs", "locks", "claims"])
def test_a_folder_that_leads_to_itself_ends_no_command_unforeseen(bundle: Path, tmp_path: Path, name: str) -> None:
    shutil.rmtree(bundle / name, ignore_errors=True)
    (bundle / name).symlink_to(bundle / name)
    for command in (
        ("check", bundle),
        ("snapshots", bundle),
        ("prune", bundle),
        ("import", bundle, tmp_path / "store"),
    ):
        assert not wrong_with(attempt(*command))
    assert attempt("check", bundle).code == (0 if name in ("locks", "claims") else 12)
    with suppress(RunsyncError):
        export_into(bundle, small_source())


def test_a_link_to_everything_is_not_walked(bundle: Path) -> None:
    (bundle / "all").symlink_to("/")
    shutil.rmtree(bundle / "blobs")
    (bundle / "blobs").symlink_to("/")
    report = check(bundle)
    assert report.exit_code == 12
    assert len(report.foreign) < 100


def test_a_folder_of_blobs_that_is_a_link_is_damage(bundle: Path, tmp_path: Path) -> None:
    blob = one_of(bundle, "blob")
    moved(blob.parent, tmp_path / "elsewhere")
    report = check(bundle)
    assert [fault.kind for fault in report.faults] == ["missing"]
    assert open_bundle(bundle).snapshot_ids()
    with pytest.raises(BundleDamaged, match="is a link, not a folder"):
        LocalStore(bundle).open(blob.relative_to(bundle).as_posix())
