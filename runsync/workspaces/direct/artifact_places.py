"""Where artifacts of a store may lie: what is recorded, and where that really is."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from runsync.errors import RequestRefused, WrongUsage
from runsync.model.paths import unfit_for_folders
from runsync.model.run import Run
from runsync.workspaces import local_artifacts

SERVED = "mlflow-artifacts:"
EXPERIMENT = "{experiment_id}"
"""Stands in an artifact location for an id that is not known yet."""
OR_WITHOUT = ", or leave them out with --no-artifacts"
SAY_WHERE = f"say with --artifacts where that is (a folder or s3://bucket/prefix){OR_WITHOUT}"
BY_SERVER = f"by an MLflow server (mlflow-artifacts:/), which keeps them in its --artifacts-destination: {SAY_WHERE}"


@dataclass(frozen=True, slots=True)
class Roots:
    """`location` is the artifact location that a new experiment gets, with EXPERIMENT for its id.

    `given` is where the root of the store's artifacts really is ("": where it is recorded), `served` where the root
    lies that a server of this store proxies ("": nobody knows). `moved` finds the folder of a run that is not where its
    record has it, because the whole store was moved. `has_others` tells whether any run is recorded elsewhere than
    below the root that a server proxies.
    """

    location: str
    given: str = ""
    served: str = ""
    moved: Callable[[Run], Path | None] = lambda run: None
    has_others: Callable[[], bool] = lambda: False

    @property
    def recorded(self) -> str:
        """The root as records have it, with a slash at its end; "" where it has no place of its own."""
        root = self.location.removesuffix(EXPERIMENT)
        return root if root != self.location and root.endswith("/") else ""


class ArtifactPlaces:
    """The places of one store."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def new(self, experiment_id: str = EXPERIMENT) -> str:
        """The artifact location of a new experiment."""
        return self._roots.location.replace(EXPERIMENT, experiment_id)

    def root_folder(self) -> Path | None:
        """The folder in which new artifacts are to go, where it is known to be one."""
        served = self._roots.served if self._roots.location.startswith(SERVED) else ""
        return folder_of(self._roots.given or served) if self._roots.given or served else None

    def of(self, uri: str) -> str:
        """Where what is recorded so really lies: an absolute path, a `file:` URI or an `s3://` address.

        Raises RequestRefused where it cannot be reached, and WrongUsage where that goes for all runs and only the user
        can tell.
        """
        if self.is_unplaced(uri):
            if self._has_others:
                raise RequestRefused(f"its artifacts are served {BY_SERVER}")
            raise WrongUsage(f"the artifacts of this store are served {BY_SERVER}")
        if uri.startswith(SERVED):
            return _below(self._roots.given or self._roots.served, urlsplit(uri).path.strip("/"))
        root = self._roots.recorded
        if self._roots.given and root and uri.startswith(root):
            return _below(self._roots.given, uri.removeprefix(root))
        return uri

    def own(self, uri: str) -> str:
        """Where files lie that hang off no run: only where this store keeps artifacts. Raises RequestRefused."""
        place = self.of(uri)
        if place.startswith("s3://"):
            is_inside = self.is_below_root(place)
        else:
            folder = folder_of(place)
            is_inside = folder is not None and self.is_inside(folder)
            if folder is not None and is_inside and not self._leads_inside(folder):
                raise RequestRefused(f"its files are recorded at {uri}, and a link leads from there out of the store")
        if not is_inside:
            raise RequestRefused(f"its files are recorded at {uri}, where this store keeps no artifacts")
        return place

    def is_unplaced(self, uri: str) -> bool:
        """Whether a server proxies it, and nobody knows from where."""
        return uri.startswith(SERVED) and not (self._roots.given or self._roots.served)

    def is_below_root(self, place: str) -> bool:
        """Whether an `s3://` address lies where this store keeps artifacts, or where the user says that they are."""
        roots = (self._roots.given, self._roots.recorded)
        return any(root and place.startswith(f"{root.rstrip('/')}/") for root in roots)

    def is_inside(self, folder: Path) -> bool:
        """Whether a folder lies where this store keeps artifacts, or where the user says that they are."""
        return any(Path(os.path.normpath(folder)).is_relative_to(place) for place in self._places())

    def _leads_inside(self, folder: Path) -> bool:
        """Likewise, of where links on the way to it lead."""
        try:
            return any(folder.resolve().is_relative_to(place.resolve()) for place in self._places())
        except (OSError, RuntimeError):  # a link to itself
            return False

    def _places(self) -> Iterator[Path]:
        roots = (self._roots.given, self._roots.served, self._roots.recorded)
        return (place for root in roots if root and (place := folder_of(root)) is not None)

    @cached_property
    def _has_others(self) -> bool:
        return self._roots.has_others()


def folder_of(root: str) -> Path | None:
    """The folder that a place is; None for an `s3://` address, and where it is none of this machine."""
    return None if root.startswith("s3://") else local_artifacts.folder_of(root)


def _below(root: str, path: str) -> str:
    if path and (reason := unfit_for_folders(path)):
        raise RequestRefused(f"“{path}” is refused as a place of artifacts: {reason}")
    return f"{root.rstrip('/')}/{path}"
