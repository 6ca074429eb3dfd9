"""What the ids of one side are on another, whatever the kind."""

from collections.abc import Callable, Mapping

Find = Callable[[str], str | None]
"""Gives the id on the other side; "" before it is made, None where there is none."""


class Ids:
    """A `kind.Resolve`: `finds` look up ids, by the names of the kinds. Of other kinds nothing is on the other side."""

    def __init__(self, finds: Mapping[str, Find]) -> None:
        self._finds = dict(finds)

    def add(self, finds: Mapping[str, Find]) -> None:
        """Further kinds."""
        self._finds.update(finds)

    def __call__(self, kind: str, id: str) -> str | None:
        """The id on the other side."""
        find = self._finds.get(kind)
        return find(id) if find is not None else None
