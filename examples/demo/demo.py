"""Brings the runs of an old mlruns folder into a database, step by step and without any server: `make demo`."""

import shutil
import sqlite3
import sys
from contextlib import ExitStack, closing
from pathlib import Path

from steps import HERE, StepFailed, play, runsync, say

STORE = HERE.parent / "mlruns"
EMPTY = HERE / "empty-mlflow-3.17.sql"
DATABASE = "sqlite:///mlflow.db"
BEST = ("--filter", "tags.candidate = 'yes'", "--order-by", "metrics.test/accuracy DESC")
SHOWN = "run_id,name,params.eta0,metrics.test/accuracy,duration"


def show(folder: Path, stack: ExitStack) -> str:
    """The main job: everything from the file store to the database, and the proof that it is there."""
    shutil.copytree(STORE, folder / "mlruns")
    say("A team has an mlruns folder from MLflow 2, which servers of today refuse. What is in it?")
    runsync(folder, "experiments", "list", "mlruns")
    runsync(folder, "runs", "list", "mlruns", "--columns", "run_id,name,status,start_time,metrics.test/accuracy")

    say("Everything into a bundle, a folder named backup: plain files that can be read without MLflow.")
    runsync(folder, "export", "mlruns", "backup")
    runsync(folder, "inspect", "backup")
    runsync(folder, "check", "backup")

    say("From the bundle into an empty MLflow database (as `mlflow db upgrade` makes it); first only the plan:")
    make_database(folder / "mlflow.db")
    runsync(folder, "import", "backup", DATABASE, "--dry-run")
    runsync(folder, "import", "backup", DATABASE)
    same_ids(folder)
    say("Is everything there, field by field, point by point and byte by byte?")
    runsync(folder, "verify", "mlruns", DATABASE, "--verify-artifacts")

    say("Running it again is safe: there is nothing left to do.")
    runsync(folder, "import", "backup", DATABASE)
    say("Which of the runs in the database learned best?")
    runsync(
        folder, "runs", "list", DATABASE, *BEST, "--columns", "run_id,name,params.eta0,metrics.test/accuracy,duration"
    )
    served = "mlflow server --backend-store-uri sqlite:///mlflow.db --artifacts-destination ./mlartifacts"
    say(f"Its server would be: {served}")
    return f"{folder}; cd there, and try runsync runs show {DATABASE} RUN"


def make_database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.executescript(EMPTY.read_text(encoding="utf-8"))


def same_ids(folder: Path) -> None:
    """Shows, without runsync, that the ids are those of the folders they come from."""
    wanted = {place.parent.name for place in (folder / "mlruns").glob("*/*/meta.yaml")}
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        found = {run_id for (run_id,) in database.execute("SELECT run_uuid FROM runs")}
    if found != wanted:
        raise StepFailed(f"runs {sorted(found ^ wanted)} are not in both")
    print(f"Asked without runsync: all {len(found)} runs have the ids that they had.")


if __name__ == "__main__":
    sys.exit(play(show))
