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
