"""Which share of a bundle's bytes a check reads: a random sample, or one of several groups that take turns."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from runsync.bundle import layout
from runsync.errors import WrongUsage


@dataclass(frozen=True, slots=True)
class Subset:
    """A `share` of the bytes at random (0 to 1), or the `group` (from 1) of `groups` that a file's hash puts it in."""

    share: float = 1.0
    group: int = 1
    groups: int = 1

    @classmethod
    def parse(cls, text: str) -> "Subset":
        """Of “5%” or “2/7”; "" means everything. Raises WrongUsage."""
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
        raise WrongUsage(
            f"“{text}” is no subset: write a share such as 5% (above 0, up to 100), or n/t such as 2/7 "
            "(the second of seven groups)"
        )

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
