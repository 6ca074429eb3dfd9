"""Notebooks and permissions of a Databricks workspace, as source and target: see `notebooks` and `permissions`."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor

from runsync.model import left_behind as kinds
from runsync.model.experiment import Experiment
from runsync.model.import_options import ImportOptions
from runsync.model.lineage import is_copy
from runsync.model.objects import NOTEBOOKS, PERMISSIONS, Named, Notebook, Object, Permissions
from runsync.model.progress import Progress
from runsync.model.protocol import NAMED, NotCarried, ObjectSource, Outcome
from runsync.workspaces.databricks.notebooks import Notebooks, NotebookTarget
from runsync.workspaces.databricks.permissions import PermissionsTarget, read_permissions
from runsync.workspaces.http import Client

SOURCE_ID = "mlflow.experiment.sourceId"


class DatabricksObjects:
    """See `model.protocol.ObjectSource`."""

    kinds = (PERMISSIONS, NOTEBOOKS)
    are_copies = False
    notebook_formats = ()

    def __init__(self, client: Client) -> None:
        self._client = client
        self._notebooks = Notebooks(client)
        self._in_git_folders: dict[str, str] = {}
        """Ids of notebooks, by those of their experiments."""

    def list(self, kind: str, experiments: Sequence[Experiment], named: Named) -> Iterator[Object]:
        """Permissions of every experiment; the notebooks that runs name, in the formats asked for."""
        if kind == NOTEBOOKS:
            yield from named.wanted()
        else:
            natives = [e for e in experiments if not is_copy(e)]
            self._in_git_folders = {e.experiment_id: e.tags[SOURCE_ID] for e in natives if SOURCE_ID in e.tags}
            yield from (Permissions(e.experiment_id, e.name) for e in experiments)

    def complete(self, item: Object) -> Object:
        """See `ObjectSource`."""
        if isinstance(item, Notebook):
            return self._notebooks.complete(item)
        assert isinstance(item, Permissions)
        return read_permissions(self._client, item, self._in_git_folders.get(item.experiment_id, ""))

    def read(self, item: Object) -> tuple[Object, Iterator[bytes]]:
        """See `ObjectSource`."""
        assert isinstance(item, Notebook)
        read, text = self._notebooks.read(item)
        return read, iter((text,))

    def left_behind(self, named: Named) -> Sequence[NotCarried]:
        """Notebooks that were not asked for, and those that a run names by nothing but an id."""
        left = []
        if not named.formats and named.notebooks:
            names = tuple(sorted({notebook.path for notebook in named.notebooks})[:NAMED])
            left.append(kinds.NOTEBOOKS.left(len(named.notebooks), "they were not asked for", names))
        if named.pathless:
            why = "the run does not tell its path"
            left.append(kinds.NOTEBOOKS.left(len(named.pathless), why, tuple(named.pathless[:NAMED])))
        return left


class DatabricksObjectTarget:
    """See `model.protocol.ObjectTarget`. `target_id` gives the target's id of an experiment, "" before it is made."""

    def __init__(self, client: Client, target_id: Callable[[str], str], options: ImportOptions) -> None:
        self._notebooks = NotebookTarget(client, options.notebook_folder)
        self._permissions = PermissionsTarget(client, target_id, options.permissions)

    def plan(self, items: Sequence[Object], source: ObjectSource, pool: Executor) -> list[Outcome]:
        """See `ObjectTarget`."""
        notebooks, permissions = _by_kind(items)
        return self._notebooks.plan(notebooks, source, pool) + self._permissions.plan(permissions, source, pool)

    def put(self, items: Sequence[Object], source: ObjectSource, pool: Executor, progress: Progress) -> list[Outcome]:
        """See `ObjectTarget`."""
        notebooks, permissions = _by_kind(items)
        done = self._notebooks.put(notebooks, source, pool, progress)
        return done + self._permissions.put(permissions, source, pool)

    def left(self) -> list[NotCarried]:
        """See `ObjectTarget`."""
        return self._notebooks.left() + self._permissions.left()


def _by_kind(items: Sequence[Object]) -> tuple[list[Notebook], list[Permissions]]:
    notebooks = [item for item in items if isinstance(item, Notebook)]
    return notebooks, [item for item in items if isinstance(item, Permissions)]
