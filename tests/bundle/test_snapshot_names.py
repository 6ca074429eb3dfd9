"""`BUNDLE@SNAPSHOT`: one snapshot by name, wherever a bundle is read."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import Runner
from support.memory import add_snapshot, export_to
from support.s3 import Bucket

from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import Bundle, create_bundle
from runsync.bundle.forget import forget
from runsync.bundle.snapshot import open_snapshot
from runsync.errors import Ambiguous, BundleNotFound, WrongUsage
from runsync.s3 import S3Options
from runsync.testing.memory import small_source

IDS = [
    "20240229T120000.000Z-00000a",
    "20240301T030000.000Z-00000b",
    "20240301T230000.500Z-00000c",
    "20250101T000000.000Z-00000d",
]


def dated(bundle: Bundle, snapshot_id: str) -> None:
    """A snapshot like the newest one, of that id."""
    moment = datetime.strptime(snapshot_id[:19], "%Y%m%dT%H%M%S.%f")
    told = moment.isoformat(timespec="milliseconds") + "Z"
    add_snapshot(bundle, dataclasses.replace(bundle.latest(), id=snapshot_id, started_at=told, created_at=told))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Snapshots of long ago; the first of them holds one run less."""
    made = create_bundle(tmp_path / "bundle")
    less = small_source()
    less.runs.pop()
    for ids, source in ((IDS[:1], less), (IDS[1:], small_source())):
        of_today = export_to(made, source).snapshot
        for snapshot_id in ids:
            dated(made, snapshot_id)
        forget(f"{made.address}@{of_today}")
    return made


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("latest", 3),
        (IDS[0], 0),
        ("20240229", 0),
        ("20240301T03", 1),
        ("00000c", 2),
        ("2024-03-01", 2),  # by the end of that day
        ("2024-03-01T12:00Z", 1),
        ("2024-03-01T04:30+02:00", 0),
        ("2024-12-31", 2),
        ("2025-01-01", 3),
        ("7d", 3),
    ],
)
def test_a_snapshot_is_found_by_its_id_by_what_is_left_of_it_or_by_a_time(
    bundle: Bundle, name: str, meant: int
) -> None:
    assert open_snapshot(f"{bundle.address}@{name}").manifest.id == IDS[meant]


def test_without_a_name_the_newest_is_meant(bundle: Bundle) -> None:
    assert open_snapshot(bundle.address).manifest.id == IDS[3]


@pytest.mark.parametrize("name", ["2024-02-28", "00ffff", "20230101T000000.000Z-00000a", "no such", "abcdef0123"])
def test_a_snapshot_that_is_not_there_is_told_with_a_hint(bundle: Bundle, name: str) -> None:
    with pytest.raises(BundleNotFound, match=f"has no snapshot “{name}”: it has 4 snapshots, which runsync snap"):
        open_snapshot(f"{bundle.address}@{name}")


@pytest.mark.parametrize("name", ["2024", "20240301"])
def test_a_name_that_may_mean_several_is_refused(bundle: Bundle, name: str) -> None:
    with pytest.raises(Ambiguous, match=r"means [23] snapshots of .*: give more of the id") as caught:
        open_snapshot(f"{bundle.address}@{name}")
    assert f"  {IDS[1]}" in caught.value.lines


def test_the_beginning_of_the_last_six_digits_is_enough_and_days_stay_a_time(bundle: Bundle) -> None:
    dated(bundle, "20240401T000000.000Z-7dab12")
    for name in ("7dab12", "7dab", "7da", "20240401T000000.000Z-7", "20240401T000000.000Z-7d"):
        assert open_snapshot(f"{bundle.address}@{name}").manifest.id == "20240401T000000.000Z-7dab12"
    assert open_snapshot(f"{bundle.address}@7d").manifest.id == IDS[3]


def test_all_six_digits_are_an_id_though_they_look_like_days(bundle: Bundle) -> None:
    long_ago = "20240101T000000.000Z-00007d"
    dated(bundle, long_ago)
    assert open_snapshot(f"{bundle.address}@00007d").manifest.id == long_ago
    assert open_snapshot(f"{bundle.address}@000007d").manifest.id == IDS[3]


def test_a_name_in_runsync_toml_may_be_followed_by_any_snapshot(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "runsync.toml").write_text(f'[bundles.nightly]\nuri = "{bundle.address}"\n')
    with pytest.raises(BundleNotFound, match="has no snapshot “zzz”"):
        open_snapshot("nightly@zzz", Access(str(tmp_path / "runsync.toml")))


def test_a_folder_that_is_not_there_is_told_apart_from_one_without_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="nowhere is not there: check the path"):
        open_snapshot(tmp_path / "nowhere")
    with pytest.raises(BundleNotFound, match="is no runsync bundle"):
        open_snapshot(tmp_path)


def test_days_ago_mean_the_newest_that_was_finished_by_then(bundle: Bundle) -> None:
    for days in (3, 10):
        moment = datetime.now(UTC) - timedelta(days=days)
        dated(bundle, f"{moment:%Y%m%dT%H%M%S}.000Z-0000{days:02}")
    assert open_snapshot(f"{bundle.address}@2d").manifest.id.endswith("-000003")
    assert open_snapshot(f"{bundle.address}@4d").manifest.id.endswith("-000010")
    assert open_snapshot(f"{bundle.address}@2w").manifest.id == IDS[3]


def test_an_at_sign_in_the_name_of_a_folder_is_its_own(tmp_path: Path) -> None:
    export_to(create_bundle(tmp_path / "runs@home"), small_source())
    assert open_snapshot(tmp_path / "runs@home").manifest.counts.runs == 3
    assert open_snapshot(f"{tmp_path}/runs@home@latest").manifest.counts.runs == 3
    (tmp_path / "of@latest").mkdir()
    assert locate(tmp_path / "of@latest").snapshot == ""


def test_on_s3_a_snapshot_is_named_the_same_way(bucket: Bucket) -> None:
    access = Access(s3=S3Options(bucket.endpoint))
    bundle = create_bundle(f"{bucket.url}/b", access)
    first, _ = (export_to(bundle, small_source()).snapshot for _ in range(2))
    assert open_snapshot(f"{bucket.url}/b@{first}", access).manifest.id == first


@pytest.mark.parametrize(
    ("address", "snapshot"),
    [
        ("s3://backups/mlflow@2", ""),
        ("s3://backups/mlflow@v2", ""),
        ("s3://backups/mlflow@2@7dab", "7dab"),
        ("s3://backups/mlflow@7d", "7d"),
        ("s3://backups/mlflow@2026-11-01", "2026-11-01"),
        ("s3://backups/mlflow@20261101T030000.000Z-7d", "20261101T030000.000Z-7d"),
    ],
)
def test_on_s3_an_at_sign_may_be_of_a_name(address: str, snapshot: str) -> None:
    place = locate(address)
    assert (place.snapshot, place.store.address) == (snapshot, address.removesuffix(f"@{snapshot}"))


@pytest.mark.parametrize("verb", ["inspect", "check"])
def test_commands_that_read_a_bundle_take_an_older_snapshot(bundle: Bundle, verb: str, runsync: Runner) -> None:
    done = runsync(verb, f"{bundle.address}@00000a", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    if verb == "inspect":
        assert (told["snapshot"]["id"], told["snapshot"]["counts"]["runs"]) == (IDS[0], 2)
    else:
        assert told["snapshots"] == 1


@pytest.mark.parametrize(("name", "code"), [("00ffff", 10), ("2024-02-28", 10), ("2024", 2)])
def test_a_snapshot_that_cannot_be_meant_ends_a_command_with_one_line_and_those_it_may_be(
    bundle: Bundle, name: str, code: int, runsync: Runner
) -> None:
    done = runsync("inspect", f"{bundle.address}@{name}")
    assert (done.returncode, done.stdout) == (code, "")
    assert len(done.stderr.splitlines()) == (1 if code == 10 else 4)


def test_nothing_is_written_into_one_snapshot(bundle: Bundle) -> None:
    with pytest.raises(WrongUsage, match="leave out @latest"):
        create_bundle(f"{bundle.address}@latest")


def test_a_slip_in_the_name_of_a_snapshot_on_s3_is_told_as_one(bucket: Bucket, runsync: Runner) -> None:
    done = runsync("inspect", f"{bucket.url}/one@lastest", env=bucket.environment)
    assert done.returncode == 10
    assert f"“lastest” names no snapshot: see runsync snapshots {bucket.url}/one" in done.stderr
