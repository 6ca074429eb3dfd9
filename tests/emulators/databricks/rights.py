"""What a caller may do with an experiment and its runs: admins everything, others what the lists say."""

from typing import TYPE_CHECKING

from emulators.databricks.errors import Refusal
from emulators.databricks.permissions import granted_levels, levels_on
from emulators.databricks.routing import Call, Route

if TYPE_CHECKING:
    from emulators.databricks.experiments import Experiment
    from emulators.databricks.users import User
    from emulators.databricks.workspace import Databricks

ORDER = ("CAN_READ", "CAN_RUN", "CAN_EDIT", "CAN_MANAGE")
READS = ("/search", "credentials-for-read", "credentials-for-download")
MANAGES = ("experiments/delete", "experiments/restore", "delete-runs", "restore-runs")


def check(workspace: "Databricks", route: Route, call: Call) -> None:
    """Raises Refusal when the caller may not do this to the experiment that it is about."""
    experiment = _about(workspace, call)
    if experiment is None:
        return
    wanted = _wanted(route)
    if not allowed(workspace, call.user, experiment, wanted):
        raise Refusal(
            "PERMISSION_DENIED",
            f"User {call.user.name} does not have {wanted} permission on experiment {experiment.experiment_id}.",
        )


def allowed(workspace: "Databricks", user: "User", experiment: "Experiment", wanted: str) -> bool:
    """Whether a user has a level, or a higher one, on an experiment."""
    if "admins" in user.groups:
        return True
    levels = granted_levels(workspace, user, experiment)
    return any(ORDER.index(wanted) <= ORDER.index(level) for level in levels if level in ORDER)


def check_folder(workspace: "Databricks", user: "User", path: str) -> None:
    """Raises Refusal when a user may not make something at a path."""
    levels = levels_on(workspace, user, path)
    if "admins" not in user.groups and not {"CAN_EDIT", "CAN_MANAGE"} & set(levels):
        raise Refusal("PERMISSION_DENIED", f"{user.name} does not have Edit permissions on the folder of {path}.")


def _wanted(route: Route) -> str:
    reads = route.method == "GET" or route.path.endswith(READS)
    if route.path.startswith("/api/2.0/permissions/") or route.path.endswith(MANAGES):
        return "CAN_READ" if reads else "CAN_MANAGE"
    return "CAN_READ" if reads else "CAN_EDIT"


def _about(workspace: "Databricks", call: Call) -> "Experiment | None":
    """The experiment that a request is about, if it is about one that is there."""
    fields, tracking = call.fields, workspace.tracking
    found = fields.get("experiment_id") or (fields.get("id") if fields.get("type") == "experiments" else None)
    run = tracking.runs.get(fields.get("run_id") or fields.get("run_uuid") or "")
    model = tracking.models.get(fields.get("model_id", ""))
    if run is not None:
        found = run.experiment_id
    elif model is not None:
        found = model.experiment_id
    return tracking.experiments.get(found) if found else None
