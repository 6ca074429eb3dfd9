"""Moves a small workspace from one MLflow server to another, step by step: `make demo-servers`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from steps import HERE, StepFailed, clean_environment, play, run, runsync, say

MLFLOW = Path(os.environ.get("RUNSYNC_TEST_MLFLOW_3") or HERE.parents[1] / ".venvs/mlflow-3/bin/mlflow")
START_SECONDS = 120


def show(folder: Path, stack: ExitStack) -> str:
    """The main job: everything from one server to the other, and the proof that it is there."""
    old, new = stack.enter_context(servers(folder, "old", "new"))
    say(f"Two MLflow servers run: {old} (old) and {new} (new). A team trains models and logs them to the old one:")
    run(folder, [MLFLOW.with_name("python"), HERE / "train.py"], "python examples/demo/train.py", tracking=old)
    tell("old", old)

    say("Everything of the old server into a bundle, a folder named backup:")
    runsync(folder, "export", old, "backup")
    say("What is in it, whether it is sound, and whether all of the old server is in it, byte by byte:")
    runsync(folder, "inspect", "backup")
    runsync(folder, "check", "backup")
    runsync(folder, "verify", old, "backup", "--verify-artifacts")

    say("From the bundle into the new server; first only the plan:")
    runsync(folder, "import", "backup", new, "--dry-run")
    runsync(folder, "import", "backup", new, "--id-map", "ids.json")
    parents(folder, old, new)
    say("Is everything there, point by point and byte by byte?")
    runsync(folder, "verify", "backup", new, "--verify-artifacts")
    tell("new", new)

    say("Running it again is safe: there is nothing left to do.")
    again = json.loads(runsync(folder, "import", "backup", new, "--dry-run", "--json", quiet=True))
    runsync(folder, "import", "backup", new)
    if again["runs"]["created"] or again["runs"]["updated"]:
        raise StepFailed(f"the second import should have found nothing to do, but found {again['runs']}")
    next_day(folder, old, new)
    return f"{old} and {new}; the bundle is {folder / 'backup'}"


def next_day(folder: Path, old: str, new: str) -> None:
    """A backup that goes on: a second snapshot, what has changed, and the new server brought up to date."""
    run_id = runs_in(old, "ACTIVE_ONLY")[0]["info"]["run_id"]
    ask(old, "runs/set-tag", {"run_id": run_id, "key": "reviewed", "value": "yes"})
    say("The next day somebody has reviewed a run of the old server. Exporting again adds a snapshot of what changed:")
    runsync(folder, "export", old, "backup")
    first = json.loads(runsync(folder, "snapshots", "backup", "--json", quiet=True))["snapshots"][0]["id"]
    runsync(folder, "snapshots", "backup")
    runsync(folder, "diff", f"backup@{first}", "backup")
    say("Older snapshots go by a policy, and what only they needed goes with them:")
    runsync(folder, "forget", "backup", "--keep-last", "1", "--prune", "--yes")
    say("The new server follows, from the bundle or, as here, straight from the old one:")
    runsync(folder, "sync", old, new)
    runsync(folder, "verify", old, new)
    find(folder, new)


def find(folder: Path, new: str) -> None:
    """Runs of the new server and of the bundle, with the same words."""
    say("Which of the runs in the new server learned best? And how do the bundle's two best differ?")
    best = ("--filter", "tags.candidate = 'yes' AND NOT status = 'FAILED'", "--order-by", "metrics.test/accuracy DESC")
    runsync(folder, "runs", "list", new, *best, "--columns", "run_id,name,params.eta0,metrics.test/accuracy,duration")
    told = runsync(folder, "runs", "list", "backup", *best, "--limit", "2", "--json", quiet=True)
    runsync(folder, "runs", "compare", "backup", *(run["run_id"] for run in json.loads(told)["runs"]), "--diff-only")


def parents(folder: Path, old: str, new: str) -> None:
    """Shows, without runsync, that children point to their parent's new id."""
    ids = json.loads((folder / "ids.json").read_text(encoding="utf-8"))["runs"]
    links = [(run_id, tags(old, run_id).get("mlflow.parentRunId", "")) for run_id in ids]
    nested = [(run_id, parent) for run_id, parent in links if parent]
    for run_id, parent in nested:
        if tags(new, ids[run_id]).get("mlflow.parentRunId") != ids[parent]:
            raise StepFailed(f"run {ids[run_id]} does not point to its parent {ids[parent]}")
    if not nested:
        raise StepFailed("there is no nested run")
    print(f"Asked without runsync: all {len(nested)} nested runs point to the new id of their parent.")


def tell(name: str, url: str) -> None:
    """What a server holds, asked without runsync."""
    runs = runs_in(url, "ALL")
    deleted = sum(run["info"]["lifecycle_stage"] == "deleted" for run in runs)
    print(f"The {name} server holds {len(experiments_in(url))} experiments and {len(runs)} runs ({deleted} deleted).")


def experiments_in(url: str) -> list[str]:
    found = ask(url, "experiments/search", {"max_results": 100, "view_type": "ALL"})["experiments"]
    return [experiment["experiment_id"] for experiment in found]


def runs_in(url: str, view: str) -> list[dict]:
    wanted = {"experiment_ids": experiments_in(url), "max_results": 1000, "run_view_type": view}
    return ask(url, "runs/search", wanted)["runs"]


def tags(url: str, run_id: str) -> dict[str, str]:
    found = ask(url, f"runs/get?run_id={run_id}")["run"]["data"].get("tags", [])
    return {tag["key"]: tag["value"] for tag in found}


def ask(url: str, path: str, body: dict[str, object] | None = None) -> dict:
    content = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/2.0/mlflow/{path}", content, headers)
    with direct().open(request, timeout=60) as answer:
        return json.load(answer)


def direct() -> urllib.request.OpenerDirector:
    """Loopback needs no proxy, whatever the environment says."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def servers(folder: Path, *names: str) -> Iterator[list[str]]:
    """An MLflow server for each name, started side by side; gives their addresses once all answer."""
    if not MLFLOW.exists():
        raise StepFailed(f"{MLFLOW} is missing: start it with `make demo-servers`, which installs it")
    started: list[tuple[subprocess.Popen[bytes], str, Path]] = []
    try:
        for name in names:
            started.append(start_server(folder / name))
        say("Starting two MLflow servers …")
        deadline = time.monotonic() + START_SECONDS
        for process, url, log in started:
            wait_for(process, url, log, deadline)
        yield [url for _, url, _ in started]
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for process, _, _ in started:
            stop_server(process)


def start_server(folder: Path) -> tuple["subprocess.Popen[bytes]", str, Path]:
    folder.mkdir()
    port = free_port()
    log = folder / "server.log"
    command = [MLFLOW, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", folder / "artifacts"]
    # Without these a job runner with several processes starts beside the server, and it calls home.
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment() | quiet,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    return process, f"http://127.0.0.1:{port}", log


def wait_for(process: "subprocess.Popen[bytes]", url: str, log: Path, deadline: float) -> None:
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with direct().open(f"{url}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    what = "ended" if process.poll() is not None else f"did not answer in {START_SECONDS} seconds"
    raise StepFailed(f"the server at {url} {what}:\n{log.read_text(errors='replace')[-2000:]}")


def stop_server(process: "subprocess.Popen[bytes]") -> None:
    """Ends a server with all processes it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(play(show))
