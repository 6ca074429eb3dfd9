"""The filter language of searches: comparisons joined by AND, and nothing else."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from emulators.databricks.errors import invalid
from emulators.databricks.points import latest

if TYPE_CHECKING:
    from emulators.databricks.experiments import Experiment
    from emulators.databricks.models import LoggedModel
    from emulators.databricks.registry import Model, Version
    from emulators.databricks.runs import Run

Item = TypeVar("Item")
Keep = Callable[[Any], bool]

TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^'\\]|\\.)*')
      | (?P<name>(?:[A-Za-z_]\w*)(?:\.(?:"[^"]*"|`[^`]*`|[\w/\-]+(?:\.[\w/\-]+)*))?|"[^"]*"|`[^`]*`)
      | (?P<number>-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
      | (?P<sign>>=|<=|!=|=|>|<|\(|\)|,)
    )""",
    re.VERBOSE,
)
ENTITIES = {
    "metric": "metrics",
    "metrics": "metrics",
    "param": "params",
    "params": "params",
    "parameter": "params",
    "parameters": "params",
    "tag": "tags",
    "tags": "tags",
    "attribute": "attributes",
    "attributes": "attributes",
    "attr": "attributes",
    "run": "attributes",
    "dataset": "datasets",
    "datasets": "datasets",
}
ALIASES = {
    "created": "start_time",
    "Created": "start_time",
    "run name": "run_name",
    "Run name": "run_name",
    "Duration": "duration",
    "Status": "status",
    "User": "user_id",
    "run_uuid": "run_id",
}
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
RUN_ATTRIBUTES = ("run_id", "run_name", "status", "user_id", "artifact_uri", "start_time", "end_time", "duration")
NUMERIC = (
    "start_time",
    "end_time",
    "duration",
    "creation_time",
    "last_update_time",
    "creation_timestamp",
    "last_updated_timestamp",
)


def compile_runs(text: str) -> Keep:
    """What tells whether a run is meant. Raises Refusal."""
    return _joined(text, _run_values)


def compile_experiments(text: str) -> Keep:
    """What tells whether an experiment is meant. Raises Refusal."""
    return _joined(text, _experiment_values)


def compile_models(text: str) -> Keep:
    """What tells whether a logged model is meant. Raises Refusal."""
    return _joined(text, _model_values)


def compile_registry(text: str) -> Keep:
    """What tells whether a registered model or a version is meant: by a single condition. Raises Refusal."""
    if any(kind == "name" and word.upper() == "AND" for kind, word in _tokens(text)):
        raise invalid("Only a single condition is supported in searches of the model registry")
    return _joined(text, _registry_values)


def split(name: str) -> tuple[str, str]:
    """The entity and the key of a name such as ``params.`learning rate` ``. Raises Refusal."""
    entity, dot, key = name.partition(".")
    if not dot or name[0] in '"`':
        return "attributes", ALIASES.get(name.strip('"`'), name.strip('"`'))
    if entity not in ENTITIES:
        raise invalid(f"Invalid entity type '{entity}'. Valid values are {sorted(set(ENTITIES.values()))}")
    key = key[1:-1] if key[:1] in {'"', "`"} else key
    return ENTITIES[entity], ALIASES.get(key, key) if ENTITIES[entity] == "attributes" else key


def in_order(
    items: list[Item],
    order: Sequence[str],
    attributes: Mapping[str, Callable[[Item], Any]],
    keyed: Mapping[str, Callable[[Item, str], Any]] | None = None,
) -> list[Item]:
    """Items by `NAME [ASC|DESC]`, the first the most important; what has no value comes last. Raises Refusal."""
    for each in reversed(order):
        match = re.fullmatch(r"\s*(.*?)(?:\s+(asc|desc))?\s*", each, re.IGNORECASE)
        assert match is not None
        entity, key = split(match[1])
        if entity == "attributes" and key in attributes:
            value = attributes[key]
        elif keyed and entity in keyed:
            value = _with_key(keyed[entity], key)
        else:
            raise invalid(f"Invalid order by key '{match[1]}' specified.")
        down = (match[2] or "").lower() == "desc"
        there = [item for item in items if value(item) is not None]
        items = sorted(there, key=value, reverse=down) + [item for item in items if value(item) is None]
    return items


def _with_key(value: Callable[[Item, str], Any], key: str) -> Callable[[Item], Any]:
    return lambda item: value(item, key)


def _joined(text: str, values: Callable[[Any, str, str], Any]) -> Keep:
    tokens = _tokens(text)
    conditions: list[Keep] = []
    while tokens:
        conditions.append(_condition(tokens, values))
        if tokens:
            joint = tokens.pop(0)
            if joint[1].upper() != "AND" or not tokens:
                raise invalid(f"Invalid clause(s) in filter string: {joint[1]!r}")
    return lambda item: all(condition(item) for condition in conditions)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at, text = [], 0, text.strip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise invalid(f"Invalid filter '{text}'. Could not be parsed at {text[at : at + 20]!r}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return tokens


def _take(tokens: list[tuple[str, str]], *kinds: str) -> str:
    if not tokens or tokens[0][0] not in kinds:
        raise invalid(f"Invalid filter: expected {' or '.join(kinds)} at {tokens[:1]}")
    return tokens.pop(0)[1]


def _condition(tokens: list[tuple[str, str]], values: Callable[[Any, str, str], Any]) -> Keep:
    entity, key = split(_take(tokens, "name"))
    sign = _take(tokens, "sign", "name").upper()
    if sign == "IS":
        return _null(tokens, values, entity, key)
    if sign == "NOT":
        sign += " " + _take(tokens, "name").upper()
    wanted = _list(tokens) if sign.endswith("IN") else _value(tokens)
    numeric = entity == "metrics" or (entity == "attributes" and key in NUMERIC)
    if numeric != isinstance(wanted, float):
        raise invalid(f"Expected {'a number' if numeric else 'a quoted string value'} for {entity}.{key}")
    allowed = {"=", "!=", ">", ">=", "<", "<="} if numeric else {"=", "!=", "LIKE", "ILIKE"}
    if entity in {"attributes", "datasets"}:
        allowed |= {"IN", "NOT IN"}
    if sign not in allowed:
        raise invalid(f"Invalid comparison operator '{sign}' for {entity}.{key}")
    return lambda item: _matches(values(item, entity, key), sign, wanted)


def _null(tokens: list[tuple[str, str]], values: Callable[[Any, str, str], Any], entity: str, key: str) -> Keep:
    word = _take(tokens, "name").upper()
    negated = word == "NOT"
    if negated:
        word = _take(tokens, "name").upper()
    if word != "NULL" or entity not in {"params", "tags"}:
        raise invalid("Invalid use of IS")
    return lambda item: (values(item, entity, key) is None) != negated


def _value(tokens: list[tuple[str, str]]) -> str | float:
    if tokens and tokens[0][0] == "name" and tokens[0][1][:1] == '"':
        return tokens.pop(0)[1][1:-1]
    found = _take(tokens, "text", "number")
    return re.sub(r"\\(.)", r"\1", found[1:-1]) if found[0] == "'" else float(found)


def _list(tokens: list[tuple[str, str]]) -> tuple[str, ...]:
    if _take(tokens, "sign") != "(":
        raise invalid("Expected ( after IN")
    found = []
    while True:
        found.append(str(_value(tokens)))
        sign = _take(tokens, "sign")
        if sign == ")":
            return tuple(found)
        if sign != ",":
            raise invalid("Expected , or ) in a list")


def _matches(value: Any, sign: str, wanted: Any) -> bool:
    if isinstance(value, list):
        return any(_matches(each, sign, wanted) for each in value)
    if value is None:
        return False
    if sign in {"LIKE", "ILIKE"}:
        pattern = "".join({"%": ".*", "_": "."}.get(each, re.escape(each)) for each in wanted)
        return re.fullmatch(pattern, value, re.DOTALL | (re.IGNORECASE if sign == "ILIKE" else 0)) is not None
    if sign.endswith("IN"):
        return (value in wanted) != sign.startswith("NOT")
    return bool(COMPARE[sign](value, wanted))


def _run_values(run: "Run", entity: str, key: str) -> Any:
    if entity == "metrics":
        return run_metric(run, key)
    if entity == "params":
        return run.params.get(key)
    if entity == "tags":
        return run.tags.get(key)
    if entity == "datasets":
        return _datasets(run, key)
    if key not in RUN_ATTRIBUTES:
        raise invalid(f"Invalid attribute key '{key}' specified. Valid keys are {', '.join(RUN_ATTRIBUTES)}")
    return run_attribute(run, key)


def run_metric(run: "Run", key: str) -> float | None:
    """The value that a run shows for a metric."""
    return float(latest(run.history[key]).value) if key in run.history else None


def run_attribute(run: "Run", key: str) -> Any:
    """What a run's row shows in a column."""
    if key == "duration":
        return None if run.end_time is None else run.end_time - run.start_time
    if key == "user_id":
        return ""
    return getattr(run, {"run_name": "name"}.get(key, key))


def _datasets(run: "Run", key: str) -> list[str]:
    if key in {"name", "digest"}:
        return [each["dataset"][key] for each in run.datasets]
    if key != "context":
        raise invalid(f"Invalid dataset key '{key}'")
    return [tag["value"] for each in run.datasets for tag in each["tags"] if tag["key"] == "mlflow.data.context"]


def _experiment_values(experiment: "Experiment", entity: str, key: str) -> Any:
    if entity == "tags":
        return experiment.tags.get(key)
    names = {"name": experiment.name, "creation_time": experiment.created_at, "last_update_time": experiment.updated_at}
    if entity != "attributes" or key not in names:
        raise invalid(f"Invalid attribute key '{key}' specified.")
    return names[key]


def _model_values(model: "LoggedModel", entity: str, key: str) -> Any:
    if entity == "params":
        return model.params.get(key)
    if entity == "tags":
        return model.tags.get(key)
    if entity == "metrics":
        return [float(each["value"]) for each in model.metrics if each["key"] == key]
    names = {
        "name": model.name,
        "model_id": model.model_id,
        "model_type": model.model_type,
        "status": model.status,
        "source_run_id": model.source_run_id,
        "creation_timestamp": model.made_at,
        "last_updated_timestamp": model.updated_at,
    }
    if entity != "attributes" or key not in names:
        raise invalid(f"Invalid attribute key '{key}' specified.")
    return names[key]


def _registry_values(item: "Model | Version", entity: str, key: str) -> Any:
    if entity == "tags":
        return item.tags.get(key)
    names = {"source_path": "source", "name": "name", "run_id": "run_id"}
    if entity != "attributes" or not hasattr(item, names.get(key, " ")):
        raise invalid(f"Invalid attribute key '{key}' specified.")
    return getattr(item, names[key])
