"""Whatever is done to a file of a bundle: check finds it, no command takes wrong bytes, none ends unforeseen."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.attempts import Ended, attempt, wrong_with
from support.memory import export_to
from support.memory_models import FILES
from support.mutations import NIGHTS, Mutation, export_nights, mutations, source_of

from runsync.bundle.bundle import open_bundle
from runsync.errors import RunsyncError

BROKEN = {10, 12}
"""How check ends: no bundle is there any more, or it is damaged."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "bundle"
    export_nights(folder)
    return folder


@pytest.fixture(scope="module")
def imported(whole: Path) -> frozenset[tuple[str, bytes]]:
    """What all snapshots bring into a file store."""
    found: set[tuple[str, bytes]] = set()
    for number, snapshot in enumerate(open_bundle(whole).snapshot_ids()):
        store = whole.parent / f"store{number}"
        done = attempt("import", f"{whole}@{snapshot}", store, "--accept", "notebooks,permissions")
        assert done.code == 0, done
        found |= told_by(store)
    return frozenset(found)


def told_by(store: Path) -> set[tuple[str, bytes]]:
    """What the runs of a file store say, by the name of the file below its run; what depends on the place left out.
    Those of logged models too."""
    told = set()
    for file in store.glob("*/*/*/**/*"):
        parts = file.relative_to(store).parts
        of_one = parts[3:] if parts[1] == "models" else parts[2:]
        if file.is_file() and of_one[0] in ("params", "metrics", "artifacts", "inputs"):
            told.add(("/".join(of_one), file.read_bytes()))
    return told


def tried_on(bundle: Path, imported: frozenset[tuple[str, bytes]]) -> Iterator[str]:
    """What commands do wrong with a broken bundle."""
    checked = attempt("check", bundle)
    if checked.code not in BROKEN:
        yield f"check misses it: {checked}"
    store = bundle.parent / "store"
    brought = attempt("import", bundle, store)
    model = bundle.parent / "model"
    fetched = attempt("models", "get", bundle, "churn/1", "--into", model)
    ended: dict[str, Ended] = {
        "check": checked,
        "check --quick": attempt("check", bundle, "--quick"),
        "snapshots": attempt("snapshots", bundle),
        "inspect": attempt("inspect", bundle),
        "runs list": attempt("runs", "list", bundle),
        "prune": attempt("prune", bundle, "--dry-run"),
        "copy": attempt("copy", bundle, bundle.parent / "copy"),
        "import": brought,
        "models list": attempt("models", "list", bundle),
        "models show": attempt("models", "show", bundle, "churn/1"),
        "models get": fetched,
        "promote": attempt("promote", bundle, bundle.parent / "registry", "churn/1"),
    }
    for name, how in ended.items():
        if wrong := wrong_with(how):
            yield f"{name}: {wrong}"
    if more := told_by(store) - imported:
        yield f"import takes what was never stored: {more}"
    got = {file.name: file.read_bytes() for file in model.rglob("*") if file.is_file()}
    if not got.items() <= FILES.items() or (fetched.code == 0 and got != FILES):
        yield f"models get gives what was never stored: {got}"
    copied = attempt("check", bundle.parent / "copy")
    if copied.code not in (0, 10):
        yield f"copy takes over damage: {copied}"
    yield from exported_on(bundle)


def exported_on(bundle: Path) -> Iterator[str]:
    """A new snapshot lacks nothing, though an older one may."""
    try:
        made = export_to(open_bundle(bundle), source_of(NIGHTS), notebooks=("SOURCE",))
    except RunsyncError:
        return
    if made.snapshot:
        checked = attempt("check", f"{bundle}@{made.snapshot}")
        if checked.code:
            yield f"the new snapshot is damaged: {checked}"


def faults_of(chosen: list[Mutation], whole: Path, imported: frozenset[tuple[str, bytes]], place: Path) -> list[str]:
    """Each mutation by itself, on a copy of the whole bundle."""
    faults = []
    for mutation in chosen:
        folder = place / "tried"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder / "bundle")
        mutation.apply(folder / "bundle")
        faults += [f"{mutation}: {wrong}" for wrong in tried_on(folder / "bundle", imported)]
    return faults


@pytest.mark.long
def test_a_sample_of_mutations_is_found_and_does_no_harm(
    whole: Path, imported: frozenset[tuple[str, bytes]], tmp_path: Path
) -> None:
    chosen = [mutation for number, mutation in enumerate(mutations(whole)) if number % 90 == 7]
    assert faults_of(chosen, whole, imported, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("share", range(8))
def test_every_mutation_is_found_and_does_no_harm(
    whole: Path, imported: frozenset[tuple[str, bytes]], tmp_path: Path, share: int
) -> None:
    chosen = list(mutations(whole))
    assert len(chosen) >= 500
    assert faults_of(chosen[share::8], whole, imported, tmp_path) == []
