"""Webhooks: addresses that are told when something happens to models and prompts. Their secrets are not carried."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from runsync.kinds.document import Document, DocumentKind
from runsync.kinds.kind import Key
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.model.option import Option, group

if TYPE_CHECKING:
    from runsync.kinds.scope import Scope

ACTIVE, DISABLED = "ACTIVE", "DISABLED"


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What happens to what, in MLflow's words, such as `created` and `model_version`."""

    entity: str
    action: str


@dataclass(frozen=True, slots=True)
class Webhook(Document):
    """Times are in epoch milliseconds."""

    webhook_id: str
    name: str
    url: str
    description: str = ""
    events: tuple[WebhookEvent, ...] = ()
    status: str = ACTIVE
    created_at: int | None = None
    updated_at: int | None = None

    @property
    def key(self) -> Key:
        """Ids are global."""
        return (self.webhook_id,)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Webhook":
        """See `Entity`."""
        return cls(**{**document, "events": tuple(WebhookEvent(**event) for event in document["events"])})


@group
class OfTransfer:
    """An option of `export`, `import_` and `sync`."""

    webhooks: Annotated[
        bool, Option("Carry webhooks too: without their secrets, and disabled until somebody enables them.")
    ] = False


@group
class OfVerify:
    """An option of `verify`."""

    webhooks: Annotated[bool, Option("Compare webhooks too.")] = False


class _Webhooks(DocumentKind[Webhook]):
    name = "webhooks"
    noun = "webhook"
    entity = Webhook
    requires = (MODEL_ALIASES.name,)
    opt_in = True
    id_field = "webhook_id"
    set_by_servers = ("created_at", "updated_at")
    kept_back = "disabled, and without their secrets, which nobody can read"

    def place(self, item: Webhook) -> Key:
        """Names are not unique."""
        return (item.name, item.url)

    def new(self, item: Webhook) -> Webhook:
        """A new one is disabled: an import is not to fire it."""
        return replace(item, status=DISABLED)

    def joined(self, item: Webhook, there: Webhook) -> Webhook:
        """One that is there stays enabled or disabled as it is."""
        return replace(item, status=there.status)

    def lacks(self, wanted: Webhook, there: Webhook) -> Any:
        """Whether it is enabled is a matter of the workspace."""
        return super().lacks(self.joined(wanted, there), there)

    def uncompared(self, scope: "Scope", target: str) -> str:
        """They are compared only where they were to be carried."""
        return "" if scope.asked.get(self.name) else "--webhooks compares them"


WEBHOOKS = _Webhooks()
