"""Bundles made to do harm: commands end as documented, with one line, and nothing outside of them is touched."""

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.attempts import attempt, wrong_with
from support.hostile import Forgery, Hostile, odd_fields, particular
from support.memory import export_to
from support.mutations import source_of

from runsync.bundle.bundle import create_bundle, open_bundle
from runsync.errors import RunsyncError

SECRET = b"not of the bundle"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Forgery:
    folder = tmp_path_factory.mktemp("good") / "bundle"
    export_to(create_bundle(folder), source_of(0), notebooks=("SOURCE",))
    return Forgery.of(folder)


def test_the_bundle_that_they_are_made_of_is_a_good_one(good: Forgery, tmp_path: Path) -> None:
    Hostile("none", lambda _: None).write(good, tmp_path / "bundle")
    assert attempt("check", tmp_path / "bundle").code == 0
    assert list(tried_on(tmp_path)) == []


def tried_on(place: Path) -> Iterator[str]:
    """What commands do wrong with a hostile bundle; the last of them writes into it."""
    bundle = place / "bundle"
    commands: Sequence[Sequence[object]] = (
        ("check", bundle),
        ("snapshots", bundle),
        ("inspect", bundle),
        ("runs", "list", bundle),
        ("runs", "list", bundle, "--format", "csv"),
        ("experiments", "list", bundle),
        ("runs", "show", bundle, "night0"),
        ("artifacts", "get", bundle, "night0", "--into", place / "files"),
        ("models", "list", bundle),
        ("models", "show", bundle, "churn/1"),
        ("models", "compare", bundle, "churn"),
        ("models", "get", bundle, "churn/1", "--into", place / "files" / "model"),
        ("promote", bundle, place / "registry", "churn/1"),
        ("promote", bundle, place / "registry", "churn@champion", "--alias", "next"),
        ("prune", bundle, "--dry-run"),
        ("forget", bundle, "--keep-last", 1, "--dry-run"),
        ("copy", bundle, place / "copy"),
        ("import", bundle, place / "store"),
        ("verify", bundle, place / "store"),
        ("unlock", bundle),
    )
    for command in commands:
        if wrong := wrong_with(attempt(*command)):
            yield f"{' '.join(map(str, command[:2]))}: {wrong}"
    try:
        export_to(open_bundle(bundle), source_of(1), notebooks=("SOURCE",))
    except RunsyncError:
        return


def faults_of(chosen: Sequence[Hostile], good: Forgery, place: Path) -> list[str]:
    """Each bundle by itself."""
    faults = []
    for hostile in chosen:
        shutil.rmtree(place, ignore_errors=True)
        (place / "outside").mkdir(parents=True)
        (place / "outside" / "secret").write_bytes(SECRET)
        hostile.write(good, place / "bundle")
        try:
            faults += [f"{hostile.name}: {wrong}" for wrong in tried_on(place)]
        except Exception as error:
            faults.append(f"{hostile.name}: export: {error!r}")
        faults += [f"{hostile.name}: {escape}" for escape in _escapes(place)]
    return faults


def _escapes(place: Path) -> Iterator[str]:
    """What was written where nothing should be."""
    expected = {"bundle", "outside", "store", "copy", "files", "registry"}
    found = {file.name for file in place.iterdir() if not file.name.startswith("was-")}
    yield from (f"escaped: {name}" for name in found - expected)
    outside = {file.name: file.read_bytes() for file in (place / "outside").rglob("*") if file.is_file()}
    if outside.pop("secret") != SECRET:
        yield "changed: secret"
    # blobs/ and parts/ may be links: what is written there is named by its hash.
    yield from (f"written outside: {name}" for name in outside if not re.match("[0-9a-f]{64}", name))


@pytest.mark.long
def test_a_sample_of_hostile_bundles_does_no_harm(good: Forgery, tmp_path: Path) -> None:
    chosen = [*list(odd_fields())[7::611], *list(particular())[4::65]]
    assert faults_of(chosen, good, tmp_path / "tried") == []


@pytest.mark.slow
@pytest.mark.parametrize("share", range(8))
def test_no_odd_value_in_any_field_does_harm(good: Forgery, tmp_path: Path, share: int) -> None:
    assert faults_of(list(odd_fields())[share::8], good, tmp_path / "tried") == []


@pytest.mark.slow
@pytest.mark.parametrize("share", range(4))
def test_no_hostile_bundle_does_harm(good: Forgery, tmp_path: Path, share: int) -> None:
    assert faults_of(list(particular())[share::4], good, tmp_path / "tried") == []
