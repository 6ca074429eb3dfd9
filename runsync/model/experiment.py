"""An experiment, as every workspace and bundle knows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ACTIVE = "active"
DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Experiment:
    """Times are epoch milliseconds; `None` where the source does not tell."""

    experiment_id: str
    name: str
    lifecycle_stage: str = ACTIVE
    artifact_location: str = ""
    creation_time: int | None = None
    last_update_time: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `schemas/v1/experiment.schema.json`."""
        return {
            "experiment_id": self.experiment_id,
            "name": self.name,
            "lifecycle_stage": self.lifecycle_stage,
            "artifact_location": self.artifact_location,
            "creation_time": self.creation_time,
            "last_update_time": self.last_update_time,
            "tags": dict(self.tags),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Experiment":
        """The reverse of `to_document`, of a document that is valid."""
        return cls(**document)
