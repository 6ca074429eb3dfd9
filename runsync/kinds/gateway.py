"""What the kinds of MLflow's AI gateway have in common. They are carried with `--gateway`; its secrets never are."""

from typing import TYPE_CHECKING, Annotated

from runsync.kinds.document import D, DocumentKind
from runsync.model.option import Option, group

if TYPE_CHECKING:
    from runsync.kinds.scope import Scope

OPTION = "gateway"


@group
class OfTransfer:
    """An option of `export`, `import_` and `sync`."""

    gateway: Annotated[
        bool, Option("Carry the AI gateway too: models, endpoints, guardrails and budgets, without their secrets.")
    ] = False


@group
class OfVerify:
    """An option of `verify`."""

    gateway: Annotated[bool, Option("Compare the AI gateway too.")] = False


class GatewayKind(DocumentKind[D]):
    """A server gives ids and times of its own, and notes who changed what."""

    opt_in = True
    set_by_servers = ("created_by", "updated_by", "created_at", "updated_at")

    @property
    def option(self) -> str:
        """One for all of them."""
        return OPTION

    def uncompared(self, scope: "Scope", target: str) -> str:
        """They are compared only where they were to be carried."""
        return "" if scope.asked.get(OPTION) else f"--{OPTION} compares them"
