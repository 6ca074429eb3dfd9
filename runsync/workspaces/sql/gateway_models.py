"""Model definitions of the AI gateway in the database. Of secrets only names and providers are read: their values are
encrypted with a key of their server."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runsync.kinds.gateway_models import GatewayModel
from runsync.workspaces.fitted import Fitted
from runsync.workspaces.sql.documents import Row, Rows, Shape
from runsync.workspaces.sql.gateway import authors, by
from runsync.workspaces.sql.part import Part

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SECRETS = "secrets"


class GatewayModels(Shape[GatewayModel]):
    """See `Shape`. A secret has its id here, and its name elsewhere."""

    table = "model_definitions"
    id = "model_definition_id"
    children = ()

    def item(self, row: Row, children: Rows) -> GatewayModel:
        """See `Shape`."""
        told = (row["model_definition_id"], row["name"], row["provider"], row["model_name"], row["secret_id"] or "")
        return GatewayModel(*told, **authors(row))

    def rows(self, item: GatewayModel) -> Rows:
        """See `Shape`."""
        row = {
            "model_definition_id": item.model_definition_id,
            "name": item.name,
            "provider": item.provider,
            "model_name": item.model_name,
            "secret_id": item.secret_name or None,
            **by(item),
        }
        return {self.table: [row]}

    def fitted(
        self, part: Part, connection: "Connection", items: Sequence[GatewayModel]
    ) -> Sequence[Fitted[GatewayModel]]:
        """See `Shape`. With the secrets that are there."""
        providers = {name: provider for _, name, provider in _secrets(part, connection)}

        def fit(item: GatewayModel) -> GatewayModel:
            provider = providers.get(item.secret_name)
            return item if provider is not None and item.may_use(provider) else replace(item, secret_name="")

        return [Fitted(fit(item)) for item in items]

    def prepared(self, part: Part, connection: "Connection", item: GatewayModel) -> GatewayModel:
        """See `Shape`."""
        return _named(item, {name: id for id, name, _ in _secrets(part, connection)})

    def read(self, part: Part, connection: "Connection", items: Sequence[GatewayModel]) -> Sequence[GatewayModel]:
        """See `Shape`."""
        names = {id: name for id, name, _ in _secrets(part, connection)} if items else {}
        return [_named(item, names) for item in items]


def _named(item: GatewayModel, names: Mapping[str, str]) -> GatewayModel:
    return replace(item, secret_name=names.get(item.secret_name, ""))


def _secrets(part: Part, connection: "Connection") -> list[tuple[str, str, str]]:
    """Ids, names and providers ("": any)."""
    from sqlalchemy import select

    table = part.table(_SECRETS)
    asked = select(table.c.secret_id, table.c.secret_name, table.c.provider).where(*part.here(table))
    return [(row.secret_id, row.secret_name, row.provider or "") for row in connection.execute(asked)]
