"""Measures traces, as whole commands, beside the bare calls that a server needs.

    .venv/bin/python tests/benchmarks/traces.py [--traces 100000 --spans 8] [--only …]

`ceiling` is `traces_ceiling.py`. The database of the server is read and written straight, too.
"""

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from measure import Line, Measured, Server, run, table
from places import Places, default_mlflow

STEPS = ("export", "reexport", "import", "reimport", "verify", "direct-export", "direct-import")
CEILING = (sys.executable, Path(__file__).with_name("traces_ceiling.py"))


class Benchmark:
    """Measures one shape: so many traces of so many spans."""

    def __init__(self, places: Places, options: argparse.Namespace) -> None:
        self._places = places
        self._traces = options.traces
        self._shape = f"{options.traces},{options.spans}"
        self._runsync = shlex.split(options.runsync)
        self._steps = options.only.split(",")
        self.lines: list[Line] = []

    def run(self) -> None:
        """Fills a server, exports it, and imports into empty ones."""
        with self._places.scratch() as folder, self._places.empty() as source:
            filled = self._bare("import", source, self._shape)
            if "export" in self._steps:
                bare = self._bare("export", source, folder / "raw")
                self._add("export", self._command("export", source.url, folder / "bundle", servers=[source]), bare)
                self._add("export", bare, bare, "ceiling")
            if "reexport" in self._steps:
                self._add("re-export", self._command("export", source.url, folder / "bundle", servers=[source]))
            if {"import", "reimport", "verify"} & set(self._steps):
                self._import(folder, filled)
            self._direct(folder, source)

    def _import(self, folder: Path, bare: Measured) -> None:
        with self._places.empty() as target:
            took = self._command("import", folder / "bundle", target.url, servers=[target])
            self._add("import", took, bare)
            self._add("import", bare, bare, "ceiling")
            if "reimport" in self._steps:
                self._add("re-import", self._command("import", folder / "bundle", target.url, servers=[target]))
            if "verify" in self._steps:
                self._add("verify", self._command("verify", folder / "bundle", target.url, servers=[target]))

    def _direct(self, folder: Path, server: Server) -> None:
        server.artifact_root.mkdir(exist_ok=True)  # nothing has any
        database = (f"sqlite:///{server.folder}/mlflow.db", folder / "direct", "--artifacts", server.artifact_root)
        if "direct-export" in self._steps:
            took = self._command("export", *database)
            self._add("database export", took, note=f"{self._traces / took.seconds * 60:,.0f} traces a minute")
        if "direct-import" in self._steps:
            target = (f"sqlite:///{folder}/new.db", "--init", "--artifacts", folder / "new-artifacts")
            self._add("database import", self._command("import", folder / "direct", *target))

    def _command(self, *arguments: object, servers: tuple[Server, ...] | list[Server] = ()) -> Measured:
        path = {
            "PATH": f"{self._places.mlflow.parent}{os.pathsep}{os.environ['PATH']}"
        }  # --init looks for mlflow there
        measured, report = run([*self._runsync, *arguments, "--json"], *servers, env=path)
        if report and "objects" in report:
            told = report["objects"]["traces"]
            count = told if arguments[0] == "verify" else sum(told.values()) - told["failed"]
            assert count == self._traces, told
        return measured

    def _bare(self, action: str, server: Server, further: object) -> Measured:
        return run([*CEILING, action, server.url, further], server)[0]

    def _add(
        self, step: str, took: Measured, bare: Measured | None = None, tool: str = "runsync", note: str = ""
    ) -> None:
        self.lines.append(Line(step, tool, took, bare=bare, note=note))
        print(table(self.lines[-1:]), file=sys.stderr)


def main() -> None:
    """Parses the command line and measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    for name, value in (("traces", 100_000), ("spans", 8)):
        add(f"--{name}", type=int, default=value, help=f"how many ({value:,})")
    add("--only", default=",".join(STEPS), help="steps, with commas: " + ", ".join(STEPS))
    add("--mlflow", default=default_mlflow(), help="the mlflow command that serves")
    add("--runsync", default=f"{shlex.quote(sys.executable)} -m runsync", help="the command measured")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the servers end with it
    benchmark = Benchmark(Places(Path(options.mlflow)), options)
    benchmark.run()
    print(table(benchmark.lines))


if __name__ == "__main__":
    main()
