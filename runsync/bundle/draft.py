"""What a snapshot that is being written is to hold: which stored version stands for each run, and what is missing."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from runsync.bundle.known import Known, KnownRun
from runsync.bundle.manifest import Counts, PartFile, RunsPart
from runsync.bundle.stored import StoredRun
from runsync.model.outcome import FAILED, Outcome
from runsync.model.run import Problem, Run


class Draft:
    """Grows as runs arrive, from several threads. `known` is what the bundle held before."""

    def __init__(self, known: Known) -> None:
        self.counts = Counts()
        self.problems: list[dict[str, str]] = []
        """Pieces that the runs in it lack."""
        self.failed: list[dict[str, str]] = []
        """What is not in it, or only as it was earlier."""
        self._known = known
        self._places: dict[str, tuple[str, int]] = {}
        """Part and line of each run."""
        self._parts = dict(known.parts)
        self._lost: list[str] = []
        """Runs that could not be read."""
        self._lock = threading.Lock()

    def take_over(self, run_id: str, known: KnownRun) -> None:
        """Lets a stored version of a run stand for it."""
        with self._lock:
            self._places[run_id] = known.place
            self.counts.add(known.counts)
            self._note_problems(run_id, known.problems)

    def add(self, runs: PartFile, metrics: tuple[PartFile, ...], stored: Sequence[StoredRun]) -> None:
        """A new part with these runs, in this order."""
        with self._lock:
            self._parts[runs.path] = RunsPart(runs, metrics)
            for line, s in enumerate(stored, 1):
                self._places[s.run.run_id] = (runs.path, line)
                self.counts.add(s.counts())
                self._note_problems(s.run.run_id, s.contents.problems)

    def fail(self, run: Run, error: str) -> Outcome:
        """The run could not be read."""
        self.note_failed("run", run.run_id, run.name, error)
        return Outcome("run", run.run_id, run.name, FAILED, error=error)

    def note_failed(self, kind: str, id: str, name: str, error: str) -> None:
        """Something could not be read."""
        with self._lock:
            self._lost += [id] if kind == "run" else []
            self.failed.append({"kind": kind, "id": _unicode(id), "name": _unicode(name), "error": _unicode(error)})

    def keep_older(self) -> None:
        """Of a run that could not be read the older version stays, where there is one and it was met nowhere else."""
        for run_id in dict.fromkeys(self._lost):
            if run_id not in self._places and (older := self._known.older(run_id)) is not None:
                self.take_over(run_id, older)

    def parts(self) -> Iterator[RunsPart]:
        """The parts that hold a run of this snapshot, each with the lines of it that are not."""
        lines: dict[str, set[int]] = defaultdict(set)
        for name, line in self._places.values():
            lines[name].add(line)
        for name, part in self._parts.items():
            if name in lines:
                others = tuple(line for line in range(1, part.runs.count + 1) if line not in lines[name])
                yield replace(part, superseded=others)

    def _note_problems(self, run_id: str, problems: Sequence[Problem]) -> None:
        self.problems += [{"run_id": run_id, **asdict(problem)} for problem in problems]


def _unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
