"""What experiments are called in a target."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Naming:
    """How experiments are called in the target: `rename` maps single names, `prefix` goes before all others.

    A prefix that begins with a slash is a folder, as Databricks has them: a slash stands between it and the name. There
    `/Workspace/Users/me` and `/Users/me` are one place, of which the shorter is the name.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""

    def of(self, name: str) -> str:
        """The name in the target."""
        if name in self.rename:
            return plain_path(self.rename[name])
        if self.prefix.startswith("/"):
            return f"{plain_path(self.prefix).rstrip('/')}/{name.lstrip('/')}"
        return self.prefix + name


def plain_path(name: str) -> str:
    """A path in Databricks without `/Workspace` before it: experiments are found by their names only so."""
    return name.removeprefix("/Workspace") if name.startswith("/Workspace/") else name
