"""check --repair mends what a source still has, sets aside what it has not, and deletes nothing."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Runner
from support.damage import files_of, flip, one_of
from support.interleaving import NoLock
from support.memory import export_into
from support.mutations import export_nights
from support.processes import GONE, run_as
from support.s3 import Bucket
from support.seed import Seeder, points
from support.servers import MlflowServer
from support.stopping import Stopped, StoppingStore

from runsync.bundle import locks, schemas
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import Bundle, open_bundle
from runsync.bundle.check import check
from runsync.bundle.copy import copy
from runsync.bundle.local_store import LocalStore
from runsync.errors import BundleLocked, WrongUsage
from runsync.model.identity import ORIGIN
from runsync.model.progress import Silent
from runsync.s3 import S3Options
from runsync.testing.memory import MemorySource, small_source
from runsync.transfer.repair import RepairReport, repair, repair_from

DAMAGED_KINDS = ["blob", "metrics part", "runs part", "experiments part", "manifest"]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    export_into(tmp_path / "bundle", small_source())
    return tmp_path / "bundle"


def mend(bundle: Path | Bundle, source: MemorySource | None) -> RepairReport:
    """What `runsync.repair` does, from memory."""
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    report = RepairReport(opened.address, "memory" if source else "")
    repair_from(opened, source, report, NoLock(), 4, None, Silent())  # type: ignore[arg-type]
    opened.store.clear_temporary()
    return report


def broken(bundle: Path, kind: str, how: str) -> str:
    """Breaks the largest file of a kind; its name."""
    file = one_of(bundle, kind)
    if how == "flipped":
        flip(file, file.stat().st_size // 2)
    elif how == "emptied":
        file.write_bytes(b"")
    else:
        file.unlink()
    return file.relative_to(bundle).as_posix()


@pytest.mark.parametrize("how", ["flipped", "emptied", "missing"])
@pytest.mark.parametrize("kind", ["blob", "metrics part", "runs part", "experiments part"])
def test_what_the_source_still_has_as_it_was_is_mended_in_place(bundle: Path, kind: str, how: str) -> None:
    sound = files_of(bundle)
    name = broken(bundle, kind, how)
    wrong = files_of(bundle).get(name)
    report = mend(bundle, small_source())
    assert (report.exit_code, report.left, report.set_aside) == (0, [], [])
    assert report.repaired == [name]
    after = files_of(bundle)
    assert sound.items() <= after.items()
    assert wrong is None or after[report.quarantine + name] == wrong
    assert report.quarantined == ([name] if wrong is not None else [])
    assert check(bundle).exit_code == 0


@pytest.mark.parametrize("how", ["flipped", "emptied"])
def test_a_broken_manifest_is_set_aside_and_a_new_snapshot_takes_over_all_that_is_sound(bundle: Path, how: str) -> None:
    before = files_of(bundle)
    name = broken(bundle, "manifest", how)
    wrong = files_of(bundle)[name]
    source = small_source()
    report = mend(bundle, source)
    assert (report.exit_code, report.left) == (0, [])
    assert report.set_aside == [Path(name).stem]
    assert open_bundle(bundle).snapshot_ids() == [report.snapshot]
    assert source.asked == []
    after = files_of(bundle)
    records = {name for name in after.keys() - before.keys() if "history/" in name}
    assert after.keys() - before.keys() - records == {f"snapshots/{report.snapshot}.json", report.quarantine + name}
    assert len(records) == 2
    assert after[report.quarantine + name] == wrong
    assert check(bundle).exit_code == 0


@pytest.mark.parametrize("kind", ["metrics part", "runs part", "experiments part"])
def test_a_part_of_a_source_that_has_changed_costs_the_snapshot_and_a_new_one_is_whole(bundle: Path, kind: str) -> None:
    name = broken(bundle, kind, "flipped")
    (old,) = open_bundle(bundle).snapshot_ids()
    source = small_source()
    source.runs = [dataclasses.replace(run, params={"changed": "since"}) for run in source.runs]
    source.points = {run: {key: [*p, (99, 99, 0.5)] for key, p in keys.items()} for run, keys in source.points.items()}
    source.all_experiments[0] = dataclasses.replace(source.all_experiments[0], tags={"team": "other"})
    report = mend(bundle, source)
    assert (report.exit_code, report.left, report.set_aside) == (0, [], [old])
    assert report.quarantined == sorted([name, f"snapshots/{old}.json"])
    assert open_bundle(bundle).snapshot_ids() == [report.snapshot]
    assert check(bundle).exit_code == 0


def test_a_file_that_the_source_no_longer_has_leaves_its_snapshot_listed_and_damaged(bundle: Path) -> None:
    name = broken(bundle, "blob", "flipped")
    source = small_source()
    source.files["first"]["model/weights.bin"] = b"replaced since"
    report = mend(bundle, source)
    assert (report.exit_code, report.repaired, report.set_aside, report.snapshot) == (12, [], [], "")
    (left,) = report.left
    assert (left.file, left.kind, left.runs) == (name, "missing", ["first"])
    assert left.snapshots == open_bundle(bundle).snapshot_ids()
    assert [fault.file for fault in check(bundle).faults] == [name]


def test_a_file_is_taken_from_a_copy_of_its_run_too(bundle: Path) -> None:
    name = broken(bundle, "blob", "missing")
    source = small_source()
    copied = dataclasses.replace(source.runs[0], run_id="copy", tags={ORIGIN: "first"})
    source.runs = [copied]
    source.files = {"copy": source.files["first"]}
    report = mend(bundle, source)
    assert (report.exit_code, report.repaired) == (0, [name])


def test_without_a_source_what_is_broken_is_only_set_aside(bundle: Path) -> None:
    export_into(bundle, small_source())
    names = [broken(bundle, kind, "flipped") for kind in ("metrics part", "blob")]
    ids = open_bundle(bundle).snapshot_ids()
    before = files_of(bundle)
    report = mend(bundle, None)
    assert report.set_aside == ids
    assert report.quarantined == sorted([*names, *(f"snapshots/{i}.json" for i in ids)])
    assert {name.removeprefix(report.quarantine): content for name, content in files_of(bundle).items()} == before
    assert (report.exit_code, check(bundle).exit_code) == (0, 0)
    assert export_into(bundle, small_source()).exit_code == 0
    checked = check(bundle)
    assert (checked.exit_code, checked.foreign) == (0, [])


def test_a_snapshot_that_contradicts_itself_is_set_aside_and_its_sound_parts_stay(bundle: Path) -> None:
    file = one_of(bundle, "manifest")
    document = json.loads(file.read_bytes())
    other = file.with_name("20200101T000000.000Z-000000.json")
    file.rename(other)
    report = mend(bundle, small_source())
    assert (report.set_aside, report.exit_code) == (["20200101T000000.000Z-000000", file.stem], 0)
    assert {p["runs"]["path"] for p in document["parts"]} <= files_of(bundle).keys()


def test_a_sound_bundle_is_left_as_it_is(bundle: Path) -> None:
    before = files_of(bundle)
    report = mend(bundle, small_source())
    assert (report.exit_code, report.faults, report.quarantine) == (0, [], "")
    assert files_of(bundle) == before


def test_a_dry_run_and_a_no_move_nothing_and_tell_what_would_be(bundle: Path) -> None:
    names = [broken(bundle, kind, "flipped") for kind in ("metrics part", "blob")]
    before = files_of(bundle)
    planned = repair(bundle, dry_run=True)
    assert (planned.quarantined, planned.exit_code) == (sorted(names), 12)
    assert planned.set_aside == open_bundle(bundle).snapshot_ids()
    asked: list[RepairReport] = []

    def refuse(report: RepairReport) -> bool:
        asked.append(report)
        return False

    refused = repair(bundle, confirm=refuse)
    assert refused.exit_code == 12
    assert len(asked) == 1
    for report in (planned, refused):
        schemas.check("repair-report", report.to_document(), "report")
    assert files_of(bundle) == before


def test_after_damage_the_last_line_names_the_next_step(bundle: Path, tmp_path: Path, runsync: Runner) -> None:
    whole, half, other = (tmp_path / name for name in ("whole", "half", "other"))
    for place in (whole, half):
        shutil.copytree(bundle, place)
    names = [broken(bundle, kind, "flipped") for kind in ("metrics part", "blob")]
    (half / names[1]).unlink()
    before = files_of(bundle)
    mend_it = f"Damaged. To mend it: runsync check {bundle} --repair --from SOURCE"
    dry = ("check", bundle, "--repair", "--dry-run")
    some, all_of_it = f"but {half} can mend 1 of 2 files", f"but {whole} can mend all"
    for arguments, told in (
        (("check", bundle), mend_it),
        (("copy", bundle, other), mend_it),
        (dry, mend_it),
        ((*dry, "--from", half), f"Damaged, {some}. Run it without --dry-run to do this."),
        ((*dry, "--from", whole), f"Damaged, {all_of_it}. Run it without --dry-run to do this."),
    ):
        done = runsync(*arguments)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (12, told), done.stdout + done.stderr
        assert done.stdout.count(f"{names[1]}: {bundle}") == 0
    assert {name: content for name, content in files_of(bundle).items() if name in before} == before
    done = runsync("check", bundle, "--repair", "--from", whole, "--yes")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Sound.")
    assert runsync("copy", bundle, other, "--dry-run").stdout.endswith("Run it without --dry-run to do this.\n")
    assert runsync("copy", bundle, other).stdout.endswith("Done.\n")


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "kinds", [("blob", "metrics part", "experiments part"), ("runs part",), ("manifest",)], ids=", ".join
)
@pytest.mark.long
def test_stopped_at_any_write_nothing_is_lost_and_the_next_repair_finishes(
    bundle: Path, tmp_path: Path, kinds: tuple[str, ...], step: int
) -> None:
    for kind in kinds:
        broken(bundle, kind, "flipped")
    was = set(files_of(bundle).values())
    stops = 0
    while True:
        place = tmp_path / f"try-{stops}"
        shutil.copytree(bundle, place)
        try:
            with run_as(GONE):
                mend(Bundle(StoppingStore(LocalStore(place), stops)), small_source())
            break
        except Stopped:
            LocalStore(place).clear_temporary()
        assert was <= set(files_of(place).values())
        assert mend(place, small_source()).exit_code == 0
        assert check(place).exit_code == 0
        assert open_bundle(place).snapshot_ids()
        assert was <= set(files_of(place).values())
        stops += step
    assert stops >= 2


def test_repair_has_the_bundle_alone(bundle: Path) -> None:
    with locks.shared(LocalStore(bundle), "export"), pytest.raises(BundleLocked):
        repair(bundle)


@pytest.mark.parametrize("kind", DAMAGED_KINDS)
def test_a_bundle_is_mended_from_another_bundle(bundle: Path, tmp_path: Path, kind: str) -> None:
    copy(bundle, tmp_path / "other")
    name = broken(bundle, kind, "flipped")
    report = repair(bundle, str(tmp_path / "other"))
    assert (report.exit_code, report.left) == (0, [])
    assert (report.repaired, report.set_aside, report.snapshot) == ([name], [], "")
    assert check(bundle).exit_code == 0
    with pytest.raises(WrongUsage, match="from itself"):
        repair(bundle, str(bundle))


@pytest.mark.parametrize("how", ["flipped", "emptied", "missing"])
def test_whatever_its_own_hash_vouches_for_is_taken_from_another_bundle(tmp_path: Path, how: str) -> None:
    export_nights(tmp_path / "bundle")
    shutil.copytree(tmp_path / "bundle", tmp_path / "other")
    bundle, sound = tmp_path / "bundle", files_of(tmp_path / "bundle")
    names = [
        f.relative_to(bundle).as_posix() for f in sorted(bundle.glob("parts/*")) + sorted(bundle.glob("blobs/*/*"))
    ]
    if how != "missing":  # then nobody knows of the snapshot
        names += [f"snapshots/{open_bundle(bundle).snapshot_ids()[1]}.json"]
    for name in names:
        file = bundle / name
        if how == "flipped":
            file.write_bytes(b"?" * file.stat().st_size)
        elif how == "emptied":
            file.write_bytes(b"")
        else:
            file.unlink()
    report = repair(bundle, str(tmp_path / "other"))
    assert (report.exit_code, report.left, report.set_aside, report.snapshot) == (0, [], [], "")
    assert sound.items() <= files_of(bundle).items()
    assert check(bundle).exit_code == 0


def test_one_broken_runs_part_costs_no_snapshot_where_a_copy_holds_that_part(tmp_path: Path) -> None:
    bundle, source = tmp_path / "bundle", small_source()
    ids = []
    for night in range(6):
        source.runs[0] = dataclasses.replace(source.runs[0], params={"night": str(night // 3)})
        ids.append(export_into(bundle, source).snapshot)
    copy(bundle, tmp_path / "other")
    used = [
        {p["runs"]["path"] for p in json.loads((bundle / f"snapshots/{i}.json").read_bytes())["parts"]} for i in ids
    ]
    shared = min(set.intersection(*used))
    flip(bundle / shared, 30)
    report = repair(bundle, str(tmp_path / "other"))
    assert (report.exit_code, report.repaired, report.set_aside, report.snapshot) == (0, [shared], [], "")
    assert open_bundle(bundle).snapshot_ids() == ids


def test_a_manifest_that_is_anothers_is_replaced_by_its_own_from_another_bundle(tmp_path: Path) -> None:
    export_nights(tmp_path / "bundle")
    shutil.copytree(tmp_path / "bundle", tmp_path / "other")
    bundle = tmp_path / "bundle"
    sound, (first, second, _) = files_of(bundle), sorted(bundle.glob("snapshots/*.json"))
    second.write_bytes(first.read_bytes())
    report = repair(bundle, str(tmp_path / "other"))
    name = f"snapshots/{second.name}"
    assert (report.exit_code, report.repaired, report.quarantined, report.set_aside) == (0, [name], [name], [])
    assert sound.items() <= files_of(bundle).items()


def test_what_is_broken_in_the_other_bundle_too_is_not_taken(bundle: Path, tmp_path: Path) -> None:
    copy(bundle, tmp_path / "other")
    name = broken(bundle, "blob", "flipped")
    flip(tmp_path / "other" / name, 3)
    report = repair(bundle, str(tmp_path / "other"))
    assert (report.exit_code, report.repaired) == (12, [])
    assert [fault.file for fault in report.left] == [name]


def test_a_bundle_on_s3_is_mended_too(bundle: Path, bucket: Bucket) -> None:
    access = Access(s3=S3Options(bucket.endpoint))
    address = f"{bucket.url}/backup"
    copy(bundle, address, access=access)
    sound = bucket.files()
    for kind in ("blob", "metrics part"):
        name = one_of(bundle, kind).relative_to(bundle).as_posix()
        bucket.put(f"backup/{name}", b"broken" + sound[f"backup/{name}"][6:])
    report = mend(Bundle(locate(address, access).store), small_source())
    assert (report.exit_code, len(report.repaired), len(report.quarantined)) == (0, 2, 2)
    assert sound.items() <= bucket.files().items()
    assert check(address, access=access).exit_code == 0


# Over the command line, from a real server.


@pytest.fixture
def experiment(mlflow3_a: MlflowServer, prefix: str) -> Iterator[str]:
    with Seeder(mlflow3_a.url) as seeder:
        home = seeder.create_experiment(prefix + "home")
        for number in range(3):
            run_id = seeder.create_run(home, f"run {number}")
            points(seeder, run_id, "loss", 30 + number)
            seeder.put_artifact(run_id, "model/weights.bin", b"%d" % number * 500)
            seeder.finish(run_id)
        yield prefix + "home"


def test_a_blob_a_metrics_part_a_runs_part_and_a_manifest_are_mended_from_a_real_server(
    mlflow3_a: MlflowServer, experiment: str, runsync: Runner, bundle: Path, tmp_path: Path
) -> None:
    place = tmp_path / "nightly"
    assert runsync("export", mlflow3_a.url, place, "--experiment", experiment).returncode == 0
    sound = files_of(place)
    for kind in ("blob", "metrics part", "runs part", "experiments part"):
        name = broken(place, kind, "flipped")
        assert runsync("check", place).returncode == 12
        planned = runsync("check", place, "--repair", "--from", mlflow3_a.url, "--dry-run", "--json")
        assert (planned.returncode, json.loads(planned.stdout)["quarantined"]) == (12, [name])
        assert json.loads(planned.stdout)["repaired"] == ([name] if kind != "runs part" else [])
        done = runsync("check", place, "--repair", "--from", mlflow3_a.url, "--yes", "--json")
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        report = json.loads(done.stdout)
        assert (report["repaired"], report["set_aside"]) == ([name], [])
        assert sound.items() <= files_of(place).items()
        checked = runsync("check", place)
        assert (checked.returncode, checked.stdout.splitlines()[-1]) == (0, "Sound.")
    broken(place, "manifest", "flipped")
    done = runsync("check", place, "--repair", "--from", mlflow3_a.url, "--yes")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "New snapshot: " in done.stdout
    assert runsync("check", place).returncode == 0
    assert runsync("verify", mlflow3_a.url, place, "--experiment", experiment).returncode == 0


def test_a_repair_in_a_pipe_needs_a_yes(bundle: Path, runsync: Runner) -> None:
    broken(bundle, "blob", "flipped")
    before = files_of(bundle)
    for arguments in (["--repair"], ["--yes"], ["--from", "x"], ["--repair", "--yes", "--quick"]):
        done = runsync("check", bundle, *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert "--" in done.stderr
    assert "--yes" in runsync("check", bundle, "--repair").stderr
    assert files_of(bundle) == before
    done = runsync("check", bundle, "--repair", "--yes")
    assert done.returncode == 12
    assert "Moved to quarantine/" in done.stdout
