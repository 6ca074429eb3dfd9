"""Who promotes, and what the model was made from, as far as the environment and the run tell."""

import getpass
import os
from dataclasses import dataclass

from runsync.model.run import Run

_WHO = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_REQUESTEDFOR", "CI_COMMIT_AUTHOR")
_COMMIT = ("GITHUB_SHA", "CI_COMMIT_SHA", "BUILD_SOURCEVERSION", "GIT_COMMIT")
_PIPELINE = ("CI_JOB_URL", "BUILD_URL")
OF_RUN = "mlflow.source.git.commit"


@dataclass(frozen=True, slots=True)
class Maker:
    """`commit` is that of the code which the model was trained with, where its run tells; else that of the pipeline.
    `pipeline` is where its log is. Each is "" where nobody tells."""

    by: str
    commit: str
    pipeline: str

    @classmethod
    def of(cls, run: Run | None) -> "Maker":
        """Of GitHub, GitLab, Azure DevOps and Jenkins, else of the user of this machine."""
        commit = run.tags.get(OF_RUN, "") if run is not None else ""
        return cls(_first(_WHO) or _user(), commit or _first(_COMMIT), _first(_PIPELINE) or _of_github())


def _first(names: tuple[str, ...]) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _of_github() -> str:
    parts = [os.environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    return "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without such a user
        return ""
