"""Running a command as a whole, and what that cost."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from support.forks import clean_environment
from support.servers import MlflowServer

TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Measured:
    """Wall seconds, CPU seconds (a command's own, the servers', all others'), peak memory, HTTP requests."""

    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    other_cpu_seconds: float
    peak_bytes: int
    requests: int = 0

    @property
    def all_cpu_seconds(self) -> float:
        """Work done for the command on either side: what stays the same when other processes take CPU time."""
        return self.cpu_seconds + self.server_cpu_seconds


class Server(MlflowServer):
    """A server whose CPU time can be asked for."""

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        assert self._process is not None
        total = 0
        for told in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                after_name = told.read_text().rpartition(") ")[2].split()
                if int(after_name[2]) == self._process.pid:
                    total += int(after_name[11]) + int(after_name[12])
        return total / TICKS


class CommandFailed(Exception):
    """A measured command ended with an exit code other than 0."""


def run(
    command: Sequence[object], *servers: Server, env: dict[str, str] | None = None, codes: Collection[int] = (0,)
) -> tuple[Measured, Any]:
    """Runs a command to its end; gives what it took and the JSON document it printed (None when it printed none).

    Memory is what the kernel tells of the child (`ru_maxrss`). It begins at the size of this process, which is why
    nothing big is ever held here. Raises CommandFailed for an exit code that is not among `codes`.
    """
    before = sum(server.cpu_seconds() for server in servers)
    machine = _machine_cpu_seconds()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaints:
        begun = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=complaints,
            env=clean_environment() | (env or {}),
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - begun
        machine = _machine_cpu_seconds() - machine
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        printed = out.read()
        complaints.seek(0)
        if process.returncode not in codes:
            told = (printed[-2000:] + complaints.read()[-4000:]).decode(errors="replace")
            raise CommandFailed(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{told}")
    document = _document(printed)
    own = usage.ru_utime + usage.ru_stime
    served = sum(server.cpu_seconds() for server in servers) - before
    measured = Measured(
        seconds,
        own,
        served,
        max(0.0, machine - own - served),
        usage.ru_maxrss * _KIB,
        int(document.get("requests", 0)) if document else 0,
    )
    return measured, document


def median(measurements: Sequence[Measured]) -> Measured:
    """Each number's median."""
    columns = {f.name: [getattr(m, f.name) for m in measurements] for f in fields(Measured)}
    return Measured(**{name: statistics.median(column) for name, column in columns.items()})


def alternate(times: int, *tools: Callable[[], Measured]) -> list[Measured]:
    """Runs each tool that often, in turns whose order is reversed each time; the median of each."""
    found: list[list[Measured]] = [[] for _ in tools]
    for turn in range(times):
        order = range(len(tools)) if turn % 2 == 0 else reversed(range(len(tools)))
        for index in order:
            found[index].append(tools[index]())
    return [median(measurements) for measurements in found]


@dataclass(frozen=True)
class Line:
    """One line of the table: who did what, and how much of it there was."""

    step: str
    tool: str
    measured: Measured
    points: int = 0
    bytes: int = 0
    bare: Measured | None = None
    note: str = ""

    def to_document(self) -> dict[str, Any]:
        """For the JSON file."""
        document = {**asdict(self), **asdict(self.measured), "ratio": self.ratio, "cpu_ratio": self.cpu_ratio}
        del document["measured"], document["bare"]
        return document

    @property
    def ratio(self) -> float | None:
        """Times the wall seconds of the bare calls."""
        return self.measured.seconds / self.bare.seconds if self.bare else None

    @property
    def cpu_ratio(self) -> float | None:
        """Times the CPU seconds of the bare calls, both sides taken together."""
        return self.measured.all_cpu_seconds / self.bare.all_cpu_seconds if self.bare else None


_HEADINGS = (
    "step",
    "tool",
    "wall s",
    "own CPU",
    "server CPU",
    "others",
    "peak MB",
    "requests",
    "points/s",
    "MB/s",
    "× ceiling",
    "× its CPU",
    "",
)


def table(lines: Sequence[Line]) -> str:
    """The lines as plain text."""
    rows = [_HEADINGS, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    texts = []
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False)]
        right = [cell.rjust(width) for cell, width in zip(row[2:-1], widths[2:], strict=False)]
        texts.append("  ".join((*left, *right, row[-1])).rstrip())
    return "\n".join(texts)


def _cells(line: Line) -> tuple[str, ...]:
    took = line.measured
    return (
        line.step,
        line.tool,
        f"{took.seconds:.2f}",
        f"{took.cpu_seconds:.2f}",
        f"{took.server_cpu_seconds:.2f}",
        f"{took.other_cpu_seconds:.1f}",
        f"{took.peak_bytes / 1e6:.0f}",
        f"{took.requests:,.0f}" if took.requests else "",
        f"{line.points / took.seconds:,.0f}" if line.points else "",
        f"{line.bytes / took.seconds / 1e6:.1f}" if line.bytes else "",
        f"{line.ratio:.2f}" if line.ratio else "",
        f"{line.cpu_ratio:.2f}" if line.cpu_ratio else "",
        line.note,
    )


def _machine_cpu_seconds() -> float:
    """CPU time that the machine spent on all processes so far."""
    user, nice, system, *_ = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    return (int(user) + int(nice) + int(system)) / TICKS


def _document(printed: bytes) -> Any:
    try:
        return json.loads(printed)
    except ValueError:
        return None
