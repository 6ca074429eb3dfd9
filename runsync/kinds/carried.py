"""What links, ids, selections and reports know of a kind."""

from dataclasses import dataclass
from typing import Protocol


class Carried(Protocol):
    """A kind of entity (see `kind.Kind`), or one of those that take a path of their own."""

    @property
    def name(self) -> str:
        """Its word on the command line and in links."""

    @property
    def noun(self) -> str:
        """What a single one is called, in reports."""

    @property
    def requires(self) -> tuple[str, ...]:
        """The names of the kinds that must be carried before it."""

    @property
    def goes_with_experiments(self) -> bool:
        """Whether it is nowhere but in experiments."""


@dataclass(frozen=True, slots=True)
class OwnPath:
    """A kind that sources and targets carry by methods of their own: see `contract.source` and `contract.target`."""

    name: str
    noun: str
    requires: tuple[str, ...] = ()
    goes_with_experiments: bool = True
