"""Files of model versions on a server that hang off no run or logged model which is there."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from threading import Lock
from urllib.parse import urlsplit

from runsync.errors import ABSENT, RequestRefused, may_pass
from runsync.kinds.kind import Key
from runsync.kinds.left_behind import ELSEWHERE, GONE, changed
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import MODEL_VERSIONS, Home, ModelVersion, home_of_location
from runsync.model.ids import is_given_out
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.redact import without_credentials
from runsync.model.run import ArtifactFile, Problem, Run
from runsync.model.selection import RUNS
from runsync.workspaces.http import OPTIONAL, Client
from runsync.workspaces.http.fields import text
from runsync.workspaces.places import Places
from runsync.workspaces.rest.artifacts import Artifacts, ByAddress, Root, is_by_address
from runsync.workspaces.rest.server import API
from runsync.workspaces.s3_artifacts import NoAccess

OF_OTHERS = ("runs:/", "models:/")
"""How an address begins that only leads to a run or a logged model."""


SHARED = frozenset({"s3", "s3a", "gs", "wasbs", "abfss", "hdfs", "dbfs", "r2", "b2"})
"""Schemes of places that a server and its clients get at from anywhere."""
MANAGED = "dbfs:/databricks/"


def is_shared(source: str) -> bool:
    """Whether a place is one that a server and its clients get at from anywhere: not so what a workspace of Databricks
    manages itself."""
    return urlsplit(source).scheme in SHARED and not source.startswith(MANAGED)


class Met:
    """Runs that were read, in 8 bytes each."""

    def __init__(self) -> None:
        self._ids = array("Q")
        self._is_sorted = True
        self._lock = Lock()

    def note(self, runs: Iterable[Run]) -> None:
        """These are there."""
        ids = [int(run.run_id[:16], 16) for run in runs if is_given_out(run.run_id)]
        with self._lock:
            self._ids.extend(ids)
            self._is_sorted = False

    def __bool__(self) -> bool:
        return bool(self._ids)

    def __contains__(self, run_id: str) -> bool:
        if not is_given_out(run_id):
            return False
        wanted = int(run_id[:16], 16)
        with self._lock:
            if not self._is_sorted:
                self._ids, self._is_sorted = array("Q", sorted(self._ids)), True
            place = bisect_left(self._ids, wanted)
            return place < len(self._ids) and self._ids[place] == wanted


class ModelHomes:
    """`met` are the runs that were read so far; `has_model` tells whether a logged model is there."""

    def __init__(
        self, client: Client, store: Artifacts, by_address: ByAddress, met: Met, has_model: Callable[[str], bool]
    ) -> None:
        self._client = client
        self._store = store
        self._by_address = by_address
        self._met = met
        self._has_model = has_model
        self._there: dict[Home, bool] = {}
        self._places = Places(self._look_up)
        self._gone: set[str] = set()
        self._elsewhere: dict[str, str] = {}

    def true_home(self, item: ModelVersion) -> ModelVersion:
        """Without the home that its source names, where that is not there any more. Only where runs were read is it
        looked for: else each version would take a request."""
        return item if not self._met or self._is_home(item) else replace(item, home=Home())

    def complete(self, item: ModelVersion) -> ModelVersion:
        """With files of its own, where it hangs off nothing that is there. What lies on S3 where we have no access, or
        where no model is, stays there. Raises RequestRefused."""
        if self._is_home(item):
            return item
        item = replace(item, home=Home())
        uri = self._places.of(item.key)
        try:
            files = () if uri.startswith(OF_OTHERS) else self._files(uri, item)
        except RequestRefused as error:
            if isinstance(error, NoAccess) and is_shared(uri):
                self._elsewhere[item.name] = str(error)
                return item
            if may_pass(error):
                raise
            return replace(item, artifacts=(), problems=(Problem("artifact", "", str(error)),))
        if not files:
            self._gone.add(item.name)
        return replace(item, artifacts=files or None)

    def read_file(self, item: ModelVersion, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one of those files."""
        file.check()
        uri = self._places.of(item.key)
        if is_by_address(uri):
            return self._by_address.read_at(uri, file)
        owner, folder = _owner(uri, item)
        return self._store.read(owner, replace(file, path=_below(folder, file.path)))

    def left(self) -> list[NotCarried]:
        """Files that the source has no longer, and those that stay where they lie."""
        left = []
        if self._gone:
            why = "the runs or logged models that they were made of are not there any more"
            names = tuple(sorted(self._gone)[:NAMED])
            left.append(changed(f"files of {MODEL_VERSIONS.category.title} {GONE}", len(self._gone), why, names))
        if self._elsewhere:
            names = tuple(sorted(self._elsewhere)[:NAMED])
            why = f"they are loaded from there: {self._elsewhere[names[0]]}"
            what = f"files of {MODEL_VERSIONS.category.title} {ELSEWHERE}"
            left.append(changed(what, len(self._elsewhere), why, names))
        return left

    def _is_home(self, item: ModelVersion) -> bool:
        """Whether it hangs off something that is there, deleted or not. What is not shown to us may be."""
        home = replace(item.home, path="")
        if home.kind == RUNS and home.id in self._met:
            return True
        if home.kind not in (RUNS, LOGGED_MODELS.name):
            return bool(home.kind)
        if home not in self._there:
            self._there[home] = self._has_run(home.id) if home.kind == RUNS else self._has_model(home.id)
        return self._there[home]

    def _has_run(self, run_id: str) -> bool:
        try:
            self._client.get(f"{API}/runs/get", care=OPTIONAL, run_id=run_id)
        except RequestRefused as error:
            return error.code != ABSENT
        return True

    def _look_up(self, key: Key) -> str:
        path = f"{API}/model-versions/get-download-uri"
        return text(self._client.get(path, name=key[0], version=str(int(key[1]))), "artifact_uri", "")

    def _files(self, uri: str, item: ModelVersion) -> tuple[ArtifactFile, ...]:
        if is_by_address(uri):
            return self._by_address.list_at(uri)
        owner, folder = _owner(uri, item)
        if not owner.artifact_uri:
            raise NoAccess(f"runsync does not read {without_credentials(uri)}")
        start = f"{folder}/" if folder else ""
        below = (file for file in self._store.list(owner) if file.path.startswith(start))
        return tuple(replace(file, path=file.path.removeprefix(start)) for file in below)


def _owner(uri: str, item: ModelVersion) -> tuple[Run | Root, str]:
    """What has the files of a version that lies in a folder of this machine, and the folder below it; the address is ""
    where that is no such place as MLflow makes."""
    home = home_of_location(uri, item.run_id)
    root = uri.rstrip("/").removesuffix(f"/{home.path}") if home.kind else ""
    return (Root(home.id, root) if home.kind == LOGGED_MODELS.name else Run(home.id, "", artifact_uri=root)), home.path


def _below(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path
