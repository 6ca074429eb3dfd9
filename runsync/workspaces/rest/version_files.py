"""Files of model versions that the target has nowhere else: they are put beside those of a run, from where it serves
them."""

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from runsync.contract.entities import EntitySource
from runsync.contract.source import Source
from runsync.errors import UNAVAILABLE, RequestRefused
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import MODEL_VERSIONS, NEXT, ModelVersion
from runsync.kinds.scope import Scope
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile, Run
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import part
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.links import Links
from runsync.workspaces.rest.model_files import ModelFiles, Parcel
from runsync.workspaces.rest.model_holders import Holders
from runsync.workspaces.rest.server import API

FOLDER = MODEL_VERSIONS.name
"""Below the artifacts of a run: then come the name of the model and the number."""


class VersionFiles:
    """`source` gives the source of the whole transfer, `holders` those runs that have the files of versions without."""

    def __init__(
        self, client: Client, files: ModelFiles, runs: Links, holders: Holders, source: Callable[[], Source]
    ) -> None:
        self._client = client
        self._files = files
        self._runs = runs
        self._holders = holders
        self._source = source

    def bring(
        self, item: ModelVersion, source: EntitySource[ModelVersion], progress: Progress
    ) -> dict[str, Any] | None:
        """Puts the files of a complete version there; gives what its creation is to say, None where the source has no
        files of it. Raises RequestRefused where they did not all arrive."""
        found = self._find(item, source)
        if found is None:
            return None
        of, files, reader = found
        run = self._run(item)
        ids = {item.run_id: run.run_id} if item.run_id and item.run_id != run.run_id else {}
        folder = f"{FOLDER}/{quote(item.model, safe=' ')}/{_folder_of(item)}"
        parcel = Parcel(of, files, run, folder, ids=ids)
        parcel.there = self._files.list(parcel)
        self._files.carry(parcel, reader, progress)
        for problem in parcel.problems:
            why = f"artifact “{problem.name}” of it did not arrive: {problem.reason}"
            raise RequestRefused(why, code=UNAVAILABLE if parcel.retry else "")
        return {"source": f"{run.artifact_uri.rstrip('/')}/{parcel.folder}", "run_id": run.run_id}

    def _run(self, item: ModelVersion) -> Run:
        run_id = self._runs.find(item.run_id) if item.run_id else None
        if run_id is None:
            return self._holders.of(item.model)
        return wire.run(part(self._client.get(f"{API}/runs/get", run_id=run_id), "run"))

    def _find(
        self, item: ModelVersion, source: EntitySource[ModelVersion]
    ) -> tuple[Any, tuple[ArtifactFile, ...], EntitySource[Any]] | None:
        """What the files are of, the files, and who reads them."""
        if item.artifacts:
            return item, item.artifacts, source
        models = self._source().entities(LOGGED_MODELS) if item.home.kind == LOGGED_MODELS.name else None
        if models is not None:
            scope = Scope(is_narrow=True, is_of_runs=True)
            scope.name(LOGGED_MODELS.name, item.home.id)
            for found in models.list(scope):
                whole = models.complete(found)
                start = f"{item.home.path}/" if item.home.path else ""
                files = tuple(file for file in whole.artifacts or () if file.path.startswith(start))
                if files:
                    return whole, files, models
        return None


def _folder_of(item: ModelVersion) -> str:
    """Of one that has no number yet: no other has that."""
    return str(item.version) if item.version != NEXT else hashlib.sha256(item.source.encode()).hexdigest()[:32]
