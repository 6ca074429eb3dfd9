"""Measures databases and file stores as workspaces, as whole commands, beside other tools on the same data.

    .venv/bin/python tests/benchmarks/direct.py [--peer VENV/bin] [--huge]

The workload is that of `rest.py`. mlflow-export-import works through a server over the same database, where `--peer`
tells where it is; `mlflow migrate-filestore` brings over no artifacts, and neither does runsync beside it. PostgreSQL
is measured where RUNSYNC_TEST_POSTGRES_URL is set. With `--huge`, instead: 10,000,000 points from SQLite through a
bundle into PostgreSQL (SQLite where there is none).
"""

import argparse
import os
import platform
import random
import shlex
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import peer as peers
from measure import Line, Measured, run, table
from places import Places, default_mlflow
from support.databases import SERVERS, Databases
from workload import BEGIN, Workload

POSTGRES = bool(SERVERS["postgres"])
PEER = "mlflow-export-import"
HUGE = Workload(runs=100, params=5, metrics=10, points=10_000, files=0, experiments=1)


class Benchmark:
    """Measures one workload; `lines` holds what was found."""

    def __init__(self, places: Places, workload: Workload, options: argparse.Namespace) -> None:
        self._places = places
        self._workload = workload
        self._runsync = shlex.split(options.runsync)
        self._peer: peers.Peer | None = options.peer
        self.lines: list[Line] = []

    def run(self) -> None:
        """From the database of a filled server to a bundle, and from there into every kind of store."""
        with self._places.scratch() as folder, ExitStack() as stack:
            databases = self._databases(folder, stack)
            theirs = self._peer_export(folder)
            home = self._places.filled(self._workload)
            artifacts = ("--artifacts", home / "artifacts")
            bundle = folder / "bundle"
            took = self._command("export", f"sqlite:///{home}/mlflow.db", bundle, *artifacts)
            self._add("export from SQLite", took, theirs)
            self._without_files("SQLite", f"sqlite:///{home}/mlflow.db", folder)
            imported = self._peer_import(folder)
            lite = databases.fresh("sqlite").url
            self._add("import into SQLite", self._command("import", bundle, lite), imported)
            if POSTGRES:
                database = databases.fresh("postgres").url
                roots = ("--artifacts", folder / "mlartifacts-postgres")
                self._add("import into PostgreSQL", self._command("import", bundle, database, *roots), imported)
                took = self._command("export", database, folder / "from-postgres", *roots)
                self._add("export from PostgreSQL", took, theirs)
                self._without_files("PostgreSQL", database, folder)
            self._files(folder, bundle, databases)

    def _without_files(self, name: str, database: str, folder: Path) -> None:
        """How fast params, tags and points are read."""
        took = self._command("export", database, folder / f"points-{name}", "--no-artifacts", whole=False)
        self._add(f"export from {name}, no files", took, whole=False)

    def _files(self, folder: Path, bundle: Path, databases: Databases) -> None:
        """A file store into SQLite, without artifacts: `mlflow migrate-filestore` leaves them where they are."""
        store = folder / "mlruns"
        self._add("import into a file store", self._command("import", bundle, store))
        self._add("export from a file store", self._command("export", store, folder / "from-files"))
        migrate = [self._places.mlflow, "migrate-filestore", "--source", store, "--no-progress"]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}
        (folder / "theirs").mkdir()
        bare, _ = run([*migrate, "--target", f"sqlite:///{folder}/theirs/mlflow.db"], env=quiet)
        ours = self._command("sync", store, databases.fresh("sqlite").url, "--no-artifacts", whole=False)
        self._add("file store to SQLite", ours, bare, whole=False)
        self.lines.append(Line("file store to SQLite", "migrate-filestore", bare, self._workload.all_points))

    def huge(self) -> None:
        """Many points, whose memory must stay flat."""
        with self._places.scratch() as folder, ExitStack() as stack:
            databases = self._databases(folder, stack)
            made = databases.fresh("sqlite")
            source = made.url
            assert made.path is not None
            _fill(made.path, self._workload)
            bundle = folder / "bundle"
            size = self._command("export", source, bundle, "--no-artifacts")
            parts = sum(part.stat().st_size for part in bundle.glob("parts/*.metrics.parquet"))
            self._add("export from SQLite", size, note=f"{parts / self._workload.all_points:.1f} bytes a point")
            target = databases.fresh("postgres" if POSTGRES else "sqlite").url
            name = "PostgreSQL" if POSTGRES else "SQLite"
            self._add(f"import into {name}", self._command("import", bundle, target, "--no-artifacts"))
            self._add(f"export from {name}", self._command("export", target, folder / "again", "--no-artifacts"))

    def _peer_export(self, folder: Path) -> Measured | None:
        with self._places.source(self._workload) as server:
            return self._peer.export(server, self._workload, folder / "peer") if self._peer else None

    def _peer_import(self, folder: Path) -> Measured | None:
        if self._peer is None:
            return None
        with self._places.empty() as server:
            return self._peer.import_(folder / "peer", server)

    def _databases(self, folder: Path, stack: ExitStack) -> Databases:
        databases = Databases(lambda _: self._places.mlflow, folder)
        stack.callback(databases.drop)
        return databases

    def _command(self, *arguments: object, whole: bool = True) -> Measured:
        """One command; its report must tell that all points and bytes went over."""
        os.sync()
        measured, report = run([*self._runsync, *arguments, "--json"])
        got = report["metric_points"], report["artifact_bytes"]
        assert got == (self._workload.all_points, self._workload.all_bytes if whole else 0), f"not all: {got}"
        return measured

    def _add(
        self, step: str, took: Measured, theirs: Measured | None = None, note: str = "", *, whole: bool = True
    ) -> None:
        if theirs is not None:
            note = f"{theirs.seconds / took.seconds:.1f} times as fast as the other ({theirs.seconds:.1f} s)"
        carried = self._workload.all_bytes if whole else 0
        self.lines.append(Line(step, "runsync", took, self._workload.all_points, carried, None, note))
        print(table(self.lines[-1:]), file=sys.stderr)


def _fill(file: Path, workload: Workload) -> None:
    """Rows as MLflow would have them, straight into its tables."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time,"
            " last_update_time) VALUES (1, 'benchmark', 'mlflow-artifacts:/1', 'active', ?, ?)",
            (BEGIN, BEGIN),
        )
        for number in range(workload.runs):
            run_id = f"{number:032x}"
            database.execute(
                "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status,"
                " start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
                " VALUES (?, ?, 'UNKNOWN', '', '', 'bench', 'FINISHED', ?, ?, '', 'active', ?, 1)",
                (run_id, run_id, BEGIN + number, BEGIN + number, f"mlflow-artifacts:/1/{run_id}/artifacts"),
            )
            database.execute("INSERT INTO tags VALUES ('mlflow.runName', ?, ?)", (run_id, run_id))
            database.executemany(
                "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
                _rows(run_id, number, workload),
            )
        database.execute(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)"
            " SELECT key, value, timestamp, step, is_nan, run_uuid FROM metrics WHERE step = ?",
            (workload.points - 1,),
        )


def _rows(run_id: str, number: int, workload: Workload) -> Iterator[tuple[str, float, int, str, int]]:
    chance = random.Random(number)
    for metric in range(workload.metrics):
        for step in range(workload.points):
            value = 1 / (step + 1) + chance.gauss(0, 0.01)
            yield f"metric_{metric:02}", value, BEGIN + step * 400 + chance.randrange(100), run_id, step


def main() -> None:
    """Parses the command line and measures."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the servers end with it
    options.peer = peers.find(options.peer)
    places = Places(Path(options.mlflow), options.cache)
    sizes = {name: getattr(options, name) for name in vars(Workload())}
    benchmark = Benchmark(places, HUGE if options.huge else Workload(**sizes), options)
    if options.huge:
        benchmark.huge()
    else:
        benchmark.run()
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}, MLflow {places.release}"
    print(f"{machine}\n\n{table(benchmark.lines)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, value in vars(Workload()).items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"of the workload ({value})")
    add = parser.add_argument
    add("--huge", action="store_true", help="instead: 10,000,000 points")
    add("--peer", help="the bin folder of a virtual environment with mlflow-export-import")
    add("--mlflow", default=default_mlflow(), help="the mlflow command that serves and makes tables")
    add("--runsync", default=f"{shlex.quote(sys.executable)} -m runsync", help="the command measured")
    add("--cache", type=Path, help="where filled servers are kept (a folder in /tmp)")
    return parser


if __name__ == "__main__":
    main()
