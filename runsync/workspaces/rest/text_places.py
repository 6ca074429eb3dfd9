"""Versions of prompts have no files: what they say is in their tags."""

from typing import Any

from runsync.kinds.model_versions import Home, ModelVersion
from runsync.kinds.prompts import has_same_text
from runsync.kinds.registries import OF_PROMPTS

_PLACEHOLDERS = ("dummy-source", "prompt-template")
"""The sources that servers take for a version of a prompt (since MLflow 3.14 no others)."""


class TextPlaces:
    """See `Places`."""

    def of(self, item: ModelVersion, run_of_other: str | None = None) -> dict[str, Any]:
        """The placeholder that it has, or MLflow's own."""
        return {"source": item.source if item.source in _PLACEHOLDERS else OF_PROMPTS.filler[0]}

    def outside(self, item: ModelVersion) -> None:
        """There are no files."""

    def is_same(self, item: ModelVersion, there: ModelVersion, is_copy: bool) -> bool:
        """Whether they say the same: a text does not change."""
        return has_same_text(item, there)

    def is_elsewhere(self, item: ModelVersion, there: ModelVersion) -> bool:
        """Never."""
        return False

    def why_not_whole(self, home: Home) -> str:
        """There is nothing to arrive."""
        return ""

    def told(self, there: ModelVersion) -> str:
        """Its text would be too long."""
        return "with another text"
