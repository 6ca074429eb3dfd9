"""Whether models fit into the columns of a database, told by name before anything is written."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from runsync.kinds.logged_models import LoggedModel, ModelMetric
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.model.run import Problem
from runsync.workspaces.direct.models import E
from runsync.workspaces.fitted import Fitted
from runsync.workspaces.sql.address import MYSQL
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.room import rooms
from runsync.workspaces.sql.spellings import Spellings

_TAKEN = "a database keeps one value at a time, step and run, and file stores one for each dataset: the first one stays"
_TEXTS: dict[type, tuple[tuple[str, str, str, str, str], ...]] = {
    LoggedModel: (
        ("param", "params", "logged_model_params", "param_key", "param_value"),
        ("tag", "tags", "logged_model_tags", "tag_key", "tag_value"),
    ),
    RegisteredModel: (("tag", "tags", "registered_model_tags", "key", "value"),),
    ModelVersion: (("tag", "tags", "model_version_tags", "key", "value"),),
}
"""Texts with keys: what they are called, their field, and the table with the columns of keys and values."""
_FIELDS: dict[type, tuple[str, tuple[str, ...]]] = {
    LoggedModel: ("logged_models", ("status_message", "model_type")),
    RegisteredModel: ("registered_models", ("description",)),
    ModelVersion: ("model_versions", ("description", "run_link", "status_message", "user_id")),
}
"""Fields that may stay empty, and their table."""


class ModelFits:
    """See `sql.room`."""

    def __init__(self, part: Part) -> None:
        self._any, self._rooms = rooms(part.database, part.schema)
        self._spellings = Spellings(part.database) if part.database.kind == MYSQL else None

    def fitted(self, item: E) -> Fitted[E]:
        """See `ModelStore.fitted`."""
        changed: dict[str, Any] = {}
        left_out: list[Problem] = []
        for what, field, *columns in _TEXTS.get(type(item), ()):
            texts = getattr(item, field)
            if misfits := list(self._texts(what, texts, *columns)):
                keys = {misfit.name for misfit in misfits}
                changed[field] = {key: value for key, value in texts.items() if key not in keys}
                left_out += misfits
        table, fields = _FIELDS.get(type(item), ("", ()))
        for field in fields:
            if why := self._why(table, field, getattr(item, field), "it"):
                changed[field] = ""
                left_out.append(Problem("field", field, why))
        if isinstance(item, LoggedModel):
            once = fitted_model(item)
            changed |= {"metrics": once.item.metrics} if once.left_out else {}
            left_out += once.left_out
        return Fitted(replace(item, **changed), tuple(left_out)) if changed else Fitted(item)  # type: ignore[type-var]

    def _texts(self, what: str, texts: dict[str, str], table: str, key_column: str, column: str) -> Iterator[Problem]:
        first = self._spellings.first(table, key_column, list(texts)) if self._spellings is not None else {}
        for key, value in texts.items():
            why = self._why(table, key_column, key, "its name") or self._why(table, column, value, "it")
            if (other := first.get(key, key)) != key:
                why = why or f"to this database its name is “{other}”"
            if why:
                yield Problem(what, key, why)

    def _why(self, table: str, column: str, text: str, what: str) -> str:
        why = self._rooms.get((table, column), self._any).why_not(text)
        return f"{what} {why}" if why else ""


def fitted_model(item: LoggedModel) -> Fitted[LoggedModel]:
    """With the first value at each place."""
    kept: dict[tuple[str, int, int, str], ModelMetric] = {}
    for metric in item.metrics:
        kept.setdefault(metric.place, metric)
    if len(kept) == len(item.metrics):
        return Fitted(item)
    lost = dict.fromkeys(metric.key for metric in item.metrics if kept[metric.place] is not metric)
    return Fitted(replace(item, metrics=tuple(kept.values())), tuple(Problem("metric", key, _TAKEN) for key in lost))
