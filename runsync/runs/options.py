"""The options of the verbs on runs where they lie, as `transfer.options` has those that carry them."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated

from runsync.model.option import Option, group
from runsync.options import Artifacts, DryRun, Reaching, Running


@group
class Beside:
    """`others` are (WHERE, RUN) of further places; `also_in` names places in which the same runs (or the selection) are
    looked up too. With `curves` the metric histories are read for drawing."""

    others: Annotated[
        Iterable[tuple[str, str]],
        Option("Add a run from another place.", "WHERE RUN", flag="--with", repeatable=True, values=2),
    ] = ()
    also_in: Annotated[
        Iterable[str], Option("Add the same runs (or selection) from another place.", "WHERE", repeatable=True)
    ] = ()
    lower_is_better: Annotated[
        Collection[str], Option("The lowest value of this metric is the best.", "KEY", repeatable=True)
    ] = ()
    higher_is_better: Annotated[
        Collection[str], Option("The highest value of this metric is the best.", "KEY", repeatable=True)
    ] = ()
    curves: bool = False


@group
class CompareOptions(Beside, Artifacts, Running):
    """Those of `compare_runs`."""


@group
class Fetching:
    """Where files are put, and how those that are there are trusted."""

    into: Annotated[str | Path, Option("Folder to download to; - for stdout.", "DIR", shows_default=True)] = "."
    verify: Annotated[
        bool,
        Option("Also compare files of the same size and time byte by byte, and download those that differ."),
    ] = False


@group
class GetOptions(Fetching, DryRun, Reaching):
    """Those of `get_artifacts`."""


@group
class Again:
    """`repository` (URL or path) goes before what the run says; `model` chooses the model whose environment is
    taken."""

    repository: Annotated[
        str | None, Option("Git repository with the code, if the run does not name one: a URL or a path.", "URL")
    ] = None
    model: Annotated[str | None, Option("Use this model's environment, if the run has several models.", "PATH")] = None
    notebook_folder: Annotated[str, Option("Databricks: clone the notebook into this workspace folder.", "PATH")] = ""
    notebook_only: Annotated[bool, Option("Databricks: do not start or create a cluster.")] = False
    libraries: Annotated[
        bool, Option("Databricks: do not install libraries on a new cluster.", flag="--no-libraries")
    ] = True


@group
class ReproduceOptions(Again, Reaching, DryRun):
    """Those of `reproduce`."""
