"""Where something is, as reports and manifests tell it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runsync.secrecy import strike_all


@dataclass(frozen=True, slots=True)
class Place:
    """What a source or target says of itself. It is fit for printing, and stands in manifests: it holds no secret."""

    kind: str
    address: str
    version: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("address", "version", "details"):  # a server may say anything of itself
            object.__setattr__(self, name, strike_all(getattr(self, name)))
