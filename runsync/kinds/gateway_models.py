"""Model definitions of the AI gateway: a model of a provider, and the name of the secret with which it is called."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runsync.kinds.document import Document
from runsync.kinds.gateway import GatewayKind
from runsync.kinds.kind import Key
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.traces import TRACES

if TYPE_CHECKING:
    from runsync.model.comparison import FieldChange


@dataclass(frozen=True, slots=True)
class GatewayModel(Document):
    """`secret_name` is "" for one without a secret, which MLflow does not call. Times are in epoch milliseconds."""

    model_definition_id: str
    name: str
    provider: str
    model_name: str
    secret_name: str = ""
    created_by: str = ""
    updated_by: str = ""
    created_at: int | None = None
    updated_at: int | None = None

    @property
    def key(self) -> Key:
        """Ids are global."""
        return (self.model_definition_id,)

    def may_use(self, provider: str) -> bool:
        """Whether a secret of its name, for that provider ("": for any), may be the one that is meant: a key is not
        sent to a provider that it is not of."""
        return provider in ("", self.provider)


class _GatewayModels(GatewayKind[GatewayModel]):
    name = "gateway-model-definitions"
    noun = "gateway model definition"
    entity = GatewayModel
    requires = (MODEL_ALIASES.name, TRACES.name)
    part_of = "gateway-endpoints"
    id_field = "model_definition_id"
    kept_back = "with the secret of the same name that the target has, else with none"

    def place(self, item: GatewayModel) -> Key:
        """A workspace has each name once."""
        return (item.name,)

    def joined(self, item: GatewayModel, there: GatewayModel) -> GatewayModel:
        """One that is there keeps its secret where the target has none of that name."""
        return replace(item, secret_name=item.secret_name or there.secret_name)

    def is_behind(self, there: GatewayModel, wanted: GatewayModel) -> bool:
        """Also where the target has got its secret since."""
        return there.secret_name != wanted.secret_name or super().is_behind(there, wanted)

    def lacks(self, wanted: GatewayModel, there: GatewayModel) -> Iterator["FieldChange"]:
        """Which secret it has is a matter of the workspace."""
        yield from super().lacks(replace(wanted, secret_name=there.secret_name), there)


GATEWAY_MODELS = _GatewayModels()
