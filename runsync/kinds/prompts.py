"""Prompts, their versions and their aliases.

To MLflow a prompt is a registered model with a tag, and a version of it one whose text is a tag. So they are the same
entities here, of kinds of their own: a prompt has no files, is carried whole, and belongs to experiments.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from runsync.kinds.changed import lacking_entries
from runsync.kinds.kind import EXPERIMENTS, Resolve
from runsync.kinds.model_aliases import ModelAlias, ModelAliases
from runsync.kinds.model_versions import ModelVersion, ModelVersions
from runsync.kinds.registered_models import IS_PROMPT, RegisteredModel, RegisteredModels
from runsync.model.selection import RUNS

if TYPE_CHECKING:
    from runsync.kinds.scope import Scope
    from runsync.model.comparison import FieldChange
    from runsync.model.run import Run

TEXT = "mlflow.prompt.text"
"""The tag with the text of a version; of one for a chat, its messages as JSON."""
TYPE = "_mlflow_prompt_type"
"""The tag that tells `text` and `chat` apart, since MLflow 3."""
CHAT = "chat"
RESPONSE_FORMAT = "_mlflow_prompt_response_format"
MODEL_CONFIG = "_mlflow_prompt_model_config"
EXPERIMENT_IDS = "_mlflow_experiment_ids"
"""The tag of a prompt with the ids of its experiments: `,1,27,` (MLflow 3.5)."""
RUN_IDS = "mlflow.prompt.associatedRunIds"
"""The tag of a version with the ids of the runs that it was logged to, before MLflow 3.4."""
LINKED = "mlflow.linkedPrompts"
"""The tag of a run, a logged model or a trace with the versions that it uses: `[{"name": …, "version": …}]`."""


class Prompts(RegisteredModels):
    """The kind."""

    name = "prompts"
    noun = "prompt"
    names_others = True

    def meant(self, item: RegisteredModel, scope: "Scope") -> RegisteredModel | None:
        """Where only some experiments are meant: those that belong to them; those that runs link to, too."""
        if not scope.is_narrow or item.name in scope.named(self.name):
            return item
        ids = {experiment.experiment_id for experiment in scope.experiments}
        return item if not scope.is_of_runs and not ids.isdisjoint(experiment_ids(item)) else None

    def linked(self, run: "Run") -> Iterable[str]:
        """By its tag."""
        return {name for name, _ in linked_by(run.tags)}

    def names(self, item: RegisteredModel) -> Iterable[tuple[str, str]]:
        """Itself, for its versions and aliases."""
        return ((self.name, item.name),)

    def rewritten(self, item: RegisteredModel, resolve: Resolve) -> RegisteredModel:
        """In the experiments of the other side; one that is not there is left out, as its id is another one's there."""
        found = [there for id in experiment_ids(item) if (there := resolve(EXPERIMENTS, id)) is not None]
        return _in_experiments(item, found)

    def joined(self, item: RegisteredModel, there: RegisteredModel) -> RegisteredModel:
        """It stays in the experiments that it is in there."""
        return _in_experiments(item, dict.fromkeys((*experiment_ids(there), *experiment_ids(item))))

    def renamed(self, item: RegisteredModel, names: Mapping[str, str]) -> RegisteredModel:
        """Prompts keep their names."""
        return item

    def lacks(self, wanted: RegisteredModel, there: RegisteredModel) -> Iterator["FieldChange"]:
        """It may be in more experiments."""
        yield from super().lacks(_in_experiments(wanted, ()), there)
        if not set(experiment_ids(wanted)) <= set(experiment_ids(there)):
            tags = {EXPERIMENT_IDS: wanted.tags[EXPERIMENT_IDS]}
            yield from lacking_entries("tags", tags, there.tags)


class PromptVersions(ModelVersions):
    """The kind."""

    name = "prompt-versions"
    noun = "prompt version"
    has_files = False
    names_others = False
    vital = frozenset({IS_PROMPT, TEXT, TYPE})
    requires = (RUNS, Prompts.name)
    part_of = Prompts.name

    def meant(self, item: ModelVersion, scope: "Scope") -> ModelVersion | None:
        """All of a prompt that is: a number that was passed over is lost."""
        return item if _is_meant(item.model, scope) else None

    def rewritten(self, item: ModelVersion, resolve: Resolve) -> ModelVersion:
        """Runs that are not there stay named by their old ids."""
        if not run_ids_of(item):
            return item
        told = ",".join(resolve(RUNS, id) or id for id in run_ids_of(item))
        return replace(item, tags={**item.tags, RUN_IDS: told})

    def renamed(self, item: ModelVersion, names: Mapping[str, str]) -> ModelVersion:
        """Prompts keep their names."""
        return item


class PromptAliases(ModelAliases):
    """The kind."""

    name = "prompt-aliases"
    noun = "prompt alias"
    requires = (PromptVersions.name,)
    part_of = Prompts.name

    def meant(self, item: ModelAlias, scope: "Scope") -> ModelAlias | None:
        """All of a prompt that is."""
        return item if _is_meant(item.model, scope) else None

    def renamed(self, item: ModelAlias, names: Mapping[str, str]) -> ModelAlias:
        """Prompts keep their names."""
        return item


def experiment_ids(item: RegisteredModel) -> list[str]:
    """The experiments that a prompt belongs to."""
    return [id.strip() for id in item.tags.get(EXPERIMENT_IDS, "").split(",") if id.strip()]


def run_ids_of(item: ModelVersion) -> list[str]:
    """The runs that a version was logged to, as MLflow kept it before runs had a tag for that."""
    return [id for id in item.tags.get(RUN_IDS, "").split(",") if id]


def linked_by(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names and versions of the prompts that something links to, by its tag; none where that is not MLflow's."""
    try:
        found = json.loads(tags.get(LINKED, "[]"))
        return [(str(one["name"]), str(one["version"])) for one in found]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []


def has_same_text(item: ModelVersion, there: ModelVersion) -> bool:
    """Whether two versions say the same."""
    return all(item.tags.get(tag) == there.tags.get(tag) for tag in (TEXT, TYPE))


def _in_experiments(item: RegisteredModel, ids: Iterable[str]) -> RegisteredModel:
    tags = {key: value for key, value in item.tags.items() if key != EXPERIMENT_IDS}
    told = {EXPERIMENT_IDS: f",{','.join(ids)},"} if (ids := list(ids)) else {}
    return replace(item, tags=tags | told)


def _is_meant(prompt: str, scope: "Scope") -> bool:
    return not scope.is_narrow or prompt in scope.named(PROMPTS.name)


PROMPTS = Prompts()
PROMPT_VERSIONS = PromptVersions()
PROMPT_ALIASES = PromptAliases()
