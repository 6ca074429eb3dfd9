"""Measures export and import over REST, as whole commands, beside what the server and another tool need.

    .venv/bin/python tests/benchmarks/rest.py [--only export,import] [--repeat 3] [--peer VENV/bin] [--big | --wide]

Yardsticks: `ceiling` is the bare loop of the necessary HTTP calls (`ceiling.py`); mlflow-export-import is run where
`--peer` tells where it is, or where it is on the PATH. In the table, server CPU is that of all processes of the
server meanwhile, others that of everything else on the machine: where it is much, only the ratio of CPU tells.
"""

import argparse
import json
import os
import platform
import shlex
import signal
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import peer as peers
from measure import Line, Measured, Server, alternate, median, run, table
from places import CEILING, Places, default_mlflow
from workload import Workload

STEPS = ("help", "export", "reexport", "check", "import", "reimport", "verify")
BIG = Workload(runs=1, params=1, metrics=1, points=1_000_000, files=0, experiments=1)
WIDE = Workload(runs=5000, params=5, metrics=10, points=5, files=0, experiments=1)
PEER = "mlflow-export-import"
HELPS = 5


class Benchmark:
    """Measures one workload; `lines` holds what was found. Only the steps asked for are in it."""

    def __init__(self, places: Places, workload: Workload, options: argparse.Namespace, label: str = "") -> None:
        self._places = places
        self._workload = workload
        self._runsync_command = shlex.split(options.runsync)
        self._workers = ("--workers", options.workers)
        self._repeat: int = options.repeat
        self._peer: peers.Peer | None = options.peer
        self._label = label
        self.lines: list[Line] = []

    def run(self, steps: Collection[str]) -> None:
        """Exports from a filled server, then imports into empty ones."""
        with self._places.scratch() as folder:
            with self._places.source(self._workload) as source:
                self._export(source, folder, steps)
                if "reexport" in steps:
                    took = self._runsync("export", source.url, folder / "bundle-1", servers=[source])
                    self._add("re-export", "runsync", took)
            if "check" in steps:
                self._add("check", "runsync", self._runsync("check", folder / "bundle-1"), amount=True)
            if not {"import", "reimport", "verify"}.isdisjoint(steps):
                self._import(folder, steps)

    def _export(self, source: Server, folder: Path, steps: Collection[str]) -> None:
        turns = iter(range(1, self._repeat + 1)), iter(range(1, self._repeat + 1))

        def runsync() -> Measured:
            bundle = folder / f"bundle-{next(turns[0])}"
            return self._runsync("export", source.url, bundle, *self._workers, servers=[source], whole=True)

        def ceiling() -> Measured:
            return self._tool([*CEILING, "export", source.url, folder / f"raw-{next(turns[1])}"], source)

        if "export" not in steps:
            runsync()
            return
        ours, bare = alternate(self._repeat, runsync, ceiling)
        self._add("export", "runsync", ours, bare, note=self._bytes_a_point(folder / "bundle-1"))
        self._add("export", "ceiling", bare, bare)
        if self._peer:
            theirs = self._peer.export(source, self._workload, folder / "peer")
            self._add("export", PEER, theirs, bare, note=_times(theirs, ours))

    def _import(self, folder: Path, steps: Collection[str]) -> None:
        after: list[tuple[str, Measured]] = []

        bundle, bodies = folder / "bundle-1", self._places.bodies(self._workload)

        def runsync() -> Measured:
            with self._places.empty() as target:
                import_ = ("import", bundle, target.url, *self._workers)
                took = self._runsync(*import_, servers=[target], whole=True)
                if "reimport" in steps and not after:
                    after.append(("re-import", self._runsync(*import_, servers=[target])))
                if "verify" in steps and "verify" not in dict(after):
                    after.append(("verify", self._runsync("verify", bundle, target.url, servers=[target])))
                return took

        def ceiling() -> Measured:
            with self._places.empty() as target:
                return self._tool([*CEILING, "import", target.url, bodies], target)

        if "import" in steps:
            ours, bare = alternate(self._repeat, runsync, ceiling)
            self._add("import", "runsync", ours, bare)
            self._add("import", "ceiling", bare, bare)
        else:
            ours = runsync()
        for step, took in after:
            note = _times(ours, took, "faster than the import") if step == "re-import" else ""
            self._add(step, "runsync", took, amount=step == "verify", note=note)
        if self._peer and "import" in steps and (folder / "peer").exists():
            with self._places.empty() as target:
                theirs = self._peer.import_(folder / "peer", target)
            self._add("import", PEER, theirs, bare, note=_times(theirs, ours))

    def _runsync(self, *arguments: object, servers: Sequence[Server] = (), whole: bool = False) -> Measured:
        """One command; with `whole` its report must tell that all points and bytes went over."""
        os.sync()
        measured, report = run([*self._runsync_command, *arguments, "--json"], *servers)
        if whole:
            got = report["metric_points"], report["artifact_bytes"]
            assert got == (self._workload.all_points, self._workload.all_bytes), f"not all was carried: {got}"
        return measured

    def _tool(self, command: Sequence[object], server: Server) -> Measured:
        os.sync()
        return run(command, server)[0]

    def _add(
        self,
        step: str,
        tool: str,
        took: Measured,
        bare: Measured | None = None,
        amount: bool = False,
        note: str = "",
    ) -> None:
        counted = amount or bare is not None
        points, size = (self._workload.all_points, self._workload.all_bytes) if counted else (0, 0)
        self.lines.append(Line(self._label + step, tool, took, points, size, bare, note))
        print(table(self.lines[-1:]), file=sys.stderr)

    def _bytes_a_point(self, bundle: Path) -> str:
        size = sum(part.stat().st_size for part in bundle.glob("parts/*.metrics.parquet"))
        return f"{size / self._workload.all_points:.1f} bytes a point"


def main() -> None:
    """Parses the command line and measures."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the servers end with it
    options.peer = peers.find(options.peer)
    steps = options.only.split(",")
    if unknown := set(steps) - set(STEPS):
        raise SystemExit(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    places = Places(Path(options.mlflow), options.cache)
    workload = Workload(**{name: getattr(options, name) for name in vars(Workload())})
    lines = []
    if "help" in steps:
        lines.append(Line("--help", "runsync", _help(options)))
    for label, load, chosen in _workloads(options, workload, steps):
        benchmark = Benchmark(places, load, options, label)
        benchmark.run(chosen)
        lines += benchmark.lines
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}, MLflow {places.release}"
    print(f"{machine}; {options.workers} workers; median of {options.repeat}\n\n{table(lines)}")
    if options.json:
        told = [line.to_document() for line in lines]
        document = {"machine": machine, "workers": options.workers, "repeat": options.repeat, "lines": told}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def _workloads(
    options: argparse.Namespace, workload: Workload, steps: Collection[str]
) -> list[tuple[str, Workload, Collection[str]]]:
    """Each workload asked for, how its lines are labelled, and what is measured of it."""
    chosen: list[tuple[str, Workload, Collection[str]]] = []
    if not (options.big or options.wide):
        chosen.append(("", workload, steps))
    if options.big:
        chosen.append(("1,000,000 points: ", BIG, {"export", "import"} & set(steps)))
    if options.wide:
        chosen.append(("5,000 runs: ", WIDE, {"export", "reexport"} & set(steps)))
    return chosen


def _help(options: argparse.Namespace) -> Measured:
    return median([run([*shlex.split(options.runsync), "--help"])[0] for _ in range(HELPS)])


def _times(slow: Measured, fast: Measured, words: str = "the time of runsync") -> str:
    return f"{slow.seconds / fast.seconds:.1f}× {words}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, value in vars(Workload()).items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"of the workload ({value})")
    add = parser.add_argument
    add("--only", default=",".join(STEPS), help="steps, with commas: " + ", ".join(STEPS))
    add("--big", action="store_true", help="instead: one run with 1,000,000 points of one key")
    add("--wide", action="store_true", help="instead: 5,000 runs × 10 metrics × 5 points, export only")
    add("--repeat", type=int, default=1, help="measure export and import that often; medians")
    add("--workers", type=int, default=8, help="runsync's requests at the same time")
    add("--peer", help="the bin folder of a virtual environment with mlflow-export-import")
    add("--mlflow", default=default_mlflow(), help="the mlflow command that serves")
    add("--runsync", default=f"{shlex.quote(sys.executable)} -m runsync", help="the command measured")
    add("--cache", type=Path, help="where filled servers are kept (a folder in /tmp)")
    add("--json", type=Path, help="write the numbers to that file")
    return parser


if __name__ == "__main__":
    main()
