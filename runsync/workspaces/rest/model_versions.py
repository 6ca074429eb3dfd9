"""Versions of registered models of a server as a source."""

from collections.abc import Iterator, Sequence
from typing import Any

from runsync.kinds.model_versions import FAILED, MODEL_VERSIONS, NO_STAGE, PENDING, READY, ModelVersion, home_of
from runsync.kinds.registered_models import IS_PROMPT
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile
from runsync.workspaces.http import Care, Client
from runsync.workspaces.http.fields import Json, identifier, number, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.listing import Listing
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


class ModelVersionSource:
    """See `EntitySource`."""

    is_exact = False

    def __init__(self, client: Client) -> None:
        self._client = client
        self._listing = Listing(
            client, MODEL_VERSIONS, PAGE, lambda found: f"{found.get('name')}/{found.get('version')}"
        )

    def list(self, scope: Scope) -> Iterator[ModelVersion]:
        """See `EntitySource`."""
        return (found for found in self.all() if MODEL_VERSIONS.meant(found, scope) is not None)

    def all(self) -> Iterator[ModelVersion]:
        """All but those of prompts, newest first."""

        def send(care: Care, most: Json) -> dict[str, Any]:
            return self._client.get(f"{API}/model-versions/search", care=care, **most)

        found = self._listing.each("model_versions", send, model_version)
        return (version for version in found if version.tags.get(IS_PROMPT, "").lower() != "true")

    def complete(self, item: ModelVersion) -> ModelVersion:
        """A listing tells all."""
        return item

    def read(self, item: ModelVersion) -> tuple[ModelVersion, Iterator[bytes]]:
        """It may have files."""
        return item, iter(())

    def read_file(self, item: ModelVersion, file: ArtifactFile) -> Iterator[bytes]:
        """See `EntitySource`."""
        raise NotImplementedError

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What the server does not tell."""
        return self._listing.left()


def _called(document: Json) -> str:
    return f"{document.get('name')}/{document.get('version')}"
