"""How far a transfer is: counts of runs, points and bytes, told to whoever shows them."""

from typing import Protocol


class Progress(Protocol):
    """Called from several threads."""

    def expect(self, runs: int) -> None:
        """That many more runs are to be done."""

    def advance(self, runs: int = 0, points: int = 0, bytes: int = 0) -> None:
        """That much more is done."""


class Silent:
    """Shows nothing."""

    def expect(self, runs: int) -> None:
        """Nothing to show."""

    def advance(self, runs: int = 0, points: int = 0, bytes: int = 0) -> None:
        """Nothing to show."""
