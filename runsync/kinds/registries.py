"""A model registry holds names of two sorts, models and prompts, and gives each name once."""

from collections.abc import Mapping
from dataclasses import dataclass

from runsync.kinds.kind import Kind
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS, ModelVersion, ModelVersions
from runsync.kinds.prompts import PROMPT_ALIASES, PROMPT_VERSIONS, PROMPTS
from runsync.kinds.registered_models import IS_PROMPT, REGISTERED_MODELS, RegisteredModel


@dataclass(frozen=True, slots=True, eq=False)
class Sort:
    """The kinds of one sort of names, and the noun of the `other` one.

    `filler` is what a version is made with, source and tags, that is deleted at once so that its number is given out.
    """

    models: Kind[RegisteredModel]
    versions: ModelVersions
    aliases: Kind[ModelAlias]
    other: str
    are_prompts: bool
    filler: tuple[str, Mapping[str, str]]

    def has(self, tags: Mapping[str, str]) -> bool:
        """Whether a registered model, or a version, with these tags is of this sort."""
        return (tags.get(IS_PROMPT, "").lower() == "true") == self.are_prompts

    @property
    def noun(self) -> str:
        """What one is called in a message."""
        return self.models.noun.rpartition(" ")[2]

    @property
    def kinds(self) -> tuple[Kind[ModelAlias], Kind[ModelVersion], Kind[RegisteredModel]]:
        """What hangs off others first."""
        return self.aliases, self.versions, self.models


_NOWHERE = "s3://runsync-gap/none"
"""A source that every server takes."""
_PLACEHOLDER = "dummy-source"
"""What MLflow's client gives as the source of every version of a prompt; servers since 3.14 take no other one."""

OF_MODELS = Sort(REGISTERED_MODELS, MODEL_VERSIONS, MODEL_ALIASES, PROMPTS.noun, False, (_NOWHERE, {}))
OF_PROMPTS = Sort(
    PROMPTS, PROMPT_VERSIONS, PROMPT_ALIASES, REGISTERED_MODELS.noun, True, (_PLACEHOLDER, {IS_PROMPT: "true"})
)
SORTS = (OF_MODELS, OF_PROMPTS)
