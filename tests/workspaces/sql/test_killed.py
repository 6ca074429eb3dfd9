"""A writer that is killed leaves whole runs only."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from support.databases import Fresh
from support.forks import clean_environment

from runsync.model.experiment import Experiment
from runsync.workspaces.direct.store import Query
from runsync.workspaces.sql.store import SqlStore

Open = Callable[[str], SqlStore]

WRITER = """
import sys
from runsync.model.points import points_of_key
from runsync.model.run import DatasetInput, Run
from runsync.workspaces.direct.store import Arrival
from runsync.workspaces.sql import write
from runsync.workspaces.sql.store import open_store

write.RUNS = 7
store = open_store(sys.argv[1])
number = 0
def arrivals():
    global number
    for _ in range(7):
        number += 1
        used = (DatasetInput("d", "x", "local", "s", "", "", {"a": "b"}),)
        texts = {"params": {"a": "1"}, "tags": {"t": "1"}}
        run = Run(f"{number:032x}", "7", "n", start_time=number, dataset_inputs=used, **texts)
        yield Arrival(run, True, [points_of_key("x", list(range(500)), list(range(500)), [1.0] * 500)])
while True:
    assert store.write_runs(list(arrivals())) == {}
    print(number, flush=True)
"""


def test_a_writer_that_is_killed_leaves_whole_runs_only(database: Fresh, opened: Open, tmp_path: Path) -> None:
    store = opened(database.url)
    store.create_experiment(Experiment("7", "vision"))
    seen = 0
    command = [sys.executable, "-c", WRITER, database.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment()) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            seen = int(line)
            if seen >= 28:
                time.sleep(0.02)
                writer.send_signal(signal.SIGKILL)
                break
    store.refresh()
    runs = [run for batch in store.batches(Query(("7",))) for run in batch.runs]
    assert len(runs) >= seen
    assert len(runs) % 7 == 0
    with store.histories([run.run_id for run in runs]) as histories:
        for run in runs:
            assert (run.params, run.tags["t"], len(run.dataset_inputs)) == ({"a": "1"}, "1", 1)
            assert [metric.step for metric in run.latest_metrics] == [499]
            assert sum(batch.num_rows for batch in histories.of(run.run_id)) == 500
    assert database.execute("SELECT count(*) FROM metrics") == [(len(runs) * 500,)]
