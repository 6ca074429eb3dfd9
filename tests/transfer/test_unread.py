"""What verify cannot read on a side is told of that side, is not counted as compared, and is no difference."""

import shutil
from pathlib import Path

import pytest
from conftest import ROOT, Runner
from support.damage import flip, one_of
from support.stores import empty_sqlite

import runsync as api

ACCEPT = ("missing-pieces", "missing-items")


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("kind", ["blob", "metrics part"])
@pytest.mark.long
def test_damage_of_a_bundle_is_told_apart_from_differences(
    kind: str, side: str, tmp_path: Path, runsync: Runner
) -> None:
    bundle, target = tmp_path / "bundle", empty_sqlite(tmp_path / "target.db")
    shutil.copytree(ROOT / "examples" / "bundle", bundle)
    api.import_(bundle, target)
    places = [str(bundle), target] if side == "source" else [target, str(bundle)]
    sound = api.verify(*places, verify_artifacts=True)
    broken = one_of(bundle, kind)
    flip(broken, broken.stat().st_size // 2)
    told = api.verify(*places, verify_artifacts=True, accept=ACCEPT)
    assert (sound.exit_code, told.exit_code) == (0, 4)
    assert {each.unread for each in told.differences} == {side}
    assert all(getattr(each, side).startswith("cannot be read: ") for each in told.differences)
    lost = len(told.differences)
    assert told.artifacts == sound.artifacts - (lost if kind == "blob" else 0)
    if (kind, side) == ("metrics part", "source"):
        assert told.metric_points < sound.metric_points
    done = runsync("verify", *places, "--verify-artifacts")
    advice = f"{lost} could not be compared: the bundle is damaged. Run runsync check {bundle}"
    assert (done.returncode, done.stdout.splitlines()[-1]) == (4, advice)


def test_differences_are_counted_beside_what_cannot_be_read(tmp_path: Path, runsync: Runner) -> None:
    store, target = tmp_path / "mlruns", empty_sqlite(tmp_path / "target.db")
    shutil.copytree(ROOT / "examples" / "mlruns", store)
    api.sync(str(store), target)
    param, *others = sorted(store.glob("*/*/params/*"))
    param.write_bytes(b"\xff")
    others[-1].write_text("changed")
    done = runsync("verify", store, target)
    assert done.returncode == 4
    assert done.stdout.splitlines()[-1] == (
        "1 difference. 1 could not be compared: the source cannot be read, see above. "
        "To accept that, add --accept missing-pieces."
    )
    accepted = runsync("verify", store, target, "--accept", "missing-pieces")
    assert (accepted.returncode, accepted.stdout.splitlines()[-1]) == (4, "1 difference.")
    assert "Not compared, as accepted (1):" in accepted.stdout


@pytest.mark.parametrize("side", ["source", "target"])
def test_an_artifact_root_that_cannot_be_reached_is_one_row_for_all_its_runs(
    side: str, tmp_path: Path, runsync: Runner
) -> None:
    store = tmp_path / "mlruns"
    shutil.copytree(ROOT / "examples" / "mlruns", store)
    lost = []
    for file in store.glob("*/*/meta.yaml"):
        lines = file.read_text().splitlines()
        uri = f"artifact_uri: ftp://nowhere/{file.parent.name}/artifacts"
        file.write_text("\n".join(uri if line.startswith("artifact_uri:") else line for line in lines) + "\n")
        if uri in file.read_text() and not any(file.parent.glob("artifacts/*")):  # else they are in the store
            lost.append(file)
    places = [store, ROOT / "examples" / "mlruns"]
    done = runsync("verify", *(places if side == "source" else reversed(places)))
    assert done.returncode == 4
    rows = [line for line in done.stdout.splitlines() if "cannot be read: " in line]
    assert [row.split(", the first: run ")[0] for row in rows] == [f"{len(lost)} runs"]
    assert done.stdout.splitlines()[-1].startswith(f"{len(lost)} could not be compared: the {side} cannot be read")
