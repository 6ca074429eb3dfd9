"""A night's export reads what has changed, writes what has changed, and nothing else."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from conftest import Pair, Runner
from support.damage import manifest_of
from support.proxy import FaultProxy, Request
from support.seed import Seeder

from runsync.bundle.bundle import open_bundle
from runsync.workspaces.rest import workspace
from transfer.commands import NEWEST, export, import_, report, tree, verify
from transfer.database import START, Database

RUNS = 250
SEARCHES = re.compile(
    r"/(experiments|runs|registered-models|model-versions|logged-models|traces|datasets|issues|jobs)/search(-traces)?$"
    r"|/(traces|webhooks|(scorers|label-schemas|review-queues)/list|mcp-servers|gateway/[^/]+/list)$"
)
GREETINGS = re.compile(r"/(version|server-info|health|workspaces)$|/experiments/get")


def record_of(bundle: Path, snapshot_id: str) -> str:
    """The file that says that there is such a snapshot."""
    return open_bundle(bundle).history().position(snapshot_id).record


@pytest.fixture
def crowd(pair: Pair, seeder: Seeder, prefix: str) -> list[str]:
    """250 finished runs with points of two metrics, every 20th with a file: two batches of a server's runs."""
    return make_crowd(pair, seeder, prefix, RUNS)


def make_crowd(pair: Pair, seeder: Seeder, prefix: str, count: int) -> list[str]:
    home = seeder.create_experiment(prefix + "crowd")
    database = Database(pair.source)
    runs = database.add_runs(home, [(f"run {n:03}", START + n) for n in range(count)])
    for run_id in runs:
        for key in ("acc", "loss"):
            database.add_points(run_id, key, [(START + n, n, n / 3) for n in range(20)])
    for run_id in runs[::20]:
        seeder.put_artifact(run_id, "file.txt", run_id.encode() * 100)
    return runs


def runs_asked_for(request: Request) -> set[str]:
    """The runs whose contents a request is for."""
    asked = parse_qs(request.query)
    named = {run for name in ("run_id", "run_uuid") for run in asked.get(name, ())}
    return named | set(re.findall("[0-9a-f]{32}", request.path))


def read_besides_searches(proxy: FaultProxy) -> set[str]:
    """The runs that were read; every other request must be a search, or say what the server is."""
    read: set[str] = set()
    for request in proxy.seen():
        asked = runs_asked_for(request)
        read |= asked
        if not asked:
            assert SEARCHES.search(request.path) or GREETINGS.search(request.path), request
    return read


def new_bytes(bundle: Path, before: dict[str, tuple[int, int]]) -> int:
    """Of the parts and blobs that were not there before."""
    return sum(
        size for name, (size, _) in tree(bundle).items() if name not in before and not name.startswith("snapshots")
    )


@pytest.mark.parametrize(("runs", "batch"), [(30, 25), pytest.param(RUNS, workspace.BATCH, marks=pytest.mark.slow)])
@NEWEST
def test_after_a_change_of_k_runs_only_those_are_read_and_written(
    pair: Pair,
    seeder: Seeder,
    prefix: str,
    bundle: Path,
    runsync: Runner,
    monkeypatch: pytest.MonkeyPatch,
    runs: int,
    batch: int,
) -> None:
    monkeypatch.setattr(workspace, "BATCH", batch)
    database, crowd = Database(pair.source), make_crowd(pair, seeder, prefix, runs)
    pointed, tagged, ended, deleted, restored, purged, filed = (
        crowd[n * runs // 25] for n in (1, 4, 8, 12, 16, 20, 24)
    )
    seeder.delete_run(restored)
    running = seeder.create_run(seeder.get_run(crowd[0])["info"]["experiment_id"], "still running")
    export(runsync, pair.source.url, bundle, prefix + "*")
    first = tree(bundle)
    whole = sum(size for name, (size, _) in first.items() if not name.startswith("snapshots"))

    seeder.log_batch(pointed, metrics=[("loss", 0.5, START + 99, 99)])
    seeder.set_tag(tagged, "reviewed", "yes")
    seeder.update_run(ended, status="FAILED", end_time=START + 99_000)
    seeder.delete_run(deleted)
    seeder.restore_run(restored)
    database.purge(purged)
    seeder.put_artifact(filed, "late.txt", b"late")
    seeder.set_tag(filed, "model", "saved")
    changed = {pointed, tagged, ended, deleted, restored, filed}
    with FaultProxy(pair.source.url) as proxy:
        told = export(runsync, proxy.url, bundle, prefix + "*")
        assert read_besides_searches(proxy) == changed | {running}
        histories = proxy.seen("get-history")
        assert set().union(*map(runs_asked_for, histories)) == changed
        assert len(histories) <= 2 * len(changed)
    assert told["runs"] == {"created": 0, "updated": 6, "unchanged": runs - 7 + 1, "failed": 0}
    # What a file costs at least, however little is in it, and not more than a tenth of all.
    assert 0 < new_bytes(bundle, first) < whole / 10 + 4000
    counts = manifest_of(bundle)["counts"]
    assert (counts["runs"], counts["runs_deleted"]) == (runs, 1)
    verify(runsync, pair.source.url, bundle, prefix + "*", "--verify-artifacts")


@pytest.mark.slow
@NEWEST
def test_after_no_change_there_are_searches_and_one_manifest_or_nothing(
    pair: Pair, crowd: Sequence[str], seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    running = seeder.create_run(seeder.get_run(crowd[0])["info"]["experiment_id"], "still running")
    seeder.log_batch(running, metrics=[("loss", 0.5, START, 0)])
    seeder.put_artifact(running, "log.txt", b"so far")
    export(runsync, pair.source.url, bundle, prefix + "*")
    first = tree(bundle)
    with FaultProxy(pair.source.url) as proxy:
        told = export(runsync, proxy.url, bundle, prefix + "*")
        assert read_besides_searches(proxy) == {running}
    assert told["runs"] == {"created": 0, "updated": 0, "unchanged": RUNS + 1, "failed": 0}
    second = tree(bundle)
    assert set(second) - set(first) == {f"snapshots/{told['snapshot']}.json", record_of(bundle, told["snapshot"])}
    assert {name: second[name] for name in first} == first

    # A source at another address is another source, so one more is made first.
    third = export(runsync, pair.source.url, bundle, prefix + "*", "--skip-unchanged")["snapshot"]
    assert set(tree(bundle)) - set(second) == {f"snapshots/{third}.json", record_of(bundle, third)}
    skipped = export(runsync, pair.source.url, bundle, prefix + "*", "--skip-unchanged")
    assert (skipped["snapshot"], len(tree(bundle))) == ("", len(second) + 2)
    assert skipped["notes"] == ["Nothing has changed since the newest snapshot: none was made."]

    # Also when all that changed is that a run is no more.
    Database(pair.source).purge(crowd[0])
    assert export(runsync, pair.source.url, bundle, prefix + "*", "--skip-unchanged")["snapshot"]
    assert manifest_of(bundle)["counts"]["runs"] == RUNS


@pytest.mark.slow
@NEWEST
def test_an_older_snapshot_is_imported_and_verified_as_it_was(
    pair: Pair, crowd: Sequence[str], seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    for run_id in crowd[20:]:
        Database(pair.source).purge(run_id)
    older = export(runsync, pair.source.url, bundle, prefix + "*")["snapshot"]
    seeder.log_batch(crowd[0], metrics=[("loss", 0.25, START + 99, 99)])
    seeder.delete_run(crowd[1])
    Database(pair.source).purge(crowd[2])
    export(runsync, pair.source.url, bundle, prefix + "*")
    told = import_(runsync, Path(f"{bundle}@{older}"), pair.target.url)
    assert (told["runs"]["created"], told["metric_points"], told["artifacts"]) == (20, 20 * 40, 1)
    verify(runsync, f"{bundle}@{older[-6:]}", pair.target.url, "--verify-artifacts")
    found = report(runsync("verify", bundle, pair.target.url, "--json"), 4)
    assert crowd[0] in {difference["id"] for difference in found["differences"]}
