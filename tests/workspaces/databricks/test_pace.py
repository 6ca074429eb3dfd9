"""A large import into Databricks uses the rates that are permitted, and takes as long as it was said to."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from emulators.databricks import Databricks, SimulatedClock

from runsync.model.experiment import Experiment
from runsync.model.import_options import ImportOptions
from runsync.model.progress import Silent
from runsync.model.selection import Selection
from runsync.testing.memory import START, MemorySource, run_with_metrics
from runsync.transfer.engine import transfer
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted
from runsync.workspaces.address import Address
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.databricks.address import DatabricksAddress
from runsync.workspaces.databricks.opening import open_databricks
from runsync.workspaces.databricks.profile import Profile
from runsync.workspaces.databricks.rates import Rates
from runsync.workspaces.rest.workspace import RestWorkspace

NOBODY = Credentials()
WORKERS = 8


def many(runs: int, metrics: int) -> MemorySource:
    """So many runs with so many metrics of one point each."""
    points = {
        f"{number:032x}": {f"metric {key}": [(0, START + number, key / 7)] for key in range(metrics)}
        for number in range(runs)
    }
    made = [
        run_with_metrics(run_id, series, name=f"run {number}", start_time=START + number, params={"lr": "0.1"})
        for number, (run_id, series) in enumerate(points.items())
    ]
    return MemorySource([Experiment("1", "/Users/ana@example.com/many")], made, points, {}, batch_size=200)


def opened(lake: Databricks, clock: SimulatedClock) -> RestWorkspace:
    profile = Profile(lake.url, "profile", "", {"token": lake.token})
    address = DatabricksAddress(profile, NOBODY, Address(lake.url, "", NOBODY))
    return open_databricks(address, WORKERS, pace=Rates(now=clock.now, sleep=clock.sleep))


def carried(lake: Databricks, clock: SimulatedClock, source: MemorySource, dry_run: bool) -> TransferReport:
    workspace = opened(lake, clock)
    target = workspace.target(ImportOptions())
    report = TransferReport("import", source.place, target.place, dry_run)
    transfer(report, Wanted(source, Selection()), target, WORKERS, Silent())
    workspace.close()
    assert not report.failed
    assert not report.problems
    return report


@pytest.mark.slow
def test_ten_thousand_runs_use_nine_tenths_of_the_rate_and_take_as_long_as_was_said() -> None:
    clock = SimulatedClock(per_request=0.001)
    with Databricks(clock=clock) as lake:
        source = many(10_000, 50)
        (said,) = [note for note in carried(lake, clock, source, True).notes if note.startswith("it would take about")]
        began = clock.now()
        assert carried(lake, clock, source, False).runs.created == 10_000
        took = clock.now() - began
        busiest = max(lake.rates.used().values(), key=lambda usage: usage.share_used)
        assert busiest.share_used >= 0.9
        assert all(usage.share_refused <= 0.01 for usage in lake.rates.used().values())
        number = re.search(r"(\d+) (s|min)", said)
        assert number is not None
        seconds = int(number[1]) * (60 if number[2] == "min" else 1)
        assert seconds == pytest.approx(took, rel=0.2)


def test_source_and_target_in_one_workspace_keep_to_its_rates_together() -> None:
    with Databricks() as lake:
        profile = Profile(lake.url, "profile", "", {"token": lake.token})
        address = DatabricksAddress(profile, NOBODY, Address(lake.url, "", NOBODY))
        workspaces = [open_databricks(address, WORKERS) for _ in range(3)]
        with ThreadPoolExecutor(len(workspaces)) as pool:
            list(pool.map(lambda workspace: [workspace.experiments(Selection()) for _ in range(6)], workspaces))
        usage = lake.rates.usage("experiments")
        assert (usage.granted, usage.refused) == (18, 0)
        for workspace in workspaces:
            workspace.close()


def test_a_dry_run_says_how_long_it_would_take_and_writes_nothing() -> None:
    clock = SimulatedClock()
    with Databricks(clock=clock) as lake:
        notes = carried(lake, clock, many(600, 2), True).notes
        assert any(re.match(r"it would take about 1[0-9] s, .*: \d+ requests", note) for note in notes)
        assert not lake.tracking.runs
