"""Fields of two states of an entity, held against each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runsync.model.comparison import FieldChange
    from runsync.model.run import ArtifactFile


def changed_fields(old: Any, new: Any, names: Iterable[str]) -> "Iterator[FieldChange]":
    """What differs between two of a dataclass; of a mapping, entry by entry."""
    from runsync.model.comparison import FieldChange

    for name in names:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, Mapping):
            for key in sorted(before.keys() | after.keys()):
                if before.get(key) != after.get(key):
                    yield FieldChange(f"{name}.{key}", _shown(before.get(key)), _shown(after.get(key)))
        elif before != after:
            yield FieldChange(name, _shown(before), _shown(after))


def lacking_entries(name: str, wanted: Mapping[str, str], there: Mapping[str, str]) -> "Iterator[FieldChange]":
    """What a mapping lacks of another; what it has besides does not matter."""
    from runsync.model.comparison import FieldChange

    for key, value in sorted(wanted.items()):
        if there.get(key) != value:
            yield FieldChange(f"{name}.{key}", value, there.get(key, "missing"))


def changed_files(
    old: "Sequence[ArtifactFile] | None", new: "Sequence[ArtifactFile] | None"
) -> "Iterator[FieldChange]":
    """By hash where both sides know it, else by size; nothing where one has none on purpose (None)."""
    from runsync.model.comparison import FieldChange

    before, after = ({file.path: file for file in files or ()} for files in (old, new))
    for path in sorted(before.keys() | after.keys()) if old is not None and new is not None else ():
        one, other = before.get(path), after.get(path)
        is_by_hash = one is not None and other is not None and bool(one.sha256 and other.sha256)
        shown, shown_after = _file(one, is_by_hash), _file(other, is_by_hash)
        if shown != shown_after:
            yield FieldChange(f"artifacts.{path}", shown, shown_after)


def _file(file: "ArtifactFile | None", is_by_hash: bool) -> str:
    if file is None:
        return "missing"
    return f"sha256 {(file.sha256 or '')[:12]}…" if is_by_hash else f"{file.size} bytes"


def _shown(value: object) -> str:
    return "" if value is None else str(value)
