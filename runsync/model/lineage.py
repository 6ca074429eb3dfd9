"""Which experiment of which source a copy was last brought from, kept in tags on the copy."""

import json
from dataclasses import dataclass

from runsync.model.experiment import Experiment
from runsync.model.identity import FROM, FROM_EXPERIMENT, ORIGIN_EXPERIMENT


@dataclass(frozen=True, slots=True)
class Lineage:
    """`source_id` and `source_name` are the experiment's at the source, `given_name` is the name that the copy got.

    As a tag: `{"given":"…","id":"…","name":"…"}`, so that all three change at once.
    """

    source_id: str
    source_name: str
    given_name: str

    @classmethod
    def of(cls, copy: Experiment) -> "Lineage | None":
        """What the tag of a copy says; None for anything else, as on copies that earlier versions made."""
        try:
            told = json.loads(copy.tags.get(FROM_EXPERIMENT, ""))
            return cls(str(told["id"]), str(told["name"]), str(told["given"]))
        except (ValueError, TypeError, KeyError):
            return None

    def __str__(self) -> str:
        told = {"given": self.given_name, "id": self.source_id, "name": self.source_name}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def is_copy(experiment: Experiment) -> bool:
    """Whether an import made it."""
    return ORIGIN_EXPERIMENT in experiment.tags


def came_from(experiment: Experiment) -> str:
    """The address of the workspace that a copy was last brought from; "" for what is at home."""
    return experiment.tags.get(FROM, "") if is_copy(experiment) else ""


def origin_of_experiment(experiment: Experiment) -> str:
    """The id that the experiment had where it was born."""
    return experiment.tags.get(ORIGIN_EXPERIMENT, experiment.experiment_id)


def source_id(experiment: Experiment) -> str:
    """The id that a copy had where it was last brought from; "" for what is at home or where nothing tells."""
    lineage = Lineage.of(experiment)
    return lineage.source_id if lineage is not None and is_copy(experiment) else ""
