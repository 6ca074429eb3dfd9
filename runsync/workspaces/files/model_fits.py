"""Whether models have a place in a file store, told by name before anything is written, and what they lose there."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from runsync.kinds.logged_models import LoggedModel, ModelMetric
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.model.run import Problem
from runsync.workspaces.direct.misfits import Misfit
from runsync.workspaces.files.fits import NO_TEXT, misfits_of_keys, misfits_of_texts
from runsync.workspaces.files.layout import is_run_id, is_text
from runsync.workspaces.files.registry import why_no_name
from runsync.workspaces.fitted import Fitted

E = TypeVar("E")
_KEY = re.compile(r"[/\w.\- :]*")
"""What MLflow takes for a key where it reads it (`validate_param_and_metric_name`): one that is not fails the whole."""
_ALIAS = re.compile(r"[\w\-]{1,255}")
_ODD_KEY = "its key has characters that MLflow does not read in a file store"
_ODD_DATASET = "a file store cannot keep the name of its dataset, as MLflow reads no line with a space in it"
_ODD_RUN = "a file store keeps no point without a run"


def fitted(item: E) -> Fitted[E]:
    """See `ModelStore.fitted`."""
    fit: Callable[[Any], Fitted[Any]] = _BY_TYPE[type(item)]
    if not is_text("".join(_texts(item))):
        return Fitted(item, why_not=NO_TEXT.replace("it has", "its record has"))
    return fit(item)


def _logged_model(item: LoggedModel) -> Fitted[LoggedModel]:
    if not is_run_id(item.model_id):
        return Fitted(item, why_not="its id cannot be the name of a folder")
    params, left_out = _fitting("param", item.params)
    tags, more = _fitting("tag", item.tags)
    odd = {m.name: m.why for m in misfits("metric", sorted({metric.key for metric in item.metrics}))}
    kept: list[ModelMetric] = []
    lost: dict[tuple[str, str], None] = {}
    for metric in item.metrics:
        if why := odd.get(metric.key) or (_ODD_RUN if _is_odd(metric.run_id) or not metric.run_id else ""):
            lost[metric.key, why] = None
            continue
        if (
            _is_odd(metric.dataset_name)
            or _is_odd(metric.dataset_digest)
            or bool(metric.dataset_name) != bool(metric.dataset_digest)
        ):
            lost[metric.key, _ODD_DATASET] = None
            metric = replace(metric, dataset_name="", dataset_digest="")
        kept.append(metric)
    told = (*left_out, *more, *(Problem("metric", *one) for one in lost))
    return Fitted(replace(item, params=params, tags=tags, metrics=tuple(kept)), told)


def _registered_model(item: RegisteredModel) -> Fitted[RegisteredModel]:
    tags, left_out = _fitting("tag", item.tags)
    return Fitted(replace(item, tags=tags), left_out, why_no_name(item.name))


def _version(item: ModelVersion) -> Fitted[ModelVersion]:
    tags, left_out = _fitting("tag", item.tags)
    return Fitted(replace(item, tags=tags), left_out, why_no_name(item.model))


def _alias(item: ModelAlias) -> Fitted[ModelAlias]:
    odd = "" if _ALIAS.fullmatch(item.alias) else "it has characters that no alias has in a file store"
    return Fitted(item, why_not=why_no_name(item.model) or odd)


_BY_TYPE: Mapping[type, Callable[[Any], Fitted[Any]]] = {
    LoggedModel: _logged_model,
    RegisteredModel: _registered_model,
    ModelVersion: _version,
    ModelAlias: _alias,
}


def misfits(kind: str, keys: Iterable[str]) -> Iterator[Misfit]:
    """Keys that cannot be there, or that MLflow does not read there."""
    keys = list(keys)
    yield from misfits_of_keys(kind, keys)
    yield from (Misfit(kind, key, _ODD_KEY) for key in keys if not _KEY.fullmatch(key))


def _fitting(kind: str, texts: Mapping[str, str]) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Params or tags that can be there, and those that are left out."""
    odd = {m.name: m.why for m in (*misfits_of_texts(kind, texts), *misfits(kind, texts))}
    kept = {key: value for key, value in texts.items() if key not in odd}
    return kept, tuple(Problem(kind, key, why) for key, why in odd.items())


def _is_odd(word: str) -> bool:
    return any(character.isspace() for character in word) or not is_text(word)


def _texts(item: object) -> Iterator[str]:
    for name in getattr(item, "__slots__", ()):
        value = getattr(item, name)
        if isinstance(value, str):
            yield value
