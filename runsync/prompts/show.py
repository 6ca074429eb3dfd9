"""show_prompt: a prompt with its versions, or one version of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from runsync.bundle.address import Access
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.prompts import CHAT, MODEL_CONFIG, RESPONSE_FORMAT, TEXT, TYPE
from runsync.kinds.registered_models import IS_PROMPT, RegisteredModel
from runsync.kinds.registries import OF_PROMPTS
from runsync.model.identity import own_tags_removed
from runsync.model.place import Place
from runsync.threads import WORKERS
from runsync.transfer.places import open_source
from runsync.transfer.registry import parted, registry_of

_TOLD_APART = frozenset({IS_PROMPT, TEXT, TYPE, MODEL_CONFIG, RESPONSE_FORMAT})


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """A version as MLflow's client tells it: `messages` are those of a chat, else None and all is in `text`. What
    cannot be read of its JSON is None."""

    version: ModelVersion
    aliases: tuple[str, ...]

    @property
    def text(self) -> str:
        """As it is kept; of a chat its messages as JSON."""
        return self.version.tags.get(TEXT, "")

    @property
    def messages(self) -> list[dict[str, Any]] | None:
        """Those of a chat, with `role` and `content`."""
        found = _parsed(self.text) if self.version.tags.get(TYPE) == CHAT else None
        is_chat = isinstance(found, list) and all(isinstance(message, dict) for message in found)
        return found if is_chat else None

    @property
    def tags(self) -> dict[str, str]:
        """Its user's own."""
        return {key: value for key, value in own_tags_removed(self.version.tags).items() if key not in _TOLD_APART}

    def to_document(self) -> dict[str, Any]:
        """A version of the JSON report."""
        tags = self.version.tags
        return {
            "version": self.version.version,
            "text": self.text,
            "messages": self.messages,
            "response_format": _parsed(tags.get(RESPONSE_FORMAT, "")),
            "model_config": _parsed(tags.get(MODEL_CONFIG, "")),
            "commit_message": self.version.description,
            "aliases": list(self.aliases),
            "tags": self.tags,
            "user_id": self.version.user_id,
            "created_at": self.version.created_at,
            "updated_at": self.version.updated_at,
        }


@dataclass(slots=True)
class PromptReport:
    """`schemas/v1/prompt-report.schema.json`. `versions` are all, in the order of their numbers, or the one that was
    asked for."""

    place: Place
    prompt: RegisteredModel
    aliases: Mapping[str, int]
    versions: list[PromptVersion]
    is_of_version: bool = False
    requests: int = 0
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-prompt-report",
            "version": 1,
            "place": asdict(self.place),
            "prompt": self.prompt.to_document(),
            "aliases": dict(self.aliases),
            "versions": [version.to_document() for version in self.versions],
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


def show_prompt(where: str, prompt: str, *, workers: int = WORKERS, access: Access | None = None) -> PromptReport:
    """Looks up a prompt (NAME), or one version of it (NAME/VERSION, NAME@ALIAS).

    Raises NothingSelected when there is none, WrongUsage for a place of which they are not read.
    """
    with open_source(where, "prompts show", access=access or Access(), workers=workers) as source:
        registry = registry_of(source, OF_PROMPTS)
        name, alias, number = parted(prompt)
        known = registry.model(name)
        chosen = registry.meant(prompt) if alias or number else registry.versions.get(name, [])
        versions = [PromptVersion(version, registry.aliases_of(version)) for version in chosen]
        aliases = registry.aliases.get(name, {})
        report = PromptReport(source.place, known, aliases, versions, is_of_version=bool(alias or number))
        report.requests = source.requests
    return report


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
