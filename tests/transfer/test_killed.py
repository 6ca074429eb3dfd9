"""Commands cut short: what was done stays done, and running them again ends as if nothing had happened."""

import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import Pair, Runner
from support.oracle import assert_same, compare
from support.proxy import FaultProxy, Rule, kill, kill_after
from support.rich import Facts, rich_workspace, small_workspace
from support.s3 import Bucket
from support.seed import Seeder, points

from transfer.commands import NEWEST, copies_of, export, import_, read, reads_of_contents, report, verify
from transfer.database import START, Database

Start = Callable[..., "subprocess.Popen[str]"]

Make = Callable[[Seeder, str], Facts]

# About so many requests bring the workspace in all; those of the start, up to 10, come again each time.
KILLS = [
    pytest.param(small_workspace, 2, 60, id="twice"),
    pytest.param(rich_workspace, 20, 300, id="20 times", marks=pytest.mark.slow),
]


def killed_at(process_box: "list[subprocess.Popen[str]]", request: int, chance: random.Random) -> Rule:
    """Kills the process in the box at its n-th request, before or after the server acts on it."""

    def victim() -> None:
        process_box[-1].kill()

    return Rule(chance.choice([kill, kill_after])(victim), after=request)


@pytest.mark.parametrize(("make", "times", "requests"), KILLS)
@NEWEST
def test_a_killed_import_goes_on_without_duplicates(
    pair: Pair,
    seeder: Seeder,
    prefix: str,
    bundle: Path,
    runsync: Runner,
    start_runsync: Start,
    make: Make,
    times: int,
    requests: int,
) -> None:
    facts = make(seeder, prefix)
    export(runsync, pair.source.url, bundle, facts.pattern)
    chance = random.Random(times)
    processes: list[subprocess.Popen[str]] = []
    killed = 0
    with FaultProxy(pair.target.url) as proxy:
        for _ in range(times):
            proxy.clear()
            proxy.add(killed_at(processes, chance.randrange(4, 10 + requests // times), chance))
            processes.append(start_runsync("import", bundle, proxy.url))
            killed += processes[-1].wait(300) == -signal.SIGKILL
    assert killed >= times // 2
    import_(runsync, bundle, pair.target.url, "--verify-artifacts")
    assert_same(pair.source.url, pair.target.url, [facts.pattern])
    assert import_(runsync, bundle, pair.target.url)["runs"]["unchanged"] == len(facts.runs)


@pytest.fixture
def crowd(pair: Pair, seeder: Seeder, prefix: str) -> list[str]:
    """450 runs of 10 points, 20 of them with a file: more than one part of a bundle."""
    home = seeder.create_experiment(prefix + "crowd")
    database = Database(pair.source)
    runs = database.add_runs(home, [(f"run {n:03}", START + n) for n in range(450)])
    for run_id in runs:
        database.add_points(run_id, "loss", [(START + n, n, n / 3) for n in range(10)])
    for run_id in runs[::23]:
        seeder.put_artifact(run_id, "file.txt", run_id.encode())
    return runs


@pytest.mark.slow
@NEWEST
def test_a_killed_export_leaves_no_snapshot_and_the_next_one_goes_on(
    pair: Pair,
    crowd: Sequence[str],
    prefix: str,
    bundle: Path,
    tmp_path: Path,
    runsync: Runner,
    start_runsync: Start,
) -> None:
    pattern = ("--experiment", prefix + "*")
    with FaultProxy(pair.source.url) as proxy:
        export(runsync, proxy.url, tmp_path / "undisturbed", *pattern)
        whole = len(reads_of_contents(proxy))
        for share in (0.2, 0.9):
            proxy.clear()
            processes: list[subprocess.Popen[str]] = []
            contents = "get-history|/artifacts"
            proxy.add(Rule(kill(lambda box=processes: box[-1].kill()), contents, after=int(share * whole)))  # type: ignore[misc]
            processes.append(start_runsync("export", proxy.url, bundle, *pattern))
            assert processes[-1].wait(300) == -signal.SIGKILL
            assert not [*bundle.glob("snapshots/*")]
            assert runsync("inspect", bundle).returncode == 10
        proxy.clear()
        told = export(runsync, proxy.url, bundle, *pattern)
        assert told["runs"]["created"] + told["runs"]["unchanged"] == len(crowd)
        assert told["runs"]["unchanged"] >= 200
        assert len(reads_of_contents(proxy)) < 0.7 * whole
    assert len([*bundle.glob("snapshots/*.json")]) == 1
    assert not [*bundle.rglob("tmp/*")]
    checked = runsync("check", bundle)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert verify(runsync, pair.source.url, bundle, prefix + "*", "--verify-artifacts")["runs"] == len(crowd)


@pytest.mark.slow
@NEWEST
def test_an_export_killed_at_any_moment_goes_on(
    pair: Pair, crowd: Sequence[str], prefix: str, bundle: Path, runsync: Runner, start_runsync: Start
) -> None:
    chance = random.Random(20)
    for _ in range(20):
        process = start_runsync("export", pair.source.url, bundle, "--experiment", prefix + "*")
        try:
            assert process.wait(chance.uniform(0.2, 2.0)) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    export(runsync, pair.source.url, bundle, prefix + "*")
    assert runsync("check", bundle).returncode == 0
    assert verify(runsync, pair.source.url, bundle, prefix + "*", "--verify-artifacts")["runs"] == len(crowd)


@pytest.mark.slow
@NEWEST
def test_an_export_to_s3_killed_at_any_moment_leaves_whole_snapshots_and_goes_on(
    pair: Pair, crowd: Sequence[str], prefix: str, bucket: Bucket, runsync: Runner, start_runsync: Start
) -> None:
    chance = random.Random(10)
    where = f"{bucket.url}/killed"
    killed = 0
    for _ in range(10):
        process = start_runsync("export", pair.source.url, where, "--experiment", prefix + "*", env=bucket.environment)
        try:
            assert process.wait(chance.uniform(0.5, 5.0)) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        if killed and bucket.s3.size(bucket.name, "killed/runsync.json") is not None:
            checked = runsync("check", where, env=bucket.environment)
            assert checked.returncode == 0, checked.stdout + checked.stderr
    assert killed >= 3
    last = runsync("export", pair.source.url, where, "--experiment", prefix + "*", "--json", env=bucket.environment)
    assert report(last)["runs"]["failed"] == 0
    options = ("--experiment", prefix + "*", "--verify-artifacts", "--json")
    verified = report(runsync("verify", pair.source.url, where, *options, env=bucket.environment))
    assert verified["runs"] == len(crowd)


@pytest.mark.parametrize(
    ("verb", "number"),
    [
        ("export", signal.SIGTERM),
        ("import", signal.SIGINT),
        pytest.param("export", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("import", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
@NEWEST
def test_a_command_that_is_asked_to_stop_does_so_at_once_and_says_so(
    pair: Pair,
    seeder: Seeder,
    prefix: str,
    bundle: Path,
    runsync: Runner,
    start_runsync: Start,
    verb: str,
    number: signal.Signals,
) -> None:
    home = seeder.create_experiment(prefix + "few")
    for label in "abc":
        run_id = seeder.create_run(home, label)
        points(seeder, run_id, "loss", 3)
        seeder.put_artifact(run_id, "file.txt", b"bytes\n")
        seeder.finish(run_id)
    if verb == "import":
        export(runsync, pair.source.url, bundle, prefix + "*")
    server = pair.source if verb == "export" else pair.target
    with FaultProxy(server.url) as proxy:
        processes: list[subprocess.Popen[str]] = []

        def stop() -> None:
            processes[-1].send_signal(number)
            time.sleep(0.3)

        moment = "artifacts/list" if verb == "export" else "log-batch"
        proxy.add(Rule(kill_after(stop), moment, after=1))
        places = (proxy.url, bundle) if verb == "export" else (bundle, proxy.url)
        processes.append(start_runsync(verb, *places, "--experiment", prefix + "*"))
        stdout, stderr = processes[-1].communicate(timeout=300)
    assert processes[-1].returncode == 130, stdout + stderr
    assert "Traceback" not in stdout + stderr
    assert len(stderr.strip().splitlines()) == 1
    if verb == "export":
        assert not [*bundle.glob("snapshots/*")]
        export(runsync, pair.source.url, bundle, prefix + "*")
    import_(runsync, bundle, pair.target.url)
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@pytest.mark.slow  # a race: to be run often, not once
@NEWEST
def test_two_imports_at_once_make_no_duplicates(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner, start_runsync: Start
) -> None:
    facts = rich_workspace(seeder, prefix)
    export(runsync, pair.source.url, bundle, facts.pattern)
    both = [start_runsync("import", bundle, pair.target.url) for _ in range(2)]
    for process in both:
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode in (0, 3), stdout + stderr
        assert "Traceback" not in stderr
    there = copies_of(read(pair.target.url, facts.pattern, artifacts=False), active=True)
    assert {origin: ids for origin, ids in there.items() if len(ids) > 1} == {}
    if any(process.returncode for process in both):
        import_(runsync, bundle, pair.target.url)
    found = read(pair.target.url, facts.pattern)
    # What one of the two took back lies deleted beside the copies, and counts as none.
    found.runs = {run_id: run for run_id, run in found.runs.items() if run["origin"] or not is_deleted(run)}
    assert compare(read(pair.source.url, facts.pattern), found) == []
    verify(runsync, bundle, pair.target.url, "--verify-artifacts")


def is_deleted(run: dict[str, dict[str, object]]) -> bool:
    return run["info"]["lifecycle_stage"] == "deleted"
