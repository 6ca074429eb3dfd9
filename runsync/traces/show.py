"""show_trace: a trace with its spans and assessments."""

from dataclasses import asdict, dataclass, field
from typing import Any

from runsync.bundle.address import Access
from runsync.errors import ITEM_ERRORS, BundleDamaged, NothingSelected
from runsync.kinds.scope import Scope
from runsync.kinds.spans import Span, to_json
from runsync.kinds.traces import TRACES, Trace
from runsync.model.experiment import Experiment
from runsync.model.place import Place
from runsync.model.run import Problem
from runsync.model.selection import Selection
from runsync.threads import WORKERS
from runsync.traces.listing import traces_of
from runsync.transfer.places import open_source
from runsync.transfer.report import PARTLY_DONE


@dataclass(slots=True)
class TraceReport:
    """`schemas/v1/trace-report.schema.json`. `problems` tell what could not be read. Servers do not tell to which runs
    a trace is linked, beside the one in its metadata."""

    place: Place
    trace: Trace
    experiment: Experiment | None
    problems: list[Problem] = field(default_factory=list)
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """3 when something of it could not be read."""
        return PARTLY_DONE if self.problems else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        told = {name: value for name, value in self.trace.to_document().items() if name != "problems"}
        return {
            "format": "runsync-trace-report",
            "version": 1,
            "place": asdict(self.place),
            "trace": told,
            "experiment": self.experiment.name if self.experiment is not None else "",
            "spans": [_document(span) for span in self.trace.spans or ()],
            "problems": [asdict(problem) for problem in self.problems],
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


def _document(span: Span) -> dict[str, Any]:
    """As a row of a bundle: what may be any JSON stands in it as text, in which nothing is lost."""
    told = asdict(span)
    return {**told, "type": span.type, **{name: to_json(told[name]) for name in ("attributes", "events", "links")}} | {
        "further": to_json(told["further"])
    }


def show_trace(where: str, trace_id: str, *, workers: int = WORKERS, access: Access | None = None) -> TraceReport:
    """Looks up a trace by its id.

    Raises NothingSelected when there is none, WrongUsage for a place of which traces are not read.
    """
    with open_source(where, "traces show", access=access or Access(), workers=workers) as source:
        side = traces_of(source)
        scope = Scope(linked_runs=frozenset())
        scope.name(TRACES.name, trace_id)
        found = next((trace for trace in side.list(scope) if trace.trace_id == trace_id), None)
        if found is None:
            raise NothingSelected(f"there is no trace “{trace_id}”: runsync traces list shows their ids")
        problems = []
        try:
            found = side.complete(found)
        except (BundleDamaged, *ITEM_ERRORS) as error:
            problems.append(Problem("spans", trace_id, str(error)))
        homes = {e.experiment_id: e for e in source.experiments(Selection())}
        report = TraceReport(source.place, found, homes.get(found.experiment_id), [*problems, *found.problems])
        report.requests = source.requests
    return report
