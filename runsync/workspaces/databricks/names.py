"""What experiments are called in a Databricks workspace: by absolute paths in its tree of folders."""

from collections.abc import Sequence

from runsync.errors import WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.naming import Naming


def check(experiments: Sequence[Experiment], naming: Naming, home: str) -> None:
    """Raises WrongUsage for a name that is no path, and tells the way out; `home` is the caller's folder."""
    names = naming.among(experiments)
    for experiment in experiments:
        name = names.of(experiment)
        if not name.startswith("/"):
            raise WrongUsage(
                f"“{name}” is no name for an experiment in Databricks, where names are paths: put all into a folder "
                f"with --prefix {home}/imported, or say --rename '{experiment.name}={home}/{experiment.name}'"
            )
        parts = name.split("/")[1:]
        if not all(parts) or {".", ".."} & set(parts):
            raise WrongUsage(
                f"“{name}” is no path in Databricks (it has an empty part, “.” or “..”): say --rename "
                f"'{experiment.name}={home}/NAME'"
            )
