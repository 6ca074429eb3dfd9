"""What MLflow keeps of traces in columns and side tables of its own, so that it can count, filter and add up.

Since MLflow 3.17 (revision 75868b020152) the name, session, token usage and cost of a trace are columns of
`trace_info`, and no longer a tag and entries of its metadata; a span's cost and model are columns of `spans`. Before,
from 3.8 and 3.10 on, they were repeated in `trace_metrics`, `span_metrics` and `spans.dimension_attributes`.
"""

import json
import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from runsync.kinds.spans import Span

TRACE_NAME = "mlflow.traceName"
"""The tag."""
SESSION, USAGE, COST = "mlflow.trace.session", "mlflow.trace.tokenUsage", "mlflow.trace.cost"
"""Entries of the metadata."""
TOKENS = (
    *("input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
    "cache_creation_input_tokens_above_1hr",
)
COSTS = ("input_cost", "output_cost", "total_cost")
COLUMNS = ("trace_name", "session_id", *TOKENS, *COSTS)
"""Of `trace_info`."""
PROMOTED = frozenset((SESSION, USAGE, COST))
SPAN_COLUMNS = (*COSTS, "model_name", "model_provider")
"""Of `spans`."""
LONGEST_MODEL = 500
"""Characters of a model's name that MLflow keeps in a column."""
_SPAN_COST, _MODEL, _PROVIDER = "mlflow.llm.cost", "mlflow.llm.model", "mlflow.llm.provider"
_LARGEST = 2**63


def to_columns(metadata: Mapping[str, str], name: str | None) -> dict[str, Any]:
    """The columns of a trace with this metadata, and its name."""
    usage, cost = _object(metadata.get(USAGE)), _object(metadata.get(COST))
    return {
        "trace_name": name,
        "session_id": metadata.get(SESSION),
        **{key: _count(usage.get(key)) for key in TOKENS},
        **{key: _amount(cost.get(key)) for key in COSTS},
    }


def to_metadata(columns: Mapping[str, Any]) -> dict[str, str]:
    """The reverse, as MLflow tells it (`compatibility_metadata_from_columns`)."""
    usage = {key: count for key in TOKENS if (count := _count(columns.get(key))) is not None}
    cost = {key: float(columns[key]) for key in COSTS if columns.get(key) is not None}
    found = {SESSION: columns.get("session_id"), USAGE: usage and json.dumps(usage), COST: cost and json.dumps(cost)}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def loses(metadata: Mapping[str, str], key: str) -> bool:
    """Whether columns do not hold all that an entry of the metadata says."""
    if key not in metadata or key == SESSION:
        return False
    told = to_metadata(to_columns({key: metadata[key]}, None)).get(key)
    return told is None or _object(told) != _object(metadata[key])


def of_span(span: Span) -> dict[str, Any]:
    """The columns of a span."""
    cost = _object(span.attributes.get(_SPAN_COST))
    return {
        **{key: _amount(cost.get(key)) for key in COSTS},
        "model_name": _model(span.attributes.get(_MODEL)),
        "model_provider": _model(span.attributes.get(_PROVIDER)),
    }


def dimensions(span: Span) -> dict[str, Any] | None:
    """What `spans.dimension_attributes` has of a span."""
    found = {key: value for key in (_MODEL, _PROVIDER) if (value := span.attributes.get(key))}
    return found or None


def trace_metrics(metadata: Mapping[str, str]) -> dict[str, float]:
    """What `trace_metrics` has of a trace."""
    usage = _object(metadata.get(USAGE))
    return {key: value for key in TOKENS if (value := _amount(usage.get(key))) is not None}


def span_metrics(span: Span) -> dict[str, float]:
    """What `span_metrics` has of a span."""
    cost = _object(span.attributes.get(_SPAN_COST))
    return {key: amount for key, value in cost.items() if (amount := _amount(value)) is not None}


def aggregate(value: Any) -> tuple[float | None, bool]:
    """Of an assessment's value the number that MLflow adds up, and whether it is one."""
    if isinstance(value, bool):
        return float(value), False
    if isinstance(value, int | float):
        amount = _amount(value)
        return amount, amount is not None
    word = value.strip().lower() if isinstance(value, str) else ""
    return (float(word == "yes"), False) if word in ("yes", "no") else (None, False)


def _object(told: Any) -> dict[str, Any]:
    if isinstance(told, str):
        try:
            told = json.loads(told)
        except (ValueError, RecursionError):
            return {}
    return told if isinstance(told, dict) else {}


def _count(told: Any) -> int | None:
    if told is None or isinstance(told, bool):
        return None
    try:
        number = Decimal(str(told))
    except (InvalidOperation, ValueError):
        return None
    is_whole = number.is_finite() and number == number.to_integral_value() and -_LARGEST <= number < _LARGEST
    return int(number) if is_whole else None


def _amount(told: Any) -> float | None:
    if told is None or isinstance(told, bool):
        return None
    try:
        number = float(told)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _model(told: Any) -> str | None:
    return told[:LONGEST_MODEL] if isinstance(told, str) else None
