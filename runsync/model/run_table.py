"""Runs beside each other: details, params, metrics and tags as rows, a value a run; which rows differ, who is best."""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runsync.model.fields import METRICS, PARAMS, TAGS
from runsync.model.identity import MODEL_HISTORY, own_tags_removed
from runsync.model.redact import tags_without_credentials
from runsync.model.run import Run

DETAILS = "details"
GROUPS = (DETAILS, PARAMS, METRICS, TAGS)
HIGHER = "higher"
LOWER = "lower"
_LOWER_WORDS = frozenset(
    (
        "loss",
        "losses",
        "logloss",
        "error",
        "errors",
        "err",
        "mse",
        "rmse",
        "mae",
        "mape",
        "smape",
        "rmsle",
        "msle",
        "nll",
        "perplexity",
        "ppl",
        "wer",
        "cer",
        "fid",
        "brier",
        "divergence",
        "kl",
        "time",
        "times",
        "duration",
        "latency",
        "seconds",
        "secs",
        "sec",
        "ms",
        "cost",
        "regret",
        "residual",
        "deviance",
        "aic",
        "bic",
    )
)
"""A metric of a name with one of these words is best where it is least."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ENTRY_POINT = "mlflow.project.entryPoint"
_SOURCE_NAME = "mlflow.source.name"
_VERSIONS = ("mlflow.source.git.commit", "mlflow.databricks.notebookRevisionID")
"""A Git commit, or the revision of a notebook."""
_TOLD = ("mlflow.runName", "mlflow.user", _SOURCE_NAME, "mlflow.source.type", _ENTRY_POINT, *_VERSIONS, MODEL_HISTORY)
"""Tags that the details tell already, or that nobody reads."""

Value = str | float | int | None


@dataclass(frozen=True, slots=True)
class Subject:
    """A run that is compared: `experiment` is the name, `place` the address of the workspace or bundle it lies in."""

    run: Run
    experiment: str
    place: str


@dataclass(frozen=True, slots=True)
class Row:
    """A value a run, in their order; None for what a run has not. Times and durations are milliseconds.

    `best` are the runs (by position) with the best value of a metric, none where all that have it are equal;
    `direction` is what best means: HIGHER or LOWER, and "" for what is no metric.
    """

    group: str
    key: str
    values: tuple[Value, ...]
    differs: bool
    best: tuple[int, ...] = ()
    direction: str = ""


def rows_of(
    subjects: Sequence[Subject], lower_is_better: Collection[str] = (), higher_is_better: Collection[str] = ()
) -> tuple[Row, ...]:
    """All rows, by group; params, metrics and tags sorted by key. runsync's own tags are left out."""
    said = {**dict.fromkeys(lower_is_better, LOWER), **dict.fromkeys(higher_is_better, HIGHER)}
    rows = [_row(DETAILS, key, [tell(s) for s in subjects]) for key, tell in _DETAILS.items()]
    rows += _mappings(PARAMS, [s.run.params for s in subjects])
    for row in _mappings(METRICS, [{m.key: m.value for m in s.run.latest_metrics} for s in subjects]):
        direction = said.get(row.key) or direction_of(row.key)
        rows.append(Row(METRICS, row.key, row.values, row.differs, best_of(row.values, direction), direction))
    rows += _mappings(TAGS, [_tags(s.run) for s in subjects])
    return tuple(rows)


def direction_of(key: str) -> str:
    """LOWER for a metric called like a loss, an error or a time, else HIGHER: `val_loss`, `meanSquaredError`."""
    words = {word.lower() for word in _WORD.findall(key)}
    return LOWER if words & _LOWER_WORDS else HIGHER


def best_of(values: Sequence[Value], direction: str) -> tuple[int, ...]:
    """Where the best finite number stands; nowhere when fewer than two runs have one, or all have the same."""
    numbers = {i: v for i, v in enumerate(values) if isinstance(v, int | float) and math.isfinite(v)}
    if len(set(numbers.values())) < 2:
        return ()
    best = min(numbers.values()) if direction == LOWER else max(numbers.values())
    return tuple(i for i, value in numbers.items() if value == best)


def differ(values: Sequence[Value]) -> bool:
    """Whether a run has another value than the first. NaN is NaN; nothing is not an empty text; 0.1 is not "0.10"."""
    first, *others = (_comparable(value) for value in values) if values else (None,)
    return any(other != first for other in others)


def _comparable(value: Value) -> object:
    return ("NaN",) if isinstance(value, float) and math.isnan(value) else value


def _row(group: str, key: str, values: Sequence[Value]) -> Row:
    return Row(group, key, tuple(values), differ(values))


def _mappings(group: str, found: Sequence[Mapping[str, Value]]) -> Iterator[Row]:
    for key in sorted({key for each in found for key in each}):
        yield _row(group, key, [each.get(key) for each in found])


def _tags(run: Run) -> dict[str, str]:
    told = tags_without_credentials(own_tags_removed(run.tags))
    return {key: value for key, value in told.items() if key not in _TOLD}


def _source(subject: Subject) -> Value:
    name, entry = (subject.run.tags.get(tag, "") for tag in (_SOURCE_NAME, _ENTRY_POINT))
    return f"{name}:{entry}" if entry else name or None


def _version(subject: Subject) -> Value:
    return next((subject.run.tags[tag] for tag in _VERSIONS if tag in subject.run.tags), None)


def _duration(subject: Subject) -> Value:
    start, end = subject.run.start_time, subject.run.end_time
    return None if start is None or end is None else end - start


_DETAILS: Mapping[str, Callable[[Subject], Value]] = {
    "run_id": lambda s: s.run.run_id,
    "name": lambda s: s.run.name,
    "experiment": lambda s: s.experiment,
    "place": lambda s: s.place,
    "user": lambda s: s.run.user_id or s.run.tags.get("mlflow.user"),
    "status": lambda s: s.run.status,
    "state": lambda s: s.run.lifecycle_stage,
    "start_time": lambda s: s.run.start_time,
    "end_time": lambda s: s.run.end_time,
    "duration": _duration,
    "source": _source,
    "version": _version,
}
