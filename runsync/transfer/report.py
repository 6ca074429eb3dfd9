"""What a transfer did: counts, and everything that did not arrive by name."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from runsync.errors import RunsyncError
from runsync.kinds import NAMES, OWN_PATHS
from runsync.kinds.left_behind import MISSING_ITEMS, MISSING_PIECES, was_sought
from runsync.kinds.runs import RUNS
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.place import Place
from runsync.model.run import Problem

PARTLY_DONE = 3
_OWN = tuple(kind.name for kind in OWN_PATHS)
"""The kinds that have fields of their own in a report."""
_TALLIED = {CREATE: "created", UPDATE: "updated", UNCHANGED: "unchanged", FAILED: "failed"}


@dataclass(slots=True)
class Tally:
    """How many were (or would be) made, brought up to date, found as they should be, and not brought over."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0

    def count(self, action: str) -> None:
        """One more of an action."""
        name = _TALLIED[action]
        setattr(self, name, getattr(self, name) + 1)

    def add(self, more: "Tally") -> None:
        """What another transfer did, too."""
        self.created += more.created
        self.updated += more.updated
        self.unchanged += more.unchanged
        self.failed += more.failed

    @property
    def total(self) -> int:
        """All that were looked at."""
        return self.created + self.updated + self.unchanged + self.failed


@dataclass(slots=True)
class TransferReport:
    """`schemas/v1/transfer-report.schema.json`. `id_map` maps source ids to target ids, by the name of the kind;
    `objects` tells of entities, by the name of their kind.

    `accept` are the names of what may stay behind (see `kinds.left_behind`): it is told, and changes no exit code; nor
    does what a target changes by its nature. `retry` of what failed or is missing: another try may bring it.

    `has_more_to_do`: a dry run found something to do that `experiments`, `runs` and `objects` do not count.

    `warnings` are about the target (a snapshot that is missing, a clock that is wrong) and change no exit code.
    `stopped` tells why a transfer ended before its end ("" when it did not), `may_go_on` whether another try may get
    further; `seconds` is wall time; `requests` counts HTTP requests to either side.
    """

    verb: str
    source: Place
    target: Place
    dry_run: bool = False
    snapshot: str = ""
    experiments: Tally = field(default_factory=Tally)
    runs: Tally = field(default_factory=Tally)
    objects: dict[str, Tally] = field(default_factory=dict)
    metric_points: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0
    accept: frozenset[str] = frozenset()
    problems: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    not_carried: list[NotCarried] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    id_map: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in _OWN})
    seconds: float = 0.0
    requests: int = 0
    stopped: str = ""
    stop_code: int = 0
    may_go_on: bool = True
    has_more_to_do: bool = False
    _broken: dict[str, tuple[Problem, ...]] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 all done or accepted, 3 partly done, else that of what stopped it."""
        if self.stopped:
            return self.stop_code
        return PARTLY_DONE if self.undone or self.left_behind else 0

    @property
    def has_something_to_do(self) -> bool:
        """Whether anything was, or would be, written."""
        return self.has_more_to_do or any(tally.created + tally.updated for tally in self.tallies.values())

    @property
    def tallies(self) -> dict[str, Tally]:
        """Of all kinds, by their names."""
        return {**{name: getattr(self, name) for name in _OWN}, **self.objects}

    @property
    def undone(self) -> list[dict[str, Any]]:
        """What failed and what is missing, unless that was accepted. What another try may bring never is."""
        lost = ((self.failed, MISSING_ITEMS), (self.problems, MISSING_PIECES))
        return [one for some, kind in lost for one in some if one["retry"] or kind.name not in self.accept]

    @property
    def left_behind(self) -> list[NotCarried]:
        """What stays behind and was not accepted."""
        return [left for left in self.not_carried if left.kind and left.kind not in self.accept]

    @property
    def accepted(self) -> list[NotCarried]:
        """What stays behind as was accepted."""
        lost = ((self.failed, MISSING_ITEMS), (self.problems, MISSING_PIECES))
        counts = {kind: sum(not one["retry"] for one in some) for some, kind in lost if kind.name in self.accept}
        told = [kind.left(count, "listed above") for kind, count in counts.items() if count]
        return told + [left for left in self.not_carried if left.kind in self.accept]

    @property
    def otherwise(self) -> list[NotCarried]:
        """What is otherwise in the target: nothing is lost with it."""
        return [left for left in self.not_carried if not left.kind and was_sought(left)]

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Takes in what was done."""
        for outcome in outcomes:
            self._tally(outcome.kind).count(outcome.action)
            self.metric_points += outcome.points
            self.artifacts += outcome.artifacts
            self.artifact_bytes += outcome.bytes
            if outcome.target_id and (name := NAMES.get(outcome.kind)):
                self.id_map.setdefault(name, {})[outcome.source_id] = outcome.target_id
            if outcome.action == FAILED:
                self.failed.append(
                    {
                        "kind": outcome.kind,
                        "id": outcome.source_id,
                        "name": outcome.name,
                        "error": outcome.error,
                        "retry": outcome.retry,
                    }
                )
            broken = self._broken.pop(outcome.source_id, ()) if outcome.kind == RUNS.noun else ()
            problems = dict.fromkeys((*outcome.problems, *broken))  # a bundle tells of them itself
            home, retry = {"run_id": outcome.source_id}, {"retry": outcome.retry}
            self.problems += [home | asdict(_of(outcome.kind, problem)) | retry for problem in problems]

    def note_broken(self, broken: Mapping[str, tuple[Problem, ...]]) -> None:
        """Pieces of runs, by run id, that the source cannot read: told with what is done with those runs."""
        self._broken.update(broken)

    def _tally(self, noun: str) -> Tally:
        name = NAMES.get(noun)
        if name is None:
            return Tally()  # a broken piece: the rest of it counts
        tally: Tally = getattr(self, name) if name in _OWN else self.objects.setdefault(name, Tally())
        return tally

    @property
    def ids_by_kind(self) -> dict[str, Any]:
        """The id map as documents have it."""
        own = {name: self.id_map[name] for name in _OWN}
        return {**own, "objects": {name: ids for name, ids in self.id_map.items() if name not in own}}

    def stop(self, error: RunsyncError) -> None:
        """Ends the transfer before its end."""
        self.stopped = str(error)
        self.stop_code = error.exit_code
        self.may_go_on = error.may_go_on

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        document = asdict(self)
        document["id_map"] = self.ids_by_kind
        for private in ("stop_code", "may_go_on", "has_more_to_do", "_broken"):
            del document[private]
        document["accept"] = sorted(self.accept)
        for left in document["not_carried"]:
            left["accepted"] = left["kind"] in self.accept
        return {"format": "runsync-transfer-report", "version": 1, "exit_code": self.exit_code, **document}


def _of(noun: str, problem: Problem) -> Problem:
    """That tells of what it is a piece, where that is no run."""
    is_told = noun == RUNS.noun or " of " in problem.kind
    return problem if is_told else replace(problem, kind=f"{problem.kind} of {noun}")
