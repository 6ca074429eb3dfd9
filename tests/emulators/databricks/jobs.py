"""One-time runs of jobs: a notebook, from the workspace or from a Git repository, on a cluster."""

from typing import TYPE_CHECKING, Any

from emulators.databricks.clusters import CREATE, LIBRARY
from emulators.databricks.errors import invalid
from emulators.databricks.fields import Message, anything, choice, integer, many, message, text
from emulators.databricks.routing import Call, Route

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks


def submit(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Starts a run of some tasks."""
    tasks = call.fields.get("tasks", [])
    if not tasks or len({task["task_key"] for task in tasks}) < len(tasks):
        raise invalid("There must be tasks, each with a task_key of its own")
    for task in tasks:
        _check(workspace, task, call.fields.get("git_source"))
    run_id = workspace.new_id()
    workspace.job_runs[run_id] = dict(call.fields)
    return {"run_id": run_id}


def _check(workspace: "Databricks", task: dict[str, Any], git: dict[str, Any] | None) -> None:
    if "existing_cluster_id" in task:
        workspace.clusters.need(task["existing_cluster_id"])
        if "new_cluster" in task:
            raise invalid("Only one of existing_cluster_id and new_cluster may be given")
    notebook = task["notebook_task"]
    from_git = notebook.get("source", "GIT" if git else "WORKSPACE") == "GIT"
    if from_git and git is None:
        raise invalid("A notebook of source GIT needs git_source")
    if from_git and notebook["notebook_path"].startswith("/"):
        raise invalid("A notebook path in a Git repository must be relative")
    if not from_git:
        workspace.tree.need(notebook["notebook_path"])


def get_run(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One run of a job, which has ended well."""
    run_id = call.fields["run_id"]
    if run_id not in workspace.job_runs:
        raise invalid(f"Run {run_id} does not exist.")
    state = {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS", "state_message": ""}
    page = f"{workspace.url}/?o={workspace.workspace_id}#job/runs/{run_id}"
    return {"run_id": run_id, "run_name": workspace.job_runs[run_id].get("run_name", "Untitled"), "state": state} | {
        "run_page_url": page
    }


PROVIDER = choice(
    "gitHub",
    "gitHubEnterprise",
    "gitLab",
    "gitLabEnterpriseEdition",
    "bitbucketCloud",
    "bitbucketServer",
    "azureDevOpsServices",
    "awsCodeCommit",
)
GIT = message(
    "git_url git_provider", git_url=text, git_provider=PROVIDER, git_branch=text, git_tag=text, git_commit=text
)
NOTEBOOK = message(
    "notebook_path",
    notebook_path=text,
    base_parameters=anything,
    source=choice("WORKSPACE", "GIT"),
    warehouse_id=text,
)
NEW = Message(dict(CREATE.fields), CREATE.required)
TASK = message(
    "task_key notebook_task",
    task_key=text,
    notebook_task=NOTEBOOK,
    existing_cluster_id=text,
    new_cluster=NEW,
    libraries=many(LIBRARY),
    description=text,
    timeout_seconds=integer,
    environment_key=text,
    depends_on=anything,
)
SUBMIT = message(
    run_name=text,
    tasks=many(TASK),
    git_source=GIT,
    timeout_seconds=integer,
    idempotency_token=text,
    access_control_list=anything,
    environments=anything,
    run_as=anything,
    queue=anything,
)
GET = message("run_id", run_id=integer, include_history=anything, include_resolved_values=anything, page_token=text)
ROUTES = (
    Route("POST", "/api/2.2/jobs/runs/submit", submit, SUBMIT, rate="jobs-submit"),
    Route("GET", "/api/2.2/jobs/runs/get", get_run, GET, rate="jobs"),
)
