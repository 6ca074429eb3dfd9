"""What experiments are called in a target."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Naming:
    """How experiments are called in the target: `rename` maps single names, `prefix` goes before all others."""

    rename: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""

    def of(self, name: str) -> str:
        """The name in the target."""
        return self.rename.get(name, self.prefix + name)
