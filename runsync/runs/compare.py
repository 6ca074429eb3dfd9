"""compare: runs of one or several workspaces and bundles beside each other; writes nothing."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from runsync import threads
from runsync.bundle.address import Access
from runsync.contract.source import Source, Unread
from runsync.errors import ITEM_ERRORS, NothingSelected
from runsync.model import numbers
from runsync.model.comparison import FieldChange, changed_artifacts
from runsync.model.curves import Curve, CurvePair, compare_curves, thinned
from runsync.model.fields import METRICS
from runsync.model.option import takes
from runsync.model.place import Place
from runsync.model.progress import Progress, Silent
from runsync.model.run import ArtifactFile, Batch, Problem, Unreadable
from runsync.model.run_table import Row, Subject, direction_of, rows_of
from runsync.model.selection import Selection
from runsync.runs.options import CompareOptions
from runsync.transfer.find import find_run, with_ids
from runsync.transfer.places import open_source
from runsync.transfer.unmet import unmet_fields

RUNS_A_LOOK = 200
"""Runs whose histories are read together."""
POINTS_DRAWN = 100_000
"""Points of all curves together, so that a page stays small."""
MOST_POINTS = 500
"""Points of one curve."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What two runs (the first and the second) have beside values: metric curves, and artifacts that differ.

    Artifacts are compared by hash where both sides know it, else by size; None when they were left out.
    """

    curves: tuple[CurvePair, ...] = ()
    artifacts: tuple[FieldChange, ...] | None = None


@dataclass(slots=True)
class CompareReport:
    """`schemas/v1/compare-report.schema.json`.

    `pair` is told of exactly two runs. `curves` (by metric and position of the run; not part of the document) are
    there when they were asked for, with at most `most_points` points each.
    """

    subjects: tuple[Subject, ...]
    rows: tuple[Row, ...]
    pair: Pair | None = None
    curves: dict[str, dict[int, Curve]] = field(default_factory=dict)
    most_points: int = 0
    problems: list[Problem] = field(default_factory=list)
    seconds: float = 0.0
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """3 when something could not be read."""
        return 3 if self.problems else 0

    def differing(self) -> tuple[Row, ...]:
        """The rows in which not all runs have the same."""
        return tuple(row for row in self.rows if row.differs)

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-compare-report",
            "version": 1,
            "exit_code": self.exit_code,
            "runs": [
                {"run_id": s.run.run_id, "name": s.run.name, "experiment": s.experiment, "place": s.place}
                for s in self.subjects
            ],
            "rows": [{**asdict(row), "values": [_plain(v) for v in row.values]} for row in self.rows],
            "pair": _pair_document(self.pair) if self.pair else None,
            "problems": [asdict(problem) for problem in self.problems],
            "seconds": self.seconds,
            "requests": self.requests,
        }


@takes(CompareOptions).first_of_two
def compare_runs(where: str, runs: Iterable[str] = (), *, options: CompareOptions) -> CompareReport:
    """Puts runs beside each other: those named (`runs`: an id, its beginning, or a name) and those of a selection.

    `where` is a workspace or a bundle; without runs and selection all of it is meant. `others` are (WHERE, RUN) of
    further places; `also_in` names places in which the same runs (or the selection) are looked up too. Which value of a
    metric is best follows from its key (see `model.run_table.direction_of`), unless it is said. With `curves` the
    metric histories are read for drawing. Raises NothingSelected, RunsyncError when a place cannot be read.
    """
    begun = time.monotonic()
    named, workers, access = tuple(runs), options.workers, options.access or Access()
    wanted = [_Wanted(place, named, options.selection) for place in (where, *options.also_in)]
    wanted += [_Wanted(place, (run,), None) for place, run in options.others]
    with ExitStack() as stack:
        pool = stack.enter_context(threads.pool(workers))
        places = {
            place: stack.enter_context(open_source(place, "compare", access=access, workers=workers))
            for place in dict.fromkeys(each.where for each in wanted)
        }
        unreadable: list[Unreadable] = []
        found = _gather(wanted, places, unreadable.append)
        subjects = tuple(each.subject for each in found)
        rows = rows_of(subjects, options.lower_is_better, options.higher_is_better)
        report = CompareReport(subjects, rows)
        report.problems += [Problem(one.kind, one.id, f"{one.reason} ({one.place})") for one in unreadable]
        if len(found) == 2:
            report.pair = _pair(found, report, options.artifacts, pool)
        if options.curves:
            _read_curves(found, report, pool, options.progress or Silent())
        report.requests = sum(source.requests for source in places.values())
    report.seconds = round(time.monotonic() - begun, 3)
    return report


class _Wanted(NamedTuple):
    """Runs of one place; `selection` None beside no `named` run means all."""

    where: str
    named: tuple[str, ...]
    selection: Selection | None


class _Found(NamedTuple):
    """A run, and where to read it."""

    subject: Subject
    source: Source


def _gather(wanted: Sequence[_Wanted], places: dict[str, Any], unread: Unread) -> list[_Found]:
    found: dict[tuple[str, str], _Found] = {}
    for each in wanted:
        for one in _look_up(each, places[each.where], unread):
            found.setdefault((one.subject.place, one.subject.run.run_id), one)
    if not found:
        hints = [hint for e in wanted if e.selection for hint in unmet_fields(places[e.where], e.selection, ())]
        raise NothingSelected("; ".join(("no run is meant: name some, or widen the selection", *dict.fromkeys(hints))))
    return list(found.values())


def _look_up(wanted: _Wanted, source: Source, unread: Unread) -> list[_Found]:
    everything = source.experiments(Selection())
    homes = {e.experiment_id: e.name for e in everything}
    runs = [find_run(source, text, everything) for text in wanted.named]
    if wanted.selection is not None or not wanted.named:
        selection = wanted.selection or Selection()
        within = selection.choose(everything)
        selection = with_ids(source, selection, within)
        selected = list(source.in_order(within, selection, unread=unread))
        selection.having_runs(within, selected)
        runs += selected
    place = _place(source.place)
    return [_Found(Subject(run, homes.get(run.experiment_id, ""), place), source) for run in runs]


def _place(place: Place) -> str:
    snapshot = place.details.get("snapshot")
    return f"{place.address}@{snapshot}" if snapshot else place.address


def _pair(found: Sequence[_Found], report: CompareReport, artifacts: bool, pool: Executor) -> Pair:
    """Of two runs: what could not be read becomes a problem."""
    directions = {row.key: row.direction for row in report.rows if row.group == METRICS}
    curves: tuple[CurvePair, ...] = ()
    changes: tuple[FieldChange, ...] | None = None
    try:
        one, other = (_history(each, pool) for each in found)
        curves = tuple(compare_curves(one, other, lambda key: directions.get(key) or direction_of(key)))
    except ITEM_ERRORS as error:
        report.problems.append(Problem("metrics", "history", str(error)))
    if artifacts:
        try:
            old, new = (_files(each) for each in found)
            changes = None if old is None or new is None else tuple(changed_artifacts(old, new))
        except ITEM_ERRORS as error:
            report.problems.append(Problem("artifacts", "list", str(error)))
    return Pair(curves, changes)


def _files(found: _Found) -> tuple[ArtifactFile, ...] | None:
    """None where a snapshot was made without artifacts."""
    run = found.subject.run
    told = found.source.batch([run.run_id], ()).contents.get(run.run_id)
    return found.source.artifacts(run) if told is None else told.artifacts


def _history(found: _Found, pool: Executor) -> Any:
    from runsync.model.points import as_table

    with found.source.histories(Batch((found.subject.run,)), pool) as histories:
        return as_table(histories.of(found.subject.run.run_id))


def _read_curves(found: Sequence[_Found], report: CompareReport, pool: Executor, progress: Progress) -> None:
    """All curves, thinned as they are read."""
    count = sum(len(each.subject.run.latest_metrics) for each in found)
    report.most_points = max(2, min(MOST_POINTS, POINTS_DRAWN // max(1, count)))
    progress.expect(len(found))
    by_source: dict[int, list[int]] = {}
    for position, each in enumerate(found):
        by_source.setdefault(id(each.source), []).append(position)
    for positions in by_source.values():
        for start in range(0, len(positions), RUNS_A_LOOK):
            _read_some(found, positions[start : start + RUNS_A_LOOK], report, pool, progress)


def _read_some(
    found: Sequence[_Found], positions: Sequence[int], report: CompareReport, pool: Executor, progress: Progress
) -> None:
    source = found[positions[0]].source
    batch = Batch(tuple(found[position].subject.run for position in positions))
    with source.histories(batch, pool) as histories:
        for position in positions:
            run_id = found[position].subject.run.run_id
            try:
                read = thinned(histories.of(run_id), report.most_points)
            except ITEM_ERRORS as error:
                report.problems.append(Problem("metrics", run_id, str(error)))
                continue
            for key, curve in read.items():
                report.curves.setdefault(key, {})[position] = curve
            progress.advance(runs=1, points=sum(curve.points for curve in read.values()))


def _plain(value: Any) -> Any:
    return numbers.to_json(value) if isinstance(value, float) else value


def _pair_document(pair: Pair) -> dict[str, Any]:
    def end(told: dict[str, Any]) -> dict[str, Any]:
        return {name: _plain(value) for name, value in told.items()}

    curves = [asdict(curve) for curve in pair.curves]
    told = [{**c, "first": end(c["first"]), "second": end(c["second"])} for c in curves]
    changes = None
    if pair.artifacts is not None:
        changes = [
            {"path": c.field.removeprefix("artifacts."), "first": c.old, "second": c.new} for c in pair.artifacts
        ]
    return {"curves": told, "artifacts": changes}
