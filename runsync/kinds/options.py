"""Options of verbs that are about one kind: each is declared with its kind."""

from collections.abc import Iterable
from typing import Any

from runsync.errors import WrongUsage
from runsync.kinds import BY_NAME, notebooks, permissions
from runsync.model.nearest import nearest
from runsync.model.option import group, keywords
from runsync.model.selection import RUNS


@group
class OfExport(notebooks.OfExport):
    """Those of `export`."""

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked for, by the names of options. Raises WrongUsage for a value that cannot be read."""
        return _asked(OfExport, self)


@group
class OfImport(permissions.OfImport, notebooks.OfImport):
    """Those of `import_` and `sync`."""

    @property
    def asked(self) -> dict[str, Any]:
        """As for `export`."""
        return _asked(OfImport, self)


@group
class OfVerify(permissions.OfVerify):
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
    known = (RUNS, *BY_NAME)
    for name in names:
        if name not in known:
            near = nearest(name, known)
            hint = f": did you mean “{near}”?" if near else "."
            raise WrongUsage(f"there is no kind “{name}”{hint} Kinds: {', '.join(known)}")
