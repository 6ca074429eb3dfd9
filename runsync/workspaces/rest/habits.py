"""What differs between servers that speak MLflow's REST API."""

from collections.abc import Callable
from dataclasses import dataclass

from runsync.model.experiment import Experiment
from runsync.model.filter.push import Dialect
from runsync.model.run import Run
from runsync.workspaces.http.fields import Json
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.metrics import HISTORY_PAGE
from runsync.workspaces.rest.runs import LONGEST_TAG


@dataclass(frozen=True, slots=True)
class Habits:
    """What differs between servers that speak MLflow's REST API, and how their answers read."""

    run: Callable[[Json], Run] = wire.run
    experiment: Callable[[Json], Experiment] = wire.experiment
    experiments_a_search: int = 200
    experiment_order: tuple[str, ...] = ("experiment_id ASC",)
    history_page: int = HISTORY_PAGE
    has_bulk_history: bool = True
    params_a_run: int | None = None
    """The most that a run may have; None for no limit."""
    longest_tag: int = LONGEST_TAG
    deleted_keep_names: bool = True
    """Whether no other experiment may have the name of a deleted one."""
    dialect: Dialect | None = None
    """None: as the server's version has it."""
    is_mlflow: bool = True
    """Whether it is MLflow's own server, with all the kinds of objects that those have."""
