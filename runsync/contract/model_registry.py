"""What a model registry must do so that a model can be promoted in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from runsync.growing import Files
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.model.finding import Finding


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered model as it is at one moment: its versions in the order of their numbers, and the numbers that its
    aliases name."""

    model: RegisteredModel
    versions: tuple[ModelVersion, ...] = ()
    aliases: Mapping[str, int] = field(default_factory=dict)

    def version(self, number: int | None) -> ModelVersion | None:
        """The version of a number."""
        return next((version for version in self.versions if version.version == number), None)


class ModelRegistry(Protocol):
    """Reads what is there now, and changes single things. Each method raises RequestRefused."""

    @property
    def swaps(self) -> bool:
        """Whether `move_alias` looks and sets in one step, so that nobody comes between."""

    def examine(self) -> Iterator[Finding]:
        """Whether models can be promoted into it, as far as that shows without writing."""

    def examine_model(self, name: str) -> Iterator[Finding]:
        """Likewise whether versions of this registered model, which is there, may be made and its aliases moved."""

    def examine_new(self, name: str) -> Iterator[Finding]:
        """Likewise whether a registered model of this name, which is not there, may be made."""

    def read(self, name: str) -> Registered | None:
        """A registered model, a prompt too; None where there is none."""

    def files(self, version: ModelVersion) -> Files:
        """The files that the registry serves for a version, whatever it was made of."""

    def tag_version(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Sets tags."""

    def tag_model(self, name: str, tags: Mapping[str, str]) -> None:
        """Sets tags."""

    def move_alias(self, alias: ModelAlias, holder: int | None) -> bool:
        """Sets an alias that names version `holder` (None: no version). False, and nothing is set, where it names
        another one by now."""
