"""Options of verbs that are about one kind: each is declared with its kind."""

from collections.abc import Iterable
from typing import Any

from runsync.errors import WrongUsage
from runsync.kinds import CARRIED, gateway, notebooks, permissions, redaction, traces, webhooks
from runsync.model.nearest import nearest
from runsync.model.option import group, keywords


@group
class OfExport(notebooks.OfExport, traces.OfTransfer, redaction.OfTransfer, webhooks.OfTransfer, gateway.OfTransfer):
    """Those of `export`."""

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked for, by the names of options. Raises WrongUsage for a value that cannot be read."""
        return _asked(OfExport, self)


@group
class OfImport(
    permissions.OfImport,
    notebooks.OfImport,
    traces.OfTransfer,
    redaction.OfTransfer,
    webhooks.OfTransfer,
    gateway.OfTransfer,
):
    """Those of `import_` and `sync`."""

    @property
    def asked(self) -> dict[str, Any]:
        """As for `export`."""
        return _asked(OfImport, self)


@group
class OfVerify(permissions.OfVerify, traces.OfTransfer, redaction.OfTransfer, webhooks.OfVerify, gateway.OfVerify):
    """Those of `verify`."""

    @property
    def asked(self) -> dict[str, Any]:
        """As for `export`."""
        return _asked(OfVerify, self)


def _asked(of: type, options: object) -> dict[str, Any]:
    given = {each.name: (each.option, getattr(options, each.name)) for each in keywords(of)}
    return {
        name: option.parse(value) if option and option.parse else value
        for name, (option, value) in given.items()
        if value
    }


def check_kinds(names: Iterable[str]) -> None:
    """Raises WrongUsage for a name that is that of no kind."""
    known = [kind.name for kind in CARRIED]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            hint = f": did you mean “{near}”?" if near else "."
            raise WrongUsage(f"there is no kind “{name}”{hint} Kinds: {', '.join(known)}")
