"""What reproduce does in a workspace: the notebook is cloned, and a cluster like the run's is started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runsync.contract.workbench import Clone, Cluster, ClusterOfRun, Library, Workbench
from runsync.errors import RequestRefused
from runsync.model.redact import without_credentials
from runsync.model.run import Run
from runsync.model.wording import many
from runsync.runs.notebook import NotebookText

RUNNING, START, CREATE, NONE = "running", "start", "create", "none"


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """What is (or was) done about a cluster: it is up, is started, or is made; `none` where that cannot be.

    `settings` and `libraries` are those of the run; `installed` are those that are put onto one that stands in for it.
    """

    action: str
    cluster_id: str = ""
    name: str = ""
    page: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    libraries: tuple[Library, ...] = ()
    installed: tuple[Library, ...] = ()


@dataclass(slots=True)
class OnWorkbench:
    """What was done there; `missing` are (what, why)."""

    notebook: Clone | None = None
    cluster: ClusterPlan | None = None
    missing: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def reproduce_there(
    bench: Workbench,
    run: Run,
    notebook: NotebookText | None,
    folder: str,
    with_cluster: bool,
    with_libraries: bool,
    dry_run: bool,
) -> OnWorkbench:
    """Clones the notebook, and has a cluster started. Raises WrongUsage for a folder that is none."""
    done = OnWorkbench()
    if notebook is None:
        done.missing.append(("notebook", "the run names none of the workspace"))
    elif notebook.text is None:
        done.missing.append(("notebook", notebook.why))
    else:
        try:
            done.notebook = bench.clone(notebook.notebook, notebook.text, folder, dry_run)
        except RequestRefused as error:
            done.missing.append(("notebook", str(error)))
    if with_cluster:
        _see_to_cluster(bench, ClusterOfRun.of(run.tags), with_libraries, dry_run, done)
    _tell_attaching(done, dry_run)
    return done


def _see_to_cluster(
    bench: Workbench, wanted: ClusterOfRun, with_libraries: bool, dry_run: bool, done: OnWorkbench
) -> None:
    if not wanted.cluster_id and not wanted.settings:
        done.missing.append(("cluster", "the run does not tell which it had"))
        return
    try:
        own = bench.cluster(wanted.cluster_id) if wanted.cluster_id else None
        if own is not None:
            done.cluster = _up(bench, own, wanted, dry_run)
            return
        there = bench.stand_in(wanted.cluster_id) if wanted.cluster_id else None
        done.cluster = _up(bench, there, wanted, dry_run) if there else _create(bench, wanted, dry_run, done)
        if with_libraries and done.cluster.action != NONE:
            _install(bench, wanted, dry_run, done)
    except RequestRefused as error:
        done.missing.append(("cluster", str(error)))


def _up(bench: Workbench, there: Cluster, wanted: ClusterOfRun, dry_run: bool) -> ClusterPlan:
    if not there.is_up and not dry_run:
        bench.start(there)
    action = RUNNING if there.is_up else START
    return ClusterPlan(
        action, there.cluster_id, there.name, there.page, bench.settings(wanted), _shown(wanted.libraries)
    )


def _create(bench: Workbench, wanted: ClusterOfRun, dry_run: bool, done: OnWorkbench) -> ClusterPlan:
    settings, libraries = bench.settings(wanted), _shown(wanted.libraries)
    if "spark_version" not in settings:
        done.missing.append(("cluster", f"{wanted.cluster_id} is gone, and the run does not tell what it was made of"))
        return ClusterPlan(NONE, wanted.cluster_id, settings=settings, libraries=libraries)
    left = sorted(wanted.settings.keys() - settings.keys())
    if left:
        done.notes.append(f"a new cluster does not get {', '.join(left)}: these are no settings that can be given")
    if dry_run:
        return ClusterPlan(CREATE, "", str(settings.get("cluster_name", "")), "", settings, libraries)
    made = bench.create(wanted)
    return ClusterPlan(CREATE, made.cluster_id, made.name, made.page, settings, libraries)


def _install(bench: Workbench, wanted: ClusterOfRun, dry_run: bool, done: OnWorkbench) -> None:
    """On a cluster that stands in for the run's: what is there already is not installed again."""
    assert done.cluster is not None
    if wanted.redacted:
        left = many(len(wanted.redacted), "library")
        done.notes.append(f"not told, and not installed, as Databricks redacted them: {left} of the run")
    if not wanted.libraries:
        return
    try:
        if not dry_run:
            bench.install(done.cluster.cluster_id, wanted.libraries)
        done.cluster = replace(done.cluster, installed=_shown(wanted.libraries))
    except RequestRefused as error:
        done.missing.append(("libraries", str(error)))


def _shown(libraries: Sequence[Library]) -> tuple[Library, ...]:
    """As they may stand in a report: the address of a package or an index may hold a token."""
    shown: tuple[Library, ...] = _without_credentials(tuple(libraries))
    return shown


def _without_credentials(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_credentials(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_without_credentials(each) for each in value)
    return without_credentials(value) if isinstance(value, str) and "://" in value else value


def _tell_attaching(done: OnWorkbench, dry_run: bool) -> None:
    """Nothing in the public API attaches a notebook to a cluster."""
    if done.notebook is None or done.cluster is None or done.cluster.action == NONE:
        return
    if dry_run:
        done.notes.append("no public API attaches a notebook to a cluster: the link to do it will be shown")
        return
    name = done.cluster.name or done.cluster.cluster_id
    done.notes.append(
        f"no public API attaches a notebook to a cluster: open {done.notebook.page} and choose “{name}” there"
    )
