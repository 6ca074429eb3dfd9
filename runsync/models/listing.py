"""list_models: the registered models of a workspace or bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from runsync.bundle.address import Access
from runsync.errors import NothingSelected
from runsync.kinds.registered_models import RegisteredModel
from runsync.model.place import Place
from runsync.threads import WORKERS
from runsync.transfer.places import open_source
from runsync.transfer.registry import Registry, registry_of


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A registered model: its greatest version that is there (None without any), how many there are, and which version
    each alias names."""

    model: RegisteredModel
    latest_version: int | None
    versions: int
    aliases: Mapping[str, int]

    @classmethod
    def of(cls, registry: Registry, model: RegisteredModel) -> "ListedModel":
        """As the registry has it."""
        numbers = [version.version for version in registry.versions.get(model.name, ())]
        aliases = registry.aliases.get(model.name, {})
        return cls(model, numbers[-1] if numbers else None, len(numbers), aliases)

    def to_document(self) -> dict[str, Any]:
        """A model of the JSON report."""
        told = {"latest_version": self.latest_version, "versions": self.versions, "aliases": dict(self.aliases)}
        return {**told, **self.model.to_document()}


@dataclass(slots=True)
class ModelsReport:
    """`schemas/v1/models-list-report.schema.json`, the models by name."""

    place: Place
    models: list[ListedModel] = field(default_factory=list)
    requests: int = 0
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-models-list-report",
            "version": 1,
            "place": asdict(self.place),
            "models": [model.to_document() for model in self.models],
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


def list_models(
    where: str, *, models: Sequence[str] = (), workers: int = WORKERS, access: Access | None = None
) -> ModelsReport:
    """The registered models of these names or globs (default: all), by name.

    Raises NothingSelected for a name that matches none, WrongUsage for a place of which they are not read.
    """
    with open_source(where, "models list", access=access or Access(), workers=workers) as source:
        registry = registry_of(source)
        for text in models:
            if not any(fnmatchcase(name, text) for name in registry.models):
                raise NothingSelected(f"no registered model matches “{text}”")
        chosen = [m for name, m in registry.models.items() if not models or _is_meant(name, models)]
        report = ModelsReport(source.place, [ListedModel.of(registry, model) for model in chosen])
        report.requests = source.requests
    return report


def _is_meant(name: str, texts: Sequence[str]) -> bool:
    return any(fnmatchcase(name, text) for text in texts)
