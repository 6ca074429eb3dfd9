"""Columns of a list of runs: which there are, and how their values read."""

import re
from collections import Counter
from collections.abc import Iterable

from runsync.errors import WrongUsage
from runsync.model import numbers
from runsync.model.fields import ATTRIBUTES, METRICS, PARAMS, Field, parse_field, value_of
from runsync.model.run import Run
from runsync.model.times import duration, iso

FIRST = tuple(
    parse_field(name) for name in ("run_id", "run_name", "experiment.name", "state", "status", "start_time", "duration")
)
"""What every list of runs shows."""
TIMES = ("start_time", "end_time")
_PIECE = re.compile(r"""(?:[^,`"]|`[^`]*`|"[^"]*")+""")

Value = str | float | int | None


def parse_columns(text: str) -> tuple[Field, ...]:
    """Of ``run_id,name,params.lr,metrics.`a,b` ``. Raises WrongUsage, also for what has no value to show."""
    found = tuple(dict.fromkeys(parse_field(piece) for piece in _PIECE.findall(text) if piece.strip()))
    if not found:
        raise WrongUsage("no columns: write names such as run_id,name,params.lr,metrics.auc")
    for field in found:
        value_of(field, Run("", ""))
    return found


def commonest(runs: Iterable[Run], most: int | None = None) -> tuple[Field, ...]:
    """Metrics and then params, those that most runs have first."""
    metrics: Counter[str] = Counter()
    params: Counter[str] = Counter()
    for run in runs:
        metrics.update(metric.key for metric in run.latest_metrics)
        params.update(run.params.keys())
    found = [
        (count, kind, Field(kind, key))
        for kind, counter in ((METRICS, metrics), (PARAMS, params))
        for key, count in counter.items()
    ]
    chosen = sorted(found, key=lambda one: (-one[0], one[1], one[2].key))[:most]
    return tuple(field for _, _, field in sorted(chosen, key=lambda one: (one[1] != METRICS, -one[0], one[2].key)))


def read(field: Field, value: Value) -> str:
    """A value as a person reads it; “–” for none."""
    if value is None:
        return "–"
    if field.kind == ATTRIBUTES and field.key in TIMES and isinstance(value, int):
        return iso(value, "seconds")
    if field.kind == ATTRIBUTES and field.key == "duration":
        return duration(int(value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def plain(field: Field, value: Value) -> str:
    """A value as it stands in CSV: nothing is rounded; times in ISO 8601, a duration in milliseconds; "" for none."""
    if value is None:
        return ""
    if field.kind == ATTRIBUTES and field.key in TIMES and isinstance(value, int):
        return iso(value, "milliseconds")
    return str(numbers.to_json(value)) if isinstance(value, float) else str(value)


def ago(milliseconds: int, now: int) -> str:
    """How long before now: 5s, 3m, 2h or 12d ago; the date for what is yet to come."""
    seconds = (now - milliseconds) // 1000
    if seconds < 0:
        return iso(milliseconds, "seconds")
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"


def is_text(field: Field) -> bool:
    """Whether its values are text."""
    return field.kind != METRICS and not (field.kind == ATTRIBUTES and field.key in (*TIMES, "duration"))
