"""Tags of ours on the models and traces of a target: what was brought, and from where (see `model.brought`)."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from runsync.model import brought
from runsync.model.identity import own_tags_removed


@dataclass(frozen=True, slots=True)
class Marks:
    """`address` gives that of the workspace that all comes from. With `follows`, tags that were brought and are not
    there any more are removed. A mark of more than `longest` characters is left out."""

    address: Callable[[], str]
    is_tagged: bool
    follows: bool
    longest: int = brought.LONGEST

    def of(self, tags: Mapping[str, str], there: Mapping[str, str] | None) -> dict[str, str]:
        """Those of an original with these tags; `there` are the tags of its copy (None: it is new)."""
        if not self.is_tagged:
            return {}
        own = own_tags_removed(tags)
        return self._short(brought.new_marks(own, self.address()) if there is None else brought.noted(own, there))

    def removed(self, tags: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
        """The keys of tags that are to be removed from a copy."""
        return brought.removed(tags, there) if self.follows else []

    def with_assessments(self, there: Mapping[str, str], ids: Iterable[str]) -> dict[str, str]:
        """See `brought.with_assessments`."""
        return brought.with_assessments(there, ids) if self.is_tagged else {}

    def unassessed(self, there: Mapping[str, str], ids: Collection[str]) -> list[str]:
        """The ids of assessments that are to be removed from a copy: those that were brought, and are not among
        these."""
        return [id for id in brought.assessments(there) if id not in ids] if self.follows else []

    def with_aliases(self, there: Mapping[str, str], more: Mapping[str, int]) -> dict[str, str]:
        """See `brought.with_aliases`."""
        return self._short(brought.with_aliases(there, more, self.address())) if self.is_tagged and more else {}

    def _short(self, marks: Mapping[str, str]) -> dict[str, str]:
        return {key: value for key, value in marks.items() if len(value) <= self.longest}


NO_MARKS = Marks(str, is_tagged=False, follows=False)
