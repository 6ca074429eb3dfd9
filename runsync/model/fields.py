"""What can be said of a run, by name: `metrics.auc`, `params.lr`, `start_time`. For filters, orders, columns and axes.

The names are those of MLflow's search (its prefixes and aliases too), and some of our own: `state`, `duration`,
`has_model_version`, `experiment.name`, `experiment.id`, `artifact.path`.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runsync.errors import WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.run import Run

METRICS = "metrics"
PARAMS = "params"
TAGS = "tags"
ATTRIBUTES = "attributes"
DATASET = "dataset"
EXPERIMENT = "experiment"
ARTIFACT = "artifact"

KINDS: Mapping[str, str] = {
    **dict.fromkeys(("metric", "metrics"), METRICS),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), PARAMS),
    **dict.fromkeys(("tag", "tags"), TAGS),
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), ATTRIBUTES),
    **dict.fromkeys(("dataset", "datasets"), DATASET),
    "experiment": EXPERIMENT,
    "artifact": ARTIFACT,
}
"""Prefixes as people write them; those of MLflow are all there."""
_NAMES: Mapping[str, Mapping[str, str]] = {
    ATTRIBUTES: {
        **{
            name: name for name in ("run_id", "run_name", "status", "user_id", "artifact_uri", "start_time", "end_time")
        },
        **{name: name for name in ("state", "duration", "has_model_version")},
        **dict.fromkeys(("name", "run name", "Run name", "Run Name"), "run_name"),
        **dict.fromkeys(("created", "Created"), "start_time"),
        "lifecycle_stage": "state",
    },
    DATASET: {name: name for name in ("name", "digest", "context")},
    EXPERIMENT: {name: name for name in ("name", "id")},
    ARTIFACT: {"path": "path"},
}


@dataclass(frozen=True, slots=True)
class Words:
    """How fields of one sort of things are called: `kinds` by their prefixes, and of kinds that have only certain
    fields the names of these, each by what people write."""

    kinds: Mapping[str, str]
    names: Mapping[str, Mapping[str, str]]
    such_as: str


OF_RUNS = Words(KINDS, _NAMES, "metrics.auc, params.lr or start_time")
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w]*", re.ASCII)
_WRITTEN = re.compile(r"""(?:(?P<kind>\w+)\.)?(?:`(?P<ticked>[^`]+)`|"(?P<quoted>[^"]+)"|(?P<plain>[^\s`"]+))""")


@dataclass(frozen=True, slots=True)
class Field:
    """`kind` is METRICS, PARAMS, TAGS, ATTRIBUTES, DATASET, EXPERIMENT or ARTIFACT; `key` the name within it."""

    kind: str
    key: str

    def __str__(self) -> str:
        """As it is written; attributes without their prefix."""
        key = self.key if _PLAIN_KEY.fullmatch(self.key) else f"`{self.key}`"
        return key if self.kind == ATTRIBUTES else f"{self.kind}.{key}"


@dataclass(frozen=True, slots=True)
class Order:
    """Sorts by one field."""

    field: Field
    descending: bool = False


NEWEST_FIRST = (Order(Field(ATTRIBUTES, "start_time"), descending=True),)


def resolve(kind: str, key: str, words: Words = OF_RUNS) -> Field:
    """The field of a prefix ("" for none: an attribute) and a key. Raises WrongUsage, with the nearest known name."""
    if kind and kind not in words.kinds:
        raise WrongUsage(f"there is no “{kind}.”{_nearest(kind, words.kinds)}")
    place = words.kinds[kind] if kind else ATTRIBUTES
    names = words.names.get(place)
    if names is None:
        return Field(place, key)
    if key not in names:
        prefix = f"{place}." if kind else ""
        raise WrongUsage(f"there is no field “{prefix}{key}”{_nearest(key, names, prefix)}")
    return Field(place, names[key])


def parse_field(text: str, words: Words = OF_RUNS) -> Field:
    """Of `metrics.auc`, ``tags.`my tag` ``, `start_time`. Raises WrongUsage, with the nearest known name."""
    found = _WRITTEN.fullmatch(text.strip())
    if not found:
        raise WrongUsage(
            f"“{text.strip()}” names no field: write {words.such_as}, with backticks around what holds spaces "
            "(tags.`my tag`)"
        )
    return resolve(found["kind"] or "", found["ticked"] or found["quoted"] or found["plain"], words)


def parse_order(text: str, words: Words = OF_RUNS) -> Order:
    """Of `metrics.auc DESC`; ascending where nothing is said."""
    name, _, direction = text.strip().rpartition(" ")
    if name and direction.upper() in ("ASC", "DESC"):
        return Order(parse_field(name, words), direction.upper() == "DESC")
    return Order(parse_field(text, words))


def value_of(field: Field, run: Run, experiment: Experiment | None = None) -> str | float | int | None:
    """What a run has of it; None for nothing. Times are epoch milliseconds, a duration milliseconds.

    Not for what a run itself does not tell: datasets, artifacts, model versions.
    """
    if field.kind == METRICS:
        return next((m.value for m in run.latest_metrics if m.key == field.key), None)
    if field.kind == PARAMS:
        return run.params.get(field.key)
    if field.kind == TAGS:
        return run.tags.get(field.key)
    if field.kind == EXPERIMENT:
        name = experiment.name if experiment is not None else None
        return run.experiment_id if field.key == "id" else name
    if field.kind == ATTRIBUTES and field.key != "has_model_version":
        return _attribute(field.key, run)
    raise WrongUsage(f"{field} can be filtered by, but has no value to show or to sort by")


def values_of(
    fields: Iterable[Field], run: Run, experiment: Experiment | None = None
) -> list[str | float | int | None]:
    """`value_of` each, also for a run with very many metrics."""
    metrics = {m.key: m.value for m in reversed(run.latest_metrics)}
    return [metrics.get(f.key) if f.kind == METRICS else value_of(f, run, experiment) for f in fields]


def _attribute(key: str, run: Run) -> str | int | None:
    if key == "duration":
        known = run.start_time is not None and run.end_time is not None
        return (run.end_time or 0) - (run.start_time or 0) if known else None
    value: str | int | None = getattr(run, {"run_name": "name", "state": "lifecycle_stage"}.get(key, key))
    return value


def _nearest(word: str, known: Mapping[str, str], prefix: str = "") -> str:
    found = difflib.get_close_matches(word, known, n=1)
    if found:
        return f": did you mean “{prefix}{found[0]}”?"
    return f": known are {', '.join(prefix + name for name in dict.fromkeys(known.values()))}"
