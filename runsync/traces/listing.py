"""list_traces: the traces of a workspace or bundle that a filter means, in an order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from runsync.bundle.address import Access
from runsync.contract.entities import EntitySource
from runsync.contract.source import Source
from runsync.errors import WrongUsage
from runsync.kinds.scope import Scope
from runsync.kinds.trace_filter import OPTION, TraceFilter, ordered
from runsync.kinds.trace_words import NEWEST_FIRST, order_of
from runsync.kinds.traces import TRACES, Trace
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.fields import Order
from runsync.model.not_carried import NotCarried
from runsync.model.place import Place
from runsync.model.run import Unreadable
from runsync.model.selection import Selection
from runsync.threads import WORKERS
from runsync.transfer.chosen import chosen
from runsync.transfer.places import open_source
from runsync.transfer.report import PARTLY_DONE

_HELD = 2000
"""Traces, beside those asked for, that are held before the last of them in order are dropped."""


@dataclass(slots=True)
class TracesReport:
    """`schemas/v1/traces-list-report.schema.json`. `experiments` by id; `unreadable` is what was met and cannot be
    read. On servers traces tell only those links to runs that the filter asks for."""

    place: Place
    experiments: Mapping[str, Experiment]
    traces: list[Trace] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """3 when something could not be read."""
        return PARTLY_DONE if self.unreadable else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-traces-list-report",
            "version": 1,
            "place": asdict(self.place),
            "traces": [document_of(trace, self.experiments.get(trace.experiment_id)) for trace in self.traces],
            "unreadable": [asdict(one) for one in self.unreadable],
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


def list_traces(
    where: str,
    *,
    filter: str = "",
    experiments: Sequence[str] = (),
    order_by: Sequence[str] = (),
    limit: int | None = None,
    workers: int = WORKERS,
    access: Access | None = None,
) -> TracesReport:
    """The traces of active experiments, newest first or by `order_by` (`execution_time_ms DESC`), without spans;
    `limit` of them at most. `filter` is MLflow's trace search syntax.

    Raises NothingSelected for an experiment that is not there, WrongUsage for a filter or an order that cannot be read,
    and for a place of which traces are not read.
    """
    order = tuple(map(order_of, order_by)) or NEWEST_FIRST
    if limit is not None and limit < 1:
        raise WrongUsage("a limit is 1 or more")
    with open_source(where, "traces list", access=access or Access(), workers=workers) as source:
        homes = source.experiments(Selection(tuple(experiments), state=ACTIVE))
        report = TracesReport(source.place, {e.experiment_id: e for e in homes})
        scope = scope_of(homes, filter, order)
        side = chosen_traces(source, scope, report.unreadable)
        found = side.list(scope) if homes else iter(())
        report.traces = list(islice(found, limit)) if source.orders(TRACES, order) else _first(found, order, limit)
        report.unreadable += map(_untold, side.left_behind(scope))
        report.requests = source.requests
    return report


def scope_of(experiments: Sequence[Experiment], filter: str, order: Sequence[Order] = ()) -> Scope:
    """The traces of some experiments that a filter means, with no more links to runs than it asks for."""
    choice = TraceFilter(filter)
    linked = choice.runs if filter else frozenset()
    return Scope(experiments, {OPTION: (filter,)} if filter else {}, order=tuple(order), linked_runs=linked)


def traces_of(source: Source) -> EntitySource[Trace]:
    """Raises WrongUsage where traces are not read."""
    side = source.entities(TRACES)
    if side is None:
        raise WrongUsage(f"traces are not read from {source.place.address} ({source.place.kind})")
    return side


def chosen_traces(source: Source, scope: Scope, unreadable: list[Unreadable]) -> EntitySource[Trace]:
    """Those that the filter of a scope means; what must be read for that and cannot be is added to `unreadable`."""

    def unread(trace: Trace, error: Exception) -> bool:
        unreadable.append(Unreadable(trace.trace_id, trace.experiment_id, str(error), TRACES.noun))
        return True

    side = traces_of(source)
    return chosen(TRACES, side, scope, unread) or side


def document_of(trace: Trace, experiment: Experiment | None) -> dict[str, Any]:
    """A trace without spans, with the name of its experiment."""
    document = trace.to_document()
    for name in ("span_count", "span_digest", "artifacts"):
        del document[name]
    return {**document, "experiment": experiment.name if experiment is not None else ""}


def _first(found: Iterable[Trace], order: Sequence[Order], limit: int | None) -> list[Trace]:
    """The first so many in an order, holding few more."""
    if limit is None:
        return ordered(found, order)
    rest: Iterator[Trace] = iter(found)
    held: list[Trace] = []
    while more := list(islice(rest, _HELD)):
        held = ordered([*held, *more], order, limit)
    return held


def _untold(left: NotCarried) -> Unreadable:
    return Unreadable(", ".join(left.names) or "?", "", left.why, TRACES.noun)
