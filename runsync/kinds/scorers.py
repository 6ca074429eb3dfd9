"""Scorers of experiments, with their versions, and which of their traces they score by themselves."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runsync.kinds.changed import changed_fields
from runsync.kinds.document import Document, DocumentKind
from runsync.kinds.gateway_endpoints import GATEWAY_ENDPOINTS
from runsync.kinds.kind import EXPERIMENTS, Key

if TYPE_CHECKING:
    from runsync.model.comparison import FieldChange

GATEWAY = "gateway:/"
"""How the model of a scorer begins that is an endpoint of the gateway; its name follows."""
_JUDGES = ("instructions_judge_pydantic_data", "builtin_scorer_pydantic_data", "third_party_scorer_data")
_REMEMBERING = "memory_augmented_judge_data"


@dataclass(frozen=True, slots=True)
class ScorerVersion:
    """`serialized` is what MLflow makes a scorer of, a JSON text; `created_at` is in epoch milliseconds, None where the
    source does not tell."""

    version: int
    serialized: str
    created_at: int | None = None

    @property
    def meaning(self) -> Any:
        """What it says, however that is written. A server writes it anew where an endpoint is in it."""
        try:
            return json.loads(self.serialized)
        except (ValueError, RecursionError):
            return self.serialized


@dataclass(frozen=True, slots=True)
class OnlineScoring:
    """Which share of the traces that a filter finds is scored as they come in."""

    id: str
    sample_rate: float
    filter_string: str = ""

    @property
    def meaning(self) -> tuple[float, str]:
        """Without its id."""
        return self.sample_rate, self.filter_string


@dataclass(frozen=True, slots=True)
class Scorer(Document):
    """`versions` are in the order of their numbers, which need not be without gaps."""

    scorer_id: str
    experiment_id: str
    name: str
    versions: tuple[ScorerVersion, ...] = ()
    online: tuple[OnlineScoring, ...] = ()
    origin: str = ""

    @property
    def key(self) -> Key:
        """Ids are global."""
        return (self.scorer_id,)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Scorer":
        """See `Entity`."""
        versions = tuple(ScorerVersion(**version) for version in document["versions"])
        online = tuple(OnlineScoring(**one) for one in document["online"])
        return cls(**{**document, "versions": versions, "online": online})

    @property
    def numbered(self) -> dict[int, ScorerVersion]:
        """Its versions by their numbers."""
        return {each.version: each for each in self.versions}

    def spare(self, there: "Scorer") -> list[int]:
        """The numbers of versions that an import which was killed made in a target to reach a later number, and did not
        delete: this one has none of that number, and they say what its next one does."""
        numbers = self.numbered
        following = ((one, min((n for n in numbers if n > one.version), default=0)) for one in there.versions)
        return [
            one.version
            for one, then in following
            if then and one.version not in numbers and numbers[then].meaning == one.meaning
        ]


class _Scorers(DocumentKind[Scorer]):
    name = "scorers"
    noun = "scorer"
    entity = Scorer
    requires = (EXPERIMENTS, GATEWAY_ENDPOINTS.name)
    goes_with_experiments = True
    id_field = "scorer_id"

    def place(self, item: Scorer) -> Key:
        """An experiment has each name once."""
        return (item.experiment_id, item.name)

    def is_behind(self, there: Scorer, wanted: Scorer) -> bool:
        """Also where there are versions to be deleted."""
        return bool(wanted.spare(there)) or super().is_behind(there, wanted)

    def changes(self, old: Scorer, new: Scorer) -> Iterator["FieldChange"]:
        """By versions."""
        from runsync.model.comparison import FieldChange

        yield from changed_fields(old, new, ("scorer_id", "experiment_id", "name", "online"))
        before, after = old.numbered, new.numbered
        for number in sorted(before.keys() | after.keys()):
            if before.get(number) != after.get(number):
                yield FieldChange(f"versions.{number}", _shown(before.get(number)), _shown(after.get(number)))

    def lacks(self, wanted: Scorer, there: Scorer) -> Iterator["FieldChange"]:
        """A workspace may have more versions."""
        from runsync.model.comparison import FieldChange

        yield from changed_fields(wanted, there, ("name",))
        has = there.numbered
        for each in wanted.versions:
            other = has.get(each.version)
            if other is None or other.meaning != each.meaning:
                yield FieldChange(f"versions.{each.version}", _shown(each), _shown(other))
        if sorted(one.meaning for one in wanted.online) != sorted(one.meaning for one in there.online):
            yield from changed_fields(_online(wanted), _online(there), ("online",))


def _online(item: Scorer) -> Scorer:
    return replace(item, online=tuple(replace(one, id="") for one in item.online))


def _shown(version: ScorerVersion | None) -> str:
    return "missing" if version is None else version.serialized


def with_endpoint(serialized: str, names: Mapping[str, str]) -> str:
    """The same with another name, or id, for the endpoint of the gateway that is its model; as it is where it has none,
    or one that is not among these."""
    document = ScorerVersion(0, serialized).meaning
    model = _model(document) if isinstance(document, dict) else None
    if model is None or (other := names.get(model)) is None:
        return serialized
    return json.dumps(_with_model(document, GATEWAY + other))


def endpoint_of(serialized: str) -> str:
    """The name of the endpoint of the gateway that is its model; "" where it is none."""
    document = ScorerVersion(0, serialized).meaning
    return (_model(document) if isinstance(document, dict) else None) or ""


def _model(document: Mapping[str, Any]) -> str | None:
    """What follows `gateway:/` in it (mlflow/genai/scorers/scorer_utils.py)."""
    for name in _JUDGES:
        if isinstance(data := document.get(name), dict) and data:
            model = data.get("model")
            return model.removeprefix(GATEWAY) if isinstance(model, str) and model.startswith(GATEWAY) else None
    judge = document.get(_REMEMBERING)
    base = judge.get("base_judge") if isinstance(judge, dict) else None
    return _model(base) if isinstance(base, dict) else None


def _with_model(document: Mapping[str, Any], model: str) -> dict[str, Any]:
    for name in _JUDGES:
        if document.get(name):
            return {**document, name: {**document[name], "model": model}}
    judge = document[_REMEMBERING]
    return {**document, _REMEMBERING: {**judge, "base_judge": _with_model(judge["base_judge"], model)}}


SCORERS = _Scorers()
