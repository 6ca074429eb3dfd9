"""list_prompts: the prompts of a workspace or bundle."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from runsync.bundle.address import Access
from runsync.errors import NothingSelected
from runsync.kinds.registries import OF_PROMPTS
from runsync.model.place import Place
from runsync.models.listing import ListedModel
from runsync.threads import WORKERS
from runsync.transfer.places import open_source
from runsync.transfer.registry import registry_of


@dataclass(slots=True)
class PromptsReport:
    """`schemas/v1/prompts-list-report.schema.json`, the prompts by name."""

    place: Place
    prompts: list[ListedModel] = field(default_factory=list)
    requests: int = 0
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-prompts-list-report",
            "version": 1,
            "place": asdict(self.place),
            "prompts": [prompt.to_document() for prompt in self.prompts],
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


def list_prompts(
    where: str, *, prompts: Sequence[str] = (), workers: int = WORKERS, access: Access | None = None
) -> PromptsReport:
    """The prompts of these names or globs (default: all), by name.

    Raises NothingSelected for a name that matches none, WrongUsage for a place of which they are not read.
    """
    with open_source(where, "prompts list", access=access or Access(), workers=workers) as source:
        registry = registry_of(source, OF_PROMPTS)
        for text in prompts:
            if not any(fnmatchcase(name, text) for name in registry.models):
                raise NothingSelected(f"no prompt matches “{text}”")
        chosen = [
            prompt
            for name, prompt in registry.models.items()
            if not prompts or any(fnmatchcase(name, text) for text in prompts)
        ]
        report = PromptsReport(source.place, [ListedModel.of(registry, prompt) for prompt in chosen])
        report.requests = source.requests
    return report
