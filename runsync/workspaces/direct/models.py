"""What a store must do that keeps logged models and a model registry; sources and targets are made of it.

Ids, numbers, names, times and users are kept exactly as they are given.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from runsync.kinds.kind import Key
from runsync.kinds.logged_models import LoggedModel
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.kinds.registries import OF_MODELS, Sort
from runsync.workspaces.fitted import Fitted

E = TypeVar("E")

DELETED = "Deleted_Internal"
"""The stage of a version that was deleted: nobody sees it, and its number is not given again."""


@dataclass(frozen=True, slots=True)
class Recorded(Generic[E]):
    """A logged model or a version, and where the store has it that its files lie (a URI)."""

    item: E
    location: str


@dataclass(frozen=True, slots=True)
class RunPlace:
    """A run that is there: its id, experiment and root of artifacts, and its tag `runsync.copy` ("": none)."""

    run_id: str
    experiment_id: str
    artifact_uri: str
    copy: str


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """A logged model that is there: its id and experiment, the root of its files, and its tag `runsync.complete` ("":
    none)."""

    model_id: str
    experiment_id: str
    location: str
    complete: str


@dataclass(frozen=True, slots=True)
class Write(Generic[E]):
    """One to be written as it is, with all its params, tags and metric points. `there` is what the store has of it now:
    tags of the keys in `untagged` are taken away, all else that it has besides stays."""

    item: E
    location: str = ""
    there: E | None = None
    untagged: Sequence[str] = ()


class ModelStore(Protocol):
    """Methods may be called from several threads. What was deleted is not told, unless it is said so."""

    @property
    def kinds(self) -> frozenset[str]:
        """The names of the kinds that it has room for: a store of an older MLflow may not have all."""

    def logged_models(
        self, experiment_ids: Sequence[str], model_ids: Collection[str] = ()
    ) -> Iterator[Recorded[LoggedModel]]:
        """Those of experiments, and those of these ids wherever they are, each once; without their files."""

    def deleted_logged_models(self, experiment_ids: Sequence[str]) -> int:
        """How many of experiments are deleted."""

    def model_places(self, model_ids: Collection[str]) -> Mapping[str, ModelPlace]:
        """The logged models that are there, by these ids: those that have them, else those that tell by their tag that
        they are copies of these."""

    def run_places(self, run_ids: Collection[str]) -> Mapping[str, RunPlace]:
        """The runs that are there, deleted ones too, by their ids."""

    def registered_models(
        self, names: Collection[str] | None = None, sort: Sort = OF_MODELS
    ) -> Iterator[RegisteredModel]:
        """Those of these names, of whatever sort; or all of a sort."""

    def model_versions(
        self, names: Collection[str] | None = None, sort: Sort = OF_MODELS
    ) -> Iterator[Recorded[ModelVersion]]:
        """Those of these registered models, deleted ones too (of the stage DELETED); or those of all of a sort, by name
        and number. A home that is not there is none."""

    def model_aliases(self, names: Collection[str] | None = None, sort: Sort = OF_MODELS) -> Iterator[ModelAlias]:
        """Those of these registered models, or of all of a sort."""

    def unreadable(self, kind: str) -> Mapping[str, str]:
        """Why those of a kind cannot be read that were met when all of them were asked for, by name."""

    def own_place(self, item: ModelVersion) -> str:
        """Where files go that only this version has (a URI that ends with its number and `artifacts`); "" for beside
        the experiments."""

    def fitted(self, item: E) -> Fitted[E]:
        """One of any of these kinds, as it can be there, as far as that shows without writing."""

    def refresh(self) -> None:
        """What is read from now on is as it is now."""

    # Writing: all in one transaction. Raises RequestRefused for what the store cannot take; then nothing was written.

    def write_logged_models(self, writes: Sequence[Write[LoggedModel]]) -> None:
        """Their experiments are there. Of metric points, those of runs that are not there are left out."""

    def move_links(self, model_ids: Mapping[str, str]) -> None:
        """Links of runs to logged models of these ids lead to those that they stand for."""

    def write_registered_models(self, writes: Sequence[Write[RegisteredModel]]) -> None:
        """The last number that one gave out is kept as that of a deleted version, until that version is written."""

    def write_model_versions(self, writes: Sequence[Write[ModelVersion]]) -> None:
        """Their registered models are there."""

    def write_model_aliases(self, aliases: Sequence[ModelAlias]) -> None:
        """They are set, also those that named other versions."""

    def move_model_alias(self, alias: ModelAlias, holder: int | None) -> bool:
        """It is set if it names that version (None: none); else False, and it stays."""

    def tag_model_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """They are set beside those that are there."""

    def tag_registered_model(self, name: str, tags: Mapping[str, str]) -> None:
        """Likewise."""

    def delete(self, kind: str, key: Key) -> None:
        """One that is there, by the name of its kind, as MLflow does it. The number of a version is not given out
        again, a registered model goes with its versions, and aliases go with what they name."""
