"""What of a filter on traces a server may be asked.

As with runs (see `push`), the whole filter is held against every trace that comes back, so only such conditions are
sent as every MLflow 3 understands exactly as they are meant here. MLflow takes `tags.name` for the name of the trace,
and the like, and before 3.6 knows no LIKE and no IS NULL. It finds no trace by its spans where these lie in files.
"""

from collections.abc import Sequence

from runsync.kinds import trace_words as words
from runsync.model.fields import ATTRIBUTES, TAGS, Field, Order
from runsync.model.filter import tree
from runsync.model.filter.push import MOST, PLAIN_KEY, quoted
from runsync.model.filter.tree import Comparison, Expression, conjuncts

_TAKEN_OTHERWISE = ("name", "prompt", "run_id", "text", "timestamp", "execution_time", "end_time")
"""Keys that MLflow takes for something else, behind whatever prefix."""
_COMPARED_OTHERWISE = ("mlflow.trace.tokenUsage", "mlflow.trace.cost", "mlflow.linkedPrompts")
"""Entries of the metadata, and a tag, that MLflow 3.17 compares in a way of its own."""
_NUMBERS = (words.TIME, words.TOOK)
_TEXTS = (words.STATUS, words.NAME, words.RUN)


def pushed(expression: Expression) -> str:
    """The part that a server is asked for; "" for none."""
    parts = [part for part in conjuncts(expression) if isinstance(part, Comparison)]
    return " AND ".join([told for part in parts if (told := _written(part))][:MOST])


def _written(part: Comparison) -> str:
    field, operator, value = part.field, part.operator, part.value
    if field.kind == ATTRIBUTES and field.key in _NUMBERS:
        is_asked = operator in (tree.EQUAL, *tree.ORDERINGS) and isinstance(value, int)
        return f"{field.key} {operator} {value}" if is_asked else ""
    if operator != tree.EQUAL or not isinstance(value, str) or not (told := quoted(value)):
        return ""
    if field.kind == ATTRIBUTES and field.key in _TEXTS:
        return f"attributes.{field.key} = {told}"
    is_plain = PLAIN_KEY.fullmatch(field.key) and field.key.lower() not in _TAKEN_OTHERWISE
    if field.kind in (TAGS, words.METADATA) and is_plain and field.key not in _COMPARED_OTHERWISE:
        return f"{field.kind}.`{field.key}` = {told}"
    return ""


def orders(order: Sequence[Order]) -> list[str]:
    """The order as a server is asked for it; none where it would not keep it as it is meant."""
    told = []
    for one in order:
        if one.field not in (Field(ATTRIBUTES, words.TIME), Field(ATTRIBUTES, words.TOOK)):
            return []
        told.append(f"{one.field.key} {'DESC' if one.descending else 'ASC'}")
    return told
