"""A name under which something may stay behind."""

from dataclasses import dataclass

from runsync.model.not_carried import NotCarried


@dataclass(frozen=True, slots=True)
class Category:
    """`name` accepts it, and so does that of the category that it is `part_of`.

    `title` names it in reports and manifests; `old_titles` are those that manifests of earlier versions have.
    `goes_with_experiments`: whether it is out of sight once its experiment is deleted.
    """

    name: str
    title: str
    part_of: str = ""
    goes_with_experiments: bool = False
    old_titles: tuple[str, ...] = ()

    def left(self, count: int | None, why: str, names: tuple[str, ...] = (), what: str = "") -> NotCarried:
        """So many of it (None: not counted) stay behind; `what` says more closely what they are."""
        return NotCarried(what or self.title, count, why, names, self.name)
