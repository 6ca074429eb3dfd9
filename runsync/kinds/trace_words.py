"""What can be said of a trace, by the names of MLflow's trace search: fields for filters and orders."""

from typing import Any

from runsync.errors import WrongUsage
from runsync.model import fields
from runsync.model.fields import ATTRIBUTES, TAGS, Field, Order, Words
from runsync.model.filter import tree
from runsync.model.filter.tree import Value
from runsync.model.filter.vocabulary import NUMBER, TEXT, Vocabulary, duration, moment

METADATA, SPAN, FEEDBACK, EXPECTATION, ISSUE = "metadata", "span", "feedback", "expectation", "issue"
ASSESSED = (FEEDBACK, EXPECTATION)
TRACE_ID, TIME, TOOK, END, STATUS = "trace_id", "timestamp_ms", "execution_time_ms", "end_time_ms", "status"
NAME, RUN, PROMPT, CLIENT_ID, EXPERIMENT_ID = "name", "run_id", "prompt", "client_request_id", "experiment_id"
CONTENT = "content"
OF_SPANS = "attributes."
"""How the key begins of a field that is an attribute of spans."""
NUMBERS = (TIME, TOOK, END)
_SAME = {
    Field(ATTRIBUTES, "text"): Field(SPAN, CONTENT),
    Field(METADATA, "mlflow.sourceRun"): Field(ATTRIBUTES, RUN),
}
"""What MLflow takes for another field."""
_TRACE_STATES = ("OK", "ERROR", "IN_PROGRESS", "STATE_UNSPECIFIED")
_SPAN_STATES = ("OK", "ERROR", "UNSET")
WORDS = Words(
    {
        **dict.fromkeys(("tag", "tags"), TAGS),
        **dict.fromkeys(("metadata", "request_metadata"), METADATA),
        **dict.fromkeys(("attribute", "attributes", "attr", "trace"), ATTRIBUTES),
        **{kind: kind for kind in (SPAN, FEEDBACK, EXPECTATION, ISSUE)},
    },
    {
        ATTRIBUTES: {
            **{name: name for name in (TRACE_ID, TIME, TOOK, END, STATUS, NAME, RUN, PROMPT, CLIENT_ID)},
            EXPERIMENT_ID: EXPERIMENT_ID,
            "text": "text",
            "request_id": TRACE_ID,
            "state": STATUS,
            "timestamp": TIME,
            "request_time": TIME,
            "execution_time": TOOK,
            "end_time": END,
        },
        SPAN: {name: name for name in ("name", "type", "status", CONTENT)},
        ISSUE: {"id": "id"},
    },
    "status, tags.team or span.type",
)


def field_of(text: str) -> Field:
    """Of ``status``, ``tags.`my tag` ``, `span.attributes.model`. Raises WrongUsage, with the nearest known name."""
    beginning = f"{SPAN}.{OF_SPANS}"
    if text.startswith(beginning):
        key = text.removeprefix(beginning)
        is_ticked = len(key) > 2 and key[0] == key[-1] and key[0] in '`"'
        return Field(SPAN, OF_SPANS + (key[1:-1] if is_ticked else key))
    field = fields.parse_field(text, WORDS)
    return _SAME.get(field, field)


def order_of(text: str) -> Order:
    """Of `execution_time_ms DESC`; ascending where nothing is said. Raises WrongUsage for what has no order."""
    order = fields.parse_order(text, WORDS)
    if order.field.kind not in (ATTRIBUTES, TAGS, METADATA) or order.field.key in (PROMPT, "text"):
        raise WrongUsage(f"traces cannot be sorted by {order.field}: sort by a time, name, status, tag or metadata")
    return order


NEWEST_FIRST = (Order(Field(ATTRIBUTES, TIME), descending=True),)


def _value(field: Field, text: str, written: str) -> Any:
    if field.kind == ATTRIBUTES and field.key in NUMBERS:
        number = duration if field.key == TOOK else moment
        is_part = written == NUMBER and not float(text).is_integer()
        return float(text) if is_part else number(text, written)
    if written == NUMBER and field.kind in (TAGS, METADATA, *ASSESSED):
        return float(text)
    if written != TEXT and field.kind not in ASSESSED:
        raise WrongUsage(f"{field} is compared with a text: put it in quotes")
    return text


def _known(field: Field) -> tuple[str, ...]:
    if field.key != STATUS:
        return ()
    return {ATTRIBUTES: _TRACE_STATES, SPAN: _SPAN_STATES}.get(field.kind, ())


def _misuse(field: Field, operator: str, value: Value) -> str:
    names_version = isinstance(value, str) and value.rpartition("/")[2].isdecimal()
    if field == Field(ATTRIBUTES, PROMPT) and (operator != tree.EQUAL or not names_version):
        return "write prompt = 'NAME/VERSION'"
    if field.kind == ISSUE and operator != tree.EQUAL:
        return "write issue.id = 'ID'"
    if field == Field(SPAN, CONTENT) and "LIKE" not in operator:
        return "the text of spans is looked at with LIKE or ILIKE: text LIKE '%word%'"
    if field.kind in ASSESSED and operator in tree.ORDERINGS and isinstance(value, str):
        return f"{field} is compared with a number without quotes"
    return ""


OF_TRACES = Vocabulary(WORDS.such_as, field_of, _value, _known, _misuse, lambda field: False)
