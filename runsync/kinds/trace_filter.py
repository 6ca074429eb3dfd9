"""Whether a trace is what a filter asks for, as MLflow's trace search has it (docs/filters.md), and traces in an order.

Conditions on spans that are joined by AND are about one and the same span. A comparison with something that a trace
does not have is false, `!=` too; only IS NULL is true then.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runsync.kinds import span_documents
from runsync.kinds import trace_words as words
from runsync.kinds.assessments import ISSUE as OF_ISSUE
from runsync.kinds.assessments import Assessment
from runsync.kinds.spans import Span, to_json
from runsync.model.fields import ATTRIBUTES, TAGS, Field, Order
from runsync.model.filter import tree
from runsync.model.filter.evaluate import holds
from runsync.model.filter.parse import parse
from runsync.model.filter.tree import And, Comparison, Expression, Not, Or, comparisons_of, conjuncts

if TYPE_CHECKING:
    from runsync.kinds.traces import Trace

OPTION = "trace_filter"
"""The name of the option that has the texts of filters."""
SOURCE_RUN = "mlflow.sourceRun"
"""The entry of the metadata with the run within which a trace was made."""
TRACE_NAME = "mlflow.traceName"
"""The tag."""
SESSION = "mlflow.trace.session"
"""The entry of the metadata of a trace, and of assessments that are about its whole session."""


@dataclass(frozen=True)
class TraceFilter:
    """See `Choice`. Raises WrongUsage for a text that is no filter."""

    text: str
    sessions: dict[str, list[Assessment]] = field(default_factory=dict)

    @property
    def expression(self) -> Expression:
        """What it means."""
        return parse(self.text, words.OF_TRACES)

    @property
    def needs_complete(self) -> bool:
        """Whether it cannot be told without spans."""
        return any(each.field.kind == words.SPAN for each in comparisons_of(self.expression))

    @property
    def needs_others(self) -> bool:
        """Whether what is said of other traces of a session must be known."""
        return any(each.field.kind in words.ASSESSED for each in comparisons_of(self.expression))

    @property
    def runs(self) -> frozenset[str]:
        """The runs of which it asks whether traces are linked to them."""
        asked = (each for each in comparisons_of(self.expression) if each.field == Field(ATTRIBUTES, words.RUN))
        return frozenset(str(each.value) for each in asked if each.operator == tree.EQUAL)

    def note(self, trace: "Trace") -> None:
        """Remembers what is said in it of its whole session."""
        session = trace.metadata.get(SESSION)
        said = [one for one in trace.assessments if one.valid and SESSION in one.metadata]
        if session is not None and said:
            self.sessions.setdefault(session, []).extend(said)

    def matches(self, trace: "Trace") -> bool:
        """Whether it is true of a trace with its spans, where those are needed."""
        return self._matches(self.expression, trace)

    def may_match(self, trace: "Trace") -> bool:
        """Whether it may be true, as far as that can be told without spans."""
        return all(self._matches(part, trace) for part in conjuncts(self.expression) if not _is_of_spans(part))

    def _matches(self, expression: Expression, trace: "Trace") -> bool:
        match expression:
            case Comparison():
                return self._holds([expression], trace)
            case Not():
                return not self._matches(expression.part, trace)
            case Or():
                return any(self._matches(part, trace) for part in expression.parts)
            case And():
                parts = list(conjuncts(expression))
                of_span = [part for part in parts if isinstance(part, Comparison) and part.field.kind == words.SPAN]
                others = (part for part in parts if part not in of_span)
                return all(self._matches(part, trace) for part in others) and (
                    not of_span or self._holds(of_span, trace)
                )

    def _holds(self, comparisons: Sequence[Comparison], trace: "Trace") -> bool:
        """Of conditions on spans, whether one span is as all of them say."""
        first = comparisons[0]
        if first.field.kind == words.SPAN:
            return any(
                all(holds(each, self._of_span(each.field.key, trace, span)) for each in comparisons)
                for span in trace.spans or ()
            )
        if first.field.kind in words.ASSESSED:
            return _is_assessed(first, self._said(first.field, trace))
        if first.field == Field(ATTRIBUTES, words.RUN) and first.operator == tree.EQUAL:
            return first.value in trace.runs
        return holds(first, list(values_of(first.field, trace)))

    def _of_span(self, key: str, trace: "Trace", span: Span) -> Sequence[Any]:
        if key == words.CONTENT:
            return [span_documents.write(trace.trace_id, span)]
        if key.startswith(words.OF_SPANS):
            name = key.removeprefix(words.OF_SPANS)
            value = span.attributes.get(name)
            return [] if name not in span.attributes else [value if isinstance(value, str) else to_json(value)]
        value = {"name": span.name, "type": span.type, "status": span.status}[key]
        return [value] if value else []

    def _said(self, field: Field, trace: "Trace") -> list[Assessment]:
        of_session = self.sessions.get(trace.metadata.get(SESSION, ""), ())
        all_ = (*(one for one in trace.assessments if one.valid), *of_session)
        return [one for one in all_ if one.type == field.kind and one.name == field.key]


def _is_of_spans(part: Expression) -> bool:
    return any(each.field.kind == words.SPAN for each in comparisons_of(part))


def values_of(field: Field, trace: "Trace") -> Iterator[Any]:
    """What a trace itself has of a field."""
    if field.kind in (TAGS, words.METADATA):
        value: Any = (trace.tags if field.kind == TAGS else trace.metadata).get(field.key)
        yield from () if value is None else (value,)
    elif field.kind == words.ISSUE:
        yield from (one.name for one in trace.assessments if one.type == OF_ISSUE)
    elif field.key == words.PROMPT:
        yield from trace.linked_prompts
    else:
        value = _attribute(field.key, trace)
        yield from () if value is None else (value,)


def _attribute(key: str, trace: "Trace") -> Any:
    values = {
        words.TRACE_ID: trace.trace_id,
        words.EXPERIMENT_ID: trace.experiment_id,
        words.TIME: trace.request_time,
        words.TOOK: trace.execution_duration,
        words.END: trace.request_time + (trace.execution_duration or 0),
        words.STATUS: trace.state,
        words.CLIENT_ID: trace.client_request_id,
        words.NAME: trace.tags.get(TRACE_NAME),
        words.RUN: trace.metadata.get(SOURCE_RUN),
    }
    return values[key]


def _is_assessed(comparison: Comparison, said: Sequence[Assessment]) -> bool:
    """As MLflow compares JSON text: a text with what it says or with its JSON, an order with numbers only."""
    operator, wanted = comparison.operator, comparison.value
    if operator == tree.IS_NULL:
        return not said
    if operator == tree.IS_NOT_NULL:
        return bool(said)
    is_of_number = isinstance(wanted, float) or (isinstance(wanted, tuple) and isinstance(wanted[0], float))
    if is_of_number:
        numbers = [float(one.value) for one in said if _is_number(one.value)]
        return holds(comparison, numbers)
    if operator in (tree.EQUAL, tree.IN, tree.UNEQUAL, tree.NOT_IN):
        texts = wanted if isinstance(wanted, tuple) else (wanted,)
        is_same = operator in (tree.EQUAL, tree.IN)
        return any((one.value in texts or json.dumps(one.value) in texts) == is_same for one in said)
    return holds(comparison, [json.dumps(one.value) for one in said])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def ordered(traces: "Iterable[Trace]", order: Sequence[Order], limit: int | None = None) -> "list[Trace]":
    """The first so many, sorted by each order in turn, then by time, newest first, and id; what has no value is last
    either way."""
    found = sorted(traces, key=lambda trace: (-trace.request_time, trace.trace_id))
    for one in reversed(order):
        keyed = [(next(values_of(one.field, trace), None), trace) for trace in found]
        valued = sorted(((v, t) for v, t in keyed if v is not None), key=lambda pair: pair[0], reverse=one.descending)
        found = [trace for _, trace in valued] + [trace for value, trace in keyed if value is None]
    return found[:limit]


def sort_key(order: Sequence[Order]) -> "Callable[[Trace], tuple[Any, ...]]":
    """What `ordered` sorts by, for an order by numbers only."""

    def key(trace: "Trace") -> tuple[Any, ...]:
        told: list[Any] = []
        for one in order:
            value = next(values_of(one.field, trace), None)
            told += [value is None, 0 if value is None else -value if one.descending else value]
        return (*told, -trace.request_time, trace.trace_id)

    return key
