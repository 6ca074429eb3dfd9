"""Measures the promotion of a model between two servers, beside the bare calls and bytes that it needs.

    .venv/bin/python tests/benchmarks/promote.py [--megabytes 2000 --files 200] [--peer FOLDER]

The bare calls fetch every file to a disk, upload it and read it back. Where mlflow-export-import is installed its
`copy-model-version` is measured, too: it reads nothing back.
"""

import argparse
import shlex
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from measure import CommandFailed, Line, Measured, Server, run, table
from peer import Peer, find
from places import Places, default_mlflow

CEILING = (sys.executable, Path(__file__).with_name("promote_ceiling.py"))


class Benchmark:
    """One model, into one empty server after the other."""

    def __init__(self, places: Places, options: argparse.Namespace) -> None:
        self._places = places
        self._size = options.megabytes * 1_000_000
        self._files = options.files
        self._shape = f"{options.files},{self._size // (options.files - 1)}"
        self._runsync = shlex.split(options.runsync)
        self._peer: Peer | None = find(options.peer)
        self.lines: list[Line] = []

    def run(self) -> None:
        """The bare calls, runsync, runsync where all is there, and the peer."""
        with self._places.empty() as source:
            run([*CEILING, "fill", source.url, self._shape], source)
            with self._places.empty() as target:
                bare, _ = run([*CEILING, "promote", source.url, target.url], source, target)
            self._add("promote", "ceiling", bare, bare)
            with self._places.empty() as target:
                self._add("promote", "runsync", self._promote(source, target, "promoted"), bare)
                self._add("again", "runsync", self._promote(source, target, "already there"))
            if self._peer is not None:
                with self._places.empty() as target:
                    self._copy(self._peer, source, target, bare)

    def _promote(self, source: Server, target: Server, action: str) -> Measured:
        command = [*self._runsync, "promote", source.url, target.url, "churn@candidate", "--json"]
        took, report = run(command, source, target)
        assert report["action"] == action, report
        return took

    def _copy(self, peer: Peer, source: Server, target: Server, bare: Measured) -> None:
        try:
            took = peer.copy_model_version(source, target, "churn")
        except CommandFailed as error:
            print(f"copy-model-version does not work here: {str(error).splitlines()[-1]}")
            return
        self._add("promote", "peer", took, bare, f"{self._served(target)} of {self._files} files are there")

    def _served(self, server: Server) -> int:
        """How many files the version has that was made."""
        command = [*self._runsync, "models", "get", server.url, "churn/1", "--into", "unused", "--dry-run", "--json"]
        _, report = run(command, codes=(0, 1, 3))
        return len(report["files"]) if report and "files" in report else 0

    def _add(self, step: str, tool: str, took: Measured, bare: Measured | None = None, note: str = "") -> None:
        self.lines.append(Line(step, tool, took, bytes=self._size if bare else 0, bare=bare, note=note))
        print(table(self.lines[-1:]), file=sys.stderr)


def main() -> None:
    """Parses the command line and measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--megabytes", type=int, default=2000, help="of the model (2000)")
    add("--files", type=int, default=200, help="that it has (200)")
    add("--peer", help="the bin folder of an installation of mlflow-export-import")
    add("--mlflow", default=default_mlflow(), help="the mlflow command that serves")
    add("--runsync", default=f"{shlex.quote(sys.executable)} -m runsync", help="the command measured")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the servers end with it
    benchmark = Benchmark(Places(Path(options.mlflow)), options)
    benchmark.run()
    print(table(benchmark.lines))


if __name__ == "__main__":
    main()
