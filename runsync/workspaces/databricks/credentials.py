"""Signed addresses of artifact files, which the workspace gives out for many files at a time.

They are good for some minutes (how many is not told): one that is refused is asked for again. As a whole each of them
is a secret.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock
from typing import Any, Literal

from runsync.errors import RequestRefused
from runsync.workspaces.clouds.credential import Credential, Pass
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import pages, part, text
from runsync.workspaces.rest.server import API

FILES_A_REQUEST = 50
"""As MLflow's client asks for, so that the last is used before it expires; 2000 are permitted."""
MOST_KEPT = 200
"""Runs and models whose files are remembered to be asked for together."""

Way = Literal["read", "write"]
Kind = Literal["run", "model"]
RUN: Kind = "run"
MODEL: Kind = "model"
Owner = tuple[Kind, str]
"""What the files are of, and its id."""
_OF_MODELS = {"read": ("download", "credentials", "paths"), "write": ("upload", "credentials", "paths")}
"""As the endpoints of logged models have it: how they end, the list in their answers, and that in what they are
asked."""


class Credentials:
    """Those of all runs and logged models of one workspace."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._folders: OrderedDict[tuple[Owner, Way], _Folder] = OrderedDict()
        self._lock = Lock()

    def expect(self, owner: Owner, way: Way, paths: Iterable[str]) -> None:
        """These files will be read (written), most likely in this order: they are asked for together."""
        with self._lock:
            self._keep(owner, way, _Folder(paths))

    def of(self, owner: Owner, way: Way, path: str) -> Pass:
        """What lets one file through. Raises RequestRefused."""
        with self._lock:
            folder = self._folders.get((owner, way)) or self._keep(owner, way, _Folder(()))
        with folder.lock:
            found = folder.ready.pop(path, None)
            era = folder.era
            if found is None:
                found = self._fetch(folder, owner, way, path)
        return Pass(found, lambda: self._again(folder, era, owner, way, path))

    def _keep(self, owner: Owner, way: Way, folder: "_Folder") -> "_Folder":
        self._folders[owner, way] = folder
        while len(self._folders) > MOST_KEPT:
            self._folders.popitem(last=False)
        return folder

    def _again(self, folder: "_Folder", era: int, owner: Owner, way: Way, path: str) -> Credential:
        """One that was refused for its age; those that were given out with it are as old."""
        with folder.lock:
            if folder.era == era:
                folder.put_back()
            return self._fetch(folder, owner, way, path)

    def _fetch(self, folder: "_Folder", owner: Owner, way: Way, path: str) -> Credential:
        told = self._ask(owner, way, folder.next_after(path))
        found = told.pop(path, None)
        folder.ready.update(told)
        if found is None:
            raise RequestRefused(f"the workspace gives no credential to {way} artifact “{path}”")
        return found

    def _ask(self, owner: Owner, way: Way, paths: Sequence[str]) -> dict[str, Credential]:
        kind, id = owner
        place, listed_in, asked = _OF_MODELS[way] if kind == MODEL else (way, "credential_infos", "path")
        base = f"{API}/logged-models/{id}/artifacts" if kind == MODEL else f"{API}/artifacts"
        named = {} if kind == MODEL else {"run_id": id}

        def ask(token: str) -> dict[str, Any]:
            body = {**named, asked: list(paths), **({"page_token": token} if token else {})}
            return self._client.post(f"{base}/credentials-for-{place}", body)

        found: dict[str, Credential] = {}
        for told in pages(ask, listed_in):
            infos = [part(info, "credential_info") for info in told] if kind == MODEL else told
            found.update((text(info, "path"), Credential.of(info)) for info in infos)
            if not told:
                break
        return found


class _Folder:
    """The files of one run or model that are still to come, and the credentials that are there for them."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.ready: dict[str, Credential] = {}
        self.lock = Lock()
        self.era = 0
        self._waiting = dict.fromkeys(paths)

    def put_back(self) -> None:
        """The credentials that are there are too old: they are to come again."""
        self.era += 1
        self._waiting = {**dict.fromkeys(self.ready), **self._waiting}
        self.ready.clear()

    def next_after(self, path: str) -> list[str]:
        """This file, and those that come after it."""
        self._waiting.pop(path, None)
        some = list(self._some())
        for each in some:
            del self._waiting[each]
        return [path, *some]

    def _some(self) -> Iterator[str]:
        for _, each in zip(range(FILES_A_REQUEST - 1), self._waiting, strict=False):
            yield each
