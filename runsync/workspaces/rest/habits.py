"""What differs between servers that speak MLflow's REST API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runsync.contract.editor import BulkChanges
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.registries import OF_MODELS, OF_PROMPTS
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.workspaces.http.fields import Json
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.metrics import HISTORY_PAGE
from runsync.workspaces.rest.runs import LONGEST_TAG

MODELS = frozenset({LOGGED_MODELS.name, *(kind.name for kind in OF_MODELS.kinds)})
MODELS_AND_PROMPTS = MODELS | {kind.name for kind in OF_PROMPTS.kinds}


@dataclass(frozen=True, slots=True)
class RegistryHabits:
    """Of one of several registries of models: what goes before its paths, and how it has the keys of tags."""

    path: str = ""
    tag_key: Callable[[str], str] = str

    def tags(self, tags: Mapping[str, str]) -> list[dict[str, str]]:
        """As a request has them."""
        return wire.entries({self.tag_key(key): value for key, value in tags.items()})


def _takes(key: str) -> None:
    """Any tag can be set."""


@dataclass(frozen=True, slots=True)
class EditorHabits:
    """Of changes to runs and experiments.

    `check_…_tag` raises RequestRefused for the key of a tag that cannot be set; `experiment_name` gives the new name of
    an experiment as it is sent, or raises likewise.
    """

    check_run_tag: Callable[[str], object] = _takes
    check_experiment_tag: Callable[[str], object] = _takes
    experiment_name: Callable[[str], str] = str
    revives_runs: bool = True
    """Whether a run of a deleted experiment can be restored."""
    retention: str = ""
    """Told where a run to be restored is gone."""
    bulk: BulkChanges | None = None


@dataclass(frozen=True, slots=True)
class Habits:
    """What differs between servers that speak MLflow's REST API, and how their answers read."""

    run: Callable[[Json], Run] = wire.run
    experiment: Callable[[Json], Experiment] = wire.experiment
    experiment_name: Callable[[str], str] = str
    """A name of an experiment as it has it, of one as it may be typed."""
    experiments_a_search: int = 200
    experiment_order: tuple[str, ...] = ("experiment_id ASC",)
    history_page: int = HISTORY_PAGE
    has_bulk_history: bool = True
    models_page: int = 1000
    """Logged models that a search gives at most."""
    params_a_run: int | None = None
    """The most that a run may have; None for no limit."""
    longest_tag: int = LONGEST_TAG
    deleted_keep_names: bool = True
    """Whether no other experiment may have the name of a deleted one."""
    versions_by_model: bool = False
    """Whether versions are listed for one registered model at a time only."""
    models: frozenset[str] = MODELS_AND_PROMPTS
    """The kinds of models and prompts that it has, by name."""
    undeletable: frozenset[str] = frozenset()
    """The kinds of models of which it deletes none, by name."""
    is_mlflow: bool = True
    """Whether it is MLflow's own server, with all the kinds of objects that those have."""


USUAL = Habits()
"""Those of MLflow's own server."""
