"""promotions: what was promoted to a registered model and taken back, as its registry tells."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from runsync.bundle.address import Access
from runsync.contract.model_registry import Registered
from runsync.contract.source import Source
from runsync.model.place import Place
from runsync.promotion.history import History, Record
from runsync.threads import WORKERS
from runsync.transfer.places import open_source
from runsync.transfer.registry import registry_of

PARTLY_DONE = 3


@dataclass(slots=True)
class PromotionsReport:
    """`schemas/v1/promotions-report.schema.json`: records by time, and which version each alias names now. `unread` are
    the tags of records that cannot be read: then `exit_code` is 3."""

    place: Place
    model: str
    aliases: Mapping[str, int]
    records: tuple[Record, ...] = ()
    unread: tuple[str, ...] = ()
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """0 all was read, 3 something was not."""
        return PARTLY_DONE if self.unread else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-promotions-report",
            "version": 1,
            "place": asdict(self.place),
            "model": self.model,
            "aliases": dict(self.aliases),
            "records": [record.to_document() for record in self.records],
            "unread": list(self.unread),
            "requests": self.requests,
            "exit_code": self.exit_code,
        }


def promotions(target: str, model: str, *, workers: int = WORKERS, access: Access | None = None) -> PromotionsReport:
    """When what was promoted to a registered model of a workspace or bundle, by whom, from where, and why.

    Raises NothingSelected where there is no such model.
    """
    with open_source(target, "promotions", access=access or Access(), workers=workers) as source:
        registered = _registered(source, model)
        history = History.of(registered)
        report = PromotionsReport(source.place, model, registered.aliases, history.records, history.unread)
        report.requests = source.requests
    return report


def _registered(source: Source, name: str) -> Registered:
    registry = registry_of(source)
    model = registry.model(name)
    return Registered(model, tuple(registry.versions.get(name, ())), registry.aliases.get(name, {}))
