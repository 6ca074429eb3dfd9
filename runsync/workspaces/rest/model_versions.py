"""Versions of registered models of a server, or of its prompts, as a source."""

from collections.abc import Iterator, Sequence
from typing import Any

from runsync.contract.entities import OneByOne
from runsync.kinds.model_versions import FAILED, NO_STAGE, PENDING, READY, ModelVersion, home_of
from runsync.kinds.registries import OF_MODELS, Sort
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile
from runsync.workspaces.http import Care, Client
from runsync.workspaces.http.fields import Json, identifier, number, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.listing import Listing
from runsync.workspaces.rest.model_homes import ModelHomes
from runsync.workspaces.rest.registered_models import OF_TAG, RegisteredModelSource
from runsync.workspaces.rest.search import quotable
from runsync.workspaces.rest.server import API

PAGE = 10_000
STATUSES = frozenset({PENDING, READY, FAILED})


@wire.strict
def model_version(document: Json) -> ModelVersion:
    """A version of model-versions/search or get. Raises OddAnswer."""
    source, run_id = text(document, "source", ""), text(document, "run_id", "")
    return ModelVersion(
        model=identifier(document, "name"),
        version=number(document, "version"),
        source=source,
        home=home_of(source, run_id),
        run_id=run_id,
        run_link=text(document, "run_link", ""),
        description=text(document, "description", ""),
        tags=wire.pairs(document, "tags"),
        stage=text(document, "current_stage", "") or NO_STAGE,
        status=wire.one_of(STATUSES, document, "status", READY),
        status_message=text(document, "status_message", ""),
        user_id=text(document, "user_id", ""),
        created_at=wire.moment(document, "creation_timestamp"),
        updated_at=wire.moment(document, "last_updated_timestamp"),
    )


class ModelVersionSource(OneByOne):
    """See `EntitySource`. `models` are those that they are versions of; with `by_model` versions are listed for one of
    them at a time only. With `homes` those are read that hang off nothing which is there."""

    is_exact = False

    def __init__(
        self,
        client: Client,
        models: RegisteredModelSource,
        by_model: bool = False,
        homes: ModelHomes | None = None,
        sort: Sort = OF_MODELS,
    ) -> None:
        self._client = client
        self._models = models
        self._is_by_model = by_model
        self._homes = homes
        self._sort = sort
        self._listing = Listing(
            client,
            sort.versions,
            PAGE,
            lambda found: f"{found.get('name')}/{found.get('version')}",
            is_by_tag=sort.are_prompts,
        )

    def list(self, scope: Scope) -> Iterator[ModelVersion]:
        """See `EntitySource`."""
        meant = (found for found in self.all() if self._sort.versions.meant(found, scope) is not None)
        return meant if self._homes is None else map(self._homes.true_home, meant)

    def all(self) -> Iterator[ModelVersion]:
        """All of this sort, newest first."""
        found: Iterator[ModelVersion]
        if self._is_by_model:
            found = (version for model, _ in self._models.all() for version in self.of_model(model.name))
        elif self._models.are_none:
            found = iter(())
        else:
            found = self._of(OF_TAG if self._sort.are_prompts else {})
        return (version for version in found if self._sort.has(version.tags))

    def of_model(self, name: str) -> Iterator[ModelVersion]:
        """Those of one model."""
        named = f"name='{quotable(name)}'"
        return self._of({"filter": f"{named} AND {OF_TAG['filter']}" if self._sort.are_prompts else named})

    def _of(self, asked: Json) -> Iterator[ModelVersion]:
        def send(care: Care, most: Json) -> dict[str, Any]:
            return self._client.get(f"{API}/model-versions/search", care=care, **asked, **most)

        return self._listing.each("model_versions", send, model_version)

    def complete(self, item: ModelVersion) -> ModelVersion:
        """See `ModelHomes.complete`; else a listing tells all."""
        return item if self._homes is None else self._homes.complete(item)

    def read(self, item: ModelVersion) -> tuple[ModelVersion, Iterator[bytes]]:
        """It may have files."""
        return item, iter(())

    def read_file(self, item: ModelVersion, file: ArtifactFile) -> Iterator[bytes]:
        """See `EntitySource`."""
        if self._homes is None:
            raise NotImplementedError
        return self._homes.read_file(item, file)

    @property
    def lacks_kind(self) -> bool:
        """See `MayLackTheKind`."""
        return self._listing.lacks_kind

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What the server does not tell."""
        return [*self._listing.left(), *(self._homes.left() if self._homes is not None else ())]
