"""Measures a bundle of nightly snapshots: its size, how fast it opens, and what a night without changes costs.

    PYTHONPATH=tests .venv/bin/python tests/benchmarks/nightly.py [--runs 5000] [--nights 50] [--change 0.01]

The source is plain data in memory, so what is measured is runsync's own work; each command is a process of its own.
To be reached: at most 1.2 times the bytes of one full export and of the changes; list, inspect and diff in a second;
5 s of CPU for a night without changes.
"""

import argparse
import json
import os
import platform
import random
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from measure import Measured, median, run
from support.memory import export_to

from runsync.bundle.bundle import create_bundle, open_bundle
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.testing.memory import START, MemorySource, run_with_metrics

MOST = 1.2
SECOND = 1.0
CPU = 5.0
ONCE = "--export-once"

Points = dict[str, list[tuple[int, int, float]]]


@dataclass(frozen=True)
class Nights:
    """Runs with params and metrics; every night a share of them, any of them, gets a new point and a tag."""

    runs: int
    change: float
    metrics: int = 10
    points: int = 20
    params: int = 10

    @property
    def changed(self) -> int:
        """Runs that change in a night."""
        return round(self.runs * self.change)

    def source(self, night: int, only_changed: bool = False) -> MemorySource:
        """The workspace as it is on a night, from 0, or only those runs that are not as they were the night before."""
        after = self.versions(night)
        before = self.versions(night - 1) if only_changed else [-1] * self.runs
        made = [one_run(self, number, after[number]) for number in range(self.runs) if after[number] != before[number]]
        points = {one.run_id: history for one, history in made}
        return MemorySource([Experiment("1", "nightly")], [one for one, _ in made], points, batch_size=200)

    def versions(self, night: int) -> list[int]:
        """How often each run has changed by then."""
        versions = [0] * self.runs
        for past in range(1, night + 1):
            for number in random.Random(past).sample(range(self.runs), self.changed):
                versions[number] += 1
        return versions


def _series(chance: random.Random, begin: int, count: int) -> list[tuple[int, int, float]]:
    """The first points of a metric: more of them begin with the same ones."""
    return [(step, begin + step * 100, chance.random()) for step in range(count)]


@cache
def one_run(nights: Nights, number: int, version: int) -> tuple[Run, Points]:
    """A run as it is after so many changes, and its history."""
    chance = random.Random(number)
    begin = START + number * 1000
    run_id = f"{chance.getrandbits(128):032x}"
    params = {f"param_{key}": f"{chance.random():.6f}" for key in range(nights.params)}
    history = {
        f"metric_{key}": _series(random.Random(nights.metrics * number + key), begin, nights.points + version)
        for key in range(nights.metrics)
    }
    tags = {"mlflow.user": "ada", "mlflow.source.name": "train.py", "version": str(version)}
    return run_with_metrics(run_id, history, params=params, tags=tags, start_time=begin), history


def bytes_of(folder: Path, pattern: str = "*") -> int:
    """Of all files below it that match."""
    return sum(file.stat().st_size for file in folder.rglob(pattern) if file.is_file())


@dataclass(frozen=True)
class Row:
    """What was measured, what it is compared with, and what was to be reached ("" for nothing)."""

    what: str
    value: str
    beside: str = ""
    goal: str = ""
    reached: bool = True


class Benchmark:
    """Fills one bundle night by night and measures commands on it."""

    def __init__(self, nights: Nights, count: int, command: Sequence[str], folder: Path) -> None:
        self.rows: list[Row] = []
        self._nights = nights
        self._count = count
        self._command = command
        self._folder = folder
        self._bundle = folder / "bundle"

    def run(self) -> None:
        """All of it."""
        full, changes = self._export(0, self._bundle), 0
        few: dict[str, Measured] = {}
        for night in range(1, self._count):
            self._export(night, self._bundle)
            changes += self._export_changed(night)
            if night == min(2, self._count - 1):
                few = self._commands()
            print(f"\rnight {night} of {self._count - 1}", end="", file=sys.stderr)
        print(file=sys.stderr)
        self._tell_size(full, changes)
        self._tell_commands(few, self._commands())
        self._tell_unchanged()
        manifests = bytes_of(self._bundle / "snapshots")
        whole = bytes_of(self._bundle)
        took, _ = run([*self._command, "prune", self._bundle, "--yes", "--json"])
        pruned = f"{took.seconds:.2f} s; manifests were {manifests / whole:.0%} of the bundle"
        self.rows.append(Row("prune", pruned, f"bundle {bytes_of(self._bundle) / whole:.2f}× of before"))
        self._tell_commands(few, self._commands(), " after prune")

    def _export(self, night: int, bundle: Path) -> int:
        report = export_to(create_bundle(bundle), self._nights.source(night))
        assert report.exit_code == 0, report.stopped
        return bytes_of(bundle)

    def _export_changed(self, night: int) -> int:
        """Bytes that the changed runs of a night take by themselves, in the parts of an export of nothing else."""
        alone = self._folder / f"night-{night}"
        export_to(create_bundle(alone), self._nights.source(night, only_changed=True))
        return bytes_of(alone / "parts", "*.runs.*") + bytes_of(alone / "parts", "*.metrics.*")

    def _tell_size(self, full: int, changes: int) -> None:
        whole = bytes_of(self._bundle)
        ratio = whole / (full + changes)
        beside = f"{full / 1e6:.2f} MB of one full export + {changes / 1e6:.2f} MB of changes"
        size = f"{whole / 1e6:.2f} MB: {ratio:.2f}×"
        self.rows.append(Row(f"bundle of {self._count} snapshots", size, beside, f"≤ {MOST}×", ratio <= MOST))

    def _commands(self) -> dict[str, Measured]:
        """Whole commands on the bundle as it is; the median of three of each."""
        *_, before, last = open_bundle(self._bundle).snapshot_ids()
        at = f"{self._bundle}@"
        commands: dict[str, list[object]] = {
            "--help": ["--help"],
            "snapshots": ["snapshots", self._bundle, "--json"],
            "inspect": ["inspect", at + last, "--json"],
            "diff of two nights": ["diff", at + before, at + last, "--json"],
        }
        return {what: median([self._measured(command) for _ in range(3)]) for what, command in commands.items()}

    def _measured(self, arguments: Sequence[object]) -> Measured:
        return run([*self._command, *arguments], codes=(0, 4))[0]

    def _tell_commands(self, few: dict[str, Measured], many: dict[str, Measured], when: str = "") -> None:
        for what, took in many.items():
            times = took.cpu_seconds / few[what].cpu_seconds
            told = f"{took.seconds:.2f} s, {took.cpu_seconds:.2f} s CPU"
            beside = f"{times:.2f}× the CPU that it took with 3 snapshots"
            self.rows.append(Row(what + when, told, beside, f"< {SECOND:.0f} s", took.seconds < SECOND))

    def _tell_unchanged(self) -> None:
        sizes = (self._nights.runs, self._nights.change, self._nights.metrics, self._nights.points, self._nights.params)
        once = [sys.executable, __file__, ONCE, json.dumps([str(self._bundle), self._count - 1, *sizes])]
        _, told = run(once)
        took = f"{told['cpu']:.2f} s CPU"
        beside = f"{told['fingerprints']:.2f} s of that the fingerprints; {told['bytes']:,} bytes written"
        self.rows.append(Row("export, nothing changed", took, beside, f"< {CPU:.0f} s", told["cpu"] < CPU))


def export_once(bundle: str, night: int, runs: int, change: float, metrics: int, points: int, params: int) -> None:
    """In a process of its own: exports what is there already, and prints what that took."""
    from runsync.model.identity import fingerprint

    source = Nights(runs, change, metrics, points, params).source(night)
    before = bytes_of(Path(bundle))
    cpu = cpu_of(lambda: export_to(open_bundle(bundle), source))
    fingerprints = cpu_of(lambda: [fingerprint(one) for one in source.runs])
    assert not source.asked
    print(json.dumps({"cpu": cpu, "fingerprints": fingerprints, "bytes": bytes_of(Path(bundle)) - before}))


def cpu_of(work: Callable[[], object]) -> float:
    """Seconds of CPU time of this process."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The rows as plain text."""
    cells = [(r.what, r.value, r.goal and f"{r.goal} {'✓' if r.reached else '✗'}", r.beside) for r in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    for row in cells:
        yield "  ".join([*(c.ljust(w) for c, w in zip(row[:3], widths, strict=True)), row[3]]).rstrip()


def main() -> None:
    """Parses the command line and measures."""
    if sys.argv[1:2] == [ONCE]:
        export_once(*json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--runs", type=int, default=5000, help="in the workspace")
    add("--nights", type=int, default=50, help="snapshots")
    add("--change", type=float, default=0.01, help="share of the runs that change in a night")
    add("--points", type=int, default=20, help="of each of the 10 metrics of a run")
    add("--runsync", default=f"{shlex.quote(sys.executable)} -m runsync", help="the command measured")
    add("--json", type=Path, help="write the rows to that file")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    nights = Nights(options.runs, options.change, points=options.points)
    with tempfile.TemporaryDirectory(prefix="runsync-nightly-") as folder:
        benchmark = Benchmark(nights, options.nights, shlex.split(options.runsync), Path(folder))
        benchmark.run()
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}"
    print(f"{machine}; {options.runs} runs, {options.nights} nights, {options.change:.1%} change a night\n")
    print("\n".join(table(benchmark.rows)))
    if options.json:
        rows = [asdict(row) for row in benchmark.rows]
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
