"""Which share of a bundle's bytes a check reads: a random sample, or one of several groups that take turns."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from runsync.bundle import layout
from runsync.errors import WrongUsage
from runsync.model import times

_DAYS = {"day": 1, "week": 7}
_FIRST_MONDAY = date(1970, 1, 5)


@dataclass(frozen=True, slots=True)
class Subset:
    """A `share` of the bytes at random (0 to 1), or the `group` (from 1) of `groups` that a file's hash puts it in."""

    share: float = 1.0
    group: int = 1
    groups: int = 1

    @classmethod
    def parse(cls, text: str) -> "Subset":
        """Of “5%”, “2/7”, or “week/8”: of eight groups the one whose turn it is this week; "" means everything.

        Days and weeks are counted through, across years, so that every group has its turn. They are days of UTC, and a
        week begins on Monday. Raises WrongUsage.
        """
        if not text:
            return cls()
        if found := re.fullmatch(r"(\d+(?:\.\d+)?)%", text):
            share = float(found[1]) / 100
            if 0 < share <= 1:
                return cls(share)
        elif found := re.fullmatch(r"(\d{1,9})/(\d{1,9})", text):
            group, groups = int(found[1]), int(found[2])
            if 1 <= group <= groups:
                return cls(1.0, group, groups)
        elif found := re.fullmatch(r"(day|week)/(\d{1,9})", text):
            groups = int(found[2])
            if groups:
                return cls(1.0, _turn(_DAYS[found[1]]) % groups + 1, groups)
        raise WrongUsage(
            f"“{text}” is no subset: write a share such as 5% (above 0, up to 100), n/t such as 2/7 (the second of "
            "seven groups), or week/8 or day/30 (another group each week or day)"
        )

    def __str__(self) -> str:
        return f"{self.group}/{self.groups}" if self.groups > 1 else f"{self.share * 100:g}%"

    def choose(self, sizes: Mapping[str, int]) -> list[str]:
        """The files to read, of those given with their bytes. A share above none reads at least one."""
        names = sorted(n for n in sizes if int(layout.hash_in(n), 16) % self.groups == self.group - 1)
        if self.share >= 1 or not names:
            return names
        wanted, chosen = self.share * sum(sizes[n] for n in names), [names.pop(secrets.randbelow(len(names)))]
        secrets.SystemRandom().shuffle(names)
        read = sizes[chosen[0]]
        for name in names:
            if read >= wanted:
                break
            chosen.append(name)
            read += sizes[name]
        return sorted(chosen)


def _turn(days: int) -> int:
    """How many periods of that many days have passed; a week begins on Monday."""
    return (times.utc_now().date() - _FIRST_MONDAY).days // days
