"""runsync traces show"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.pairs import INDENT, pairs, section
from runsync.cli.tables import NOTHING, bold, folded, table, terminal_width
from runsync.cli.text import size
from runsync.model.times import duration, iso

if TYPE_CHECKING:
    from runsync.kinds.spans import Span
    from runsync.kinds.traces import Trace
    from runsync.traces.show import TraceReport

_LONGEST = 2000
"""Characters of a preview or an error that are shown."""


@click.command(epilog="Example: runsync traces show prod tr-4bf92f3577b34da6a3ce929d0e0e4736")
@click.argument("where")
@click.argument("trace")
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, where: str, trace: str, workers: int, as_json: bool) -> int:
    """Show a trace.

    TRACE is an id. Shows its state and times, request and response, tags, metadata, assessments, and the tree of its
    spans with how long each took. With --json also what each span says: attributes, events and links as JSON text.
    Exits with 3 if some of it could not be read.
    """
    from runsync.traces.show import show_trace

    report = show_trace(where, trace, workers=workers, access=options.access(ctx))
    return finish(report, as_json, _lines(report), is_data=True)


def _lines(report: "TraceReport") -> Iterator[str]:
    trace = report.trace
    yield bold(f"trace {trace.trace_id}")
    yield from pairs(_head(report))
    for title, text in (("Request", trace.request_preview), ("Response", trace.response_preview)):
        yield from section(title, folded(text[:_LONGEST], terminal_width(), INDENT) if text else ())
    yield from section(f"Tags ({len(trace.tags)})", pairs(dict(sorted(trace.tags.items()))))
    yield from section(f"Metadata ({len(trace.metadata)})", pairs(dict(sorted(trace.metadata.items()))))
    yield from section("Links", [f"{INDENT}{line}" for line in _links(trace)])
    yield from section(f"Assessments ({len(trace.assessments)})", _assessments(trace))
    yield from section(f"Spans ({len(trace.spans or ()):,})", _spans(trace.spans or ()))
    yield from section("Errors", _errors(trace.spans or ()))
    files = trace.artifacts or ()
    yield from section(f"Attachments ({len(files)})", [f"{INDENT}{file.path}  {size(file.size)}" for file in files])
    yield from section("Could not be read", [f"{INDENT}{p.kind} {p.name}: {p.reason}" for p in report.problems])


def _head(report: "TraceReport") -> dict[str, str]:
    from runsync.kinds.trace_filter import TRACE_NAME

    trace, home = report.trace, report.experiment
    took = trace.execution_duration
    return {
        "name": trace.tags.get(TRACE_NAME) or NOTHING,
        "experiment": f"{home.name} (id {home.experiment_id})" if home is not None else trace.experiment_id,
        "state": trace.state,
        "began": iso(trace.request_time, "milliseconds"),
        "took": NOTHING if took is None else _took(took * 1_000_000),
        "client request id": trace.client_request_id or NOTHING,
    }


def _links(trace: "Trace") -> Iterator[str]:
    yield from (f"run {run_id}" for run_id in trace.runs)
    yield from (f"prompt {name}" for name in trace.linked_prompts)


def _assessments(trace: "Trace") -> Iterator[str]:
    from runsync.kinds.spans import to_json

    if not trace.assessments:
        return
    rows = [("name", "type", "value", "source", "by", "valid", "rationale")]
    for one in trace.assessments:
        value = one.error.message if one.error is not None else to_json(one.value)
        told = (value, one.source_type, one.source_id, "yes" if one.valid else "no", one.rationale or NOTHING)
        rows.append((one.name, one.type, *told))
    yield from _indented(rows)


def _spans(spans: "Sequence[Span]") -> Iterator[str]:
    if not spans:
        return
    rows = [("span", "type", "took", "status")]
    for depth, span in tree(spans):
        took = NOTHING if span.end is None else _took(span.end - span.start)
        rows.append((f"{INDENT * depth}{span.name}", span.type or NOTHING, took, span.status))
    yield from _indented(rows)


def tree(spans: "Sequence[Span]") -> "Iterator[tuple[int, Span]]":
    """Each span with its depth, below its parent; one whose parent is not there, or is below itself, stands above."""
    below: dict[str, list[Span]] = defaultdict(list)
    ids = {span.span_id for span in spans}
    for span in spans:
        below[span.parent_id if span.parent_id in ids else ""].append(span)
    told: set[str] = set()
    waiting = [(0, span) for span in reversed(below[""])]
    rest = iter(spans)
    while True:
        while waiting:
            depth, span = waiting.pop()
            if span.span_id not in told:
                told.add(span.span_id)
                yield depth, span
                waiting += [(depth + 1, child) for child in reversed(below[span.span_id])]
        left = next((span for span in rest if span.span_id not in told), None)
        if left is None:
            return
        waiting = [(0, left)]


def _errors(spans: "Sequence[Span]") -> Iterator[str]:
    for span in spans:
        if span.status_message:
            yield from folded(f"{span.name}: {span.status_message[:_LONGEST]}", terminal_width(), INDENT)


def _took(nanoseconds: int) -> str:
    """0.35ms, 120ms, 1.5s."""
    milliseconds = nanoseconds / 1_000_000
    if abs(milliseconds) < 10:
        return f"{milliseconds:.2f}ms"
    return f"{milliseconds:.0f}ms" if abs(milliseconds) < 1000 else duration(round(milliseconds))


def _indented(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    width = terminal_width()
    yield from (INDENT + line for line in table(rows, None if width is None else width - len(INDENT)))
