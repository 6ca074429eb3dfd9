"""Which experiment of which source a copy was last brought from, kept in tags on the copy.

A server's copy has several (`runsync.source.experiment_id`, `runsync.from`, `runsync.from_experiment`); one in a
database or file store has `runsync.copy` alone: `{"from":"…","id":"…","name":"…"}`, with `given` and `origin` where the
name that it got, or the id that it was born with, is another one.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from runsync.model.experiment import Experiment
from runsync.model.identity import ARRIVES, COPY, FROM, FROM_EXPERIMENT, ORIGIN_EXPERIMENT
from runsync.model.provenance import key_of

_LONGEST_TOLD = 2000
"""Characters of a name in a tag, which holds two of them, and of which MLflow takes 5,000."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """`source_id` and `source_name` are the experiment's at the source, `given_name` is the name that the copy got.

    As a tag: `{"given":"…","id":"…","name":"…"}`, so that all three change at once.
    """

    source_id: str
    source_name: str
    given_name: str

    @classmethod
    def told_of(cls, experiment: Experiment, given_name: str) -> "Lineage":
        """That of a source experiment, as it fits into a tag."""
        return cls(experiment.experiment_id, _told_name(experiment.name), _told_name(given_name))

    @classmethod
    def of(cls, copy: Experiment) -> "Lineage | None":
        """What the tag of a copy says; None for anything else, as on copies that earlier versions made."""
        told = _told(copy.tags.get(COPY) or copy.tags.get(FROM_EXPERIMENT, ""))
        try:
            return cls(str(told["id"]), str(told["name"]), str(told.get("given", told["name"])))
        except KeyError:
            return None

    def __str__(self) -> str:
        told = {"given": self.given_name, "id": self.source_id, "name": self.source_name}
        return json.dumps(told, separators=(",", ":"))


def _told_name(name: str) -> str:
    """A name that no server and no database would take is told by its beginning and its hash."""
    if len(json.dumps(name)) <= _LONGEST_TOLD:
        return name
    return f"{name[:150]}… {hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"


@lru_cache(1000)
def _told(text: str) -> Mapping[str, object]:
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def copy_tag(came_from: str, origin: str, lineage: Lineage | None) -> str:
    """The value of `runsync.copy` on an experiment that was brought from the address `came_from`: of ASCII alone, as
    databases of any encoding have it."""
    told = {"from": key_of(came_from)}
    if lineage is not None:
        told |= {"id": lineage.source_id, "name": lineage.source_name}
        if lineage.given_name != lineage.source_name:
            told["given"] = lineage.given_name
    if lineage is None or origin != lineage.source_id:
        told["origin"] = origin
    return json.dumps(told, separators=(",", ":"), sort_keys=True)


def tells_the_same(one: str, other: str) -> bool:
    """Whether two such values are one, however their characters are written."""
    return one == other or _told(one) == _told(other) != {}


def is_copy(experiment: Experiment) -> bool:
    """Whether an import made it."""
    return COPY in experiment.tags or ORIGIN_EXPERIMENT in experiment.tags


def came_from(experiment: Experiment) -> str:
    """The key (see `provenance.key_of`) of the workspace that a copy was last brought from; "" for what is at home."""
    if COPY in experiment.tags:
        return str(_told(experiment.tags[COPY]).get("from", ""))
    return key_of(experiment.tags.get(FROM, "")) if is_copy(experiment) else ""


def origin_of_experiment(experiment: Experiment) -> str:
    """The id that the experiment had where it was born."""
    if COPY in experiment.tags:
        told = _told(experiment.tags[COPY])
        return str(told.get("origin", told.get("id", experiment.experiment_id)))
    return experiment.tags.get(ORIGIN_EXPERIMENT, experiment.experiment_id)


def source_id(experiment: Experiment) -> str:
    """The id that a copy had where it was last brought from; "" for what is at home or where nothing tells."""
    lineage = Lineage.of(experiment)
    return lineage.source_id if lineage is not None and is_copy(experiment) else ""


def surplus(tags: Mapping[str, str], wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Those of the tags which say what is copied from where and are not wanted (any more)."""
    return tuple(k for k in (COPY, FROM, FROM_EXPERIMENT, ORIGIN_EXPERIMENT, ARRIVES) if k in tags and k not in wanted)
