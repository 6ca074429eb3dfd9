"""Whether runs that are deleted at a source are deleted in the target too, and how many at most."""

from dataclasses import dataclass

from runsync.errors import WrongUsage


@dataclass(frozen=True, slots=True)
class Brake:
    """The most that may be deleted: a share (percent) of what is there, or a number of runs."""

    most: float
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> "Brake":
        """Of “10%” or “25”. Raises WrongUsage."""
        number = text.strip().removesuffix("%")
        is_share = number != text.strip()
        try:
            most = float(number) if is_share else int(number)
        except ValueError:
            most = -1
        if not 0 <= most <= (100 if is_share else most):
            raise WrongUsage(f"--max-delete “{text}” is neither a share such as 10% nor a number of runs such as 25")
        return cls(most, is_share)

    def allows(self, going: int, there: int) -> bool:
        """Whether so many of those that are there may go."""
        return going * 100 <= self.most * there if self.is_share else going <= self.most

    def __str__(self) -> str:
        return f"{self.most:g}%" if self.is_share else f"{self.most:.0f}"


@dataclass(frozen=True, slots=True)
class DeletionPolicy:
    """`replays`: all gets the state it had at the source. Else deletions are reported; with `brake`, followed."""

    replays: bool = True
    brake: Brake | None = None


REPLAY = DeletionPolicy()
