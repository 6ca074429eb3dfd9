"""Further kinds of objects of two sides, held against each other for verify and diff."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from runsync.errors import ABSENT, ITEM_ERRORS, AccessDenied, RequestRefused
from runsync.model.comparison import IN_SOURCE, IN_TARGET, Difference, FieldChange
from runsync.model.experiment import Experiment
from runsync.model.hashing import sha256_of
from runsync.model.left_behind import KINDS
from runsync.model.objects import NOTEBOOKS, PERMISSIONS, Grant, Key, Named, Object, Permissions
from runsync.model.protocol import NotCarried, ObjectSource, Source

DIGITS = 12
"""Of a hash that is shown."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as it is, with the SHA-256 of its bytes ("" where it has none), or why it cannot be read."""

    item: Object
    sha256: str = ""
    error: str = ""


def seen(side: ObjectSource, items: Sequence[Object], pool: Executor) -> dict[Key, Seen]:
    """Each of them by its key; what a workspace names and does not have, or show us, is left out."""
    found = pool.map(lambda item: _look(side, item), items)
    return {each.item.key: each for each in found if each is not None}


def _look(side: ObjectSource, item: Object) -> Seen | None:
    try:
        whole = side.complete(item)
        if whole.blobs or not whole.has_bytes:
            return Seen(whole, whole.blobs[0].sha256 if whole.blobs else "")
        read, chunks = side.read(whole)
        return Seen(read, sha256_of(chunks))
    except ITEM_ERRORS as error:
        is_gone = isinstance(error, RequestRefused) and error.code == ABSENT
        is_denied = isinstance(error, AccessDenied) and not item.is_asked_for
        return None if is_gone or is_denied else Seen(item, error=str(error))


def changes(old: Seen, new: Seen) -> Iterator[FieldChange]:
    """What became of one."""
    if old.error or new.error:
        yield FieldChange("contents", old.error, new.error)
    if old.sha256 != new.sha256:
        yield FieldChange("text", f"sha256 {old.sha256[:DIGITS]}…", f"sha256 {new.sha256[:DIGITS]}…")
    before, after = _grants(old.item), _grants(new.item)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield FieldChange(f"permissions.{name}", before.get(name, ""), after.get(name, ""))


def _grants(item: Object) -> dict[str, str]:
    """The levels by the principal, in words."""
    told: dict[str, list[str]] = {}
    for grant in item.grants if isinstance(item, Permissions) else ():
        told.setdefault(grant.principal, []).append(f"{grant.level}{' (inherited)' if grant.inherited else ''}")
    return {principal: ", ".join(levels) for principal, levels in told.items()}


def lacking(
    source: Source,
    target: Source,
    pairs: Mapping[str, Experiment],
    experiments: Sequence[Experiment],
    named: Named,
    permissions: bool,
    pool: Executor,
) -> tuple[dict[str, int], list[Difference], list[NotCarried]]:
    """How many of each kind were compared, what the target lacks of the source, and what was not compared.

    A bundle must have them all as they are. In a workspace notebooks may lie anywhere, and of permissions
    (looked at only if `permissions`) those must be there that were given to the experiment itself, or more.
    """
    counts: dict[str, int] = {}
    found: list[Difference] = []
    left: list[NotCarried] = []
    one, other = source.objects, target.objects
    for kind in one.kinds if one is not None else ():
        assert one is not None
        items = [item for item in one.list(kind, experiments, named) if not _is_unpaired(item, pairs)]
        if not items:
            continue
        if other is None or not (other.are_copies or (kind == PERMISSIONS and permissions)):
            is_option = kind == PERMISSIONS and other is not None
            why = "--permissions compares them" if is_option else f"{target.place.kind} has no place to look for them"
            left.append(KINDS[kind].left(len(items), why))
            continue
        there = _counterparts(other, kind, items, pairs, named, pool)
        here = seen(one, items, pool)
        lost = [each for key, one_here in here.items() for each in _lacks(one_here, there.get(key), other.are_copies)]
        counts[kind] = len(items) - sum(bool(each.unread) for each in lost)
        found += lost
        impossible = 0 if other.are_copies else sum(len(_impossible(here[key], there.get(key))) for key in here)
        if impossible:
            left.append(KINDS[kind].left(impossible, "of levels that experiments do not have, only notebooks"))
    return counts, found, left


def _is_unpaired(item: Object, pairs: Mapping[str, Experiment]) -> bool:
    return isinstance(item, Permissions) and item.experiment_id not in pairs


def _counterparts(
    side: ObjectSource,
    kind: str,
    items: Sequence[Object],
    pairs: Mapping[str, Experiment],
    named: Named,
    pool: Executor,
) -> dict[Key, Seen]:
    """By the keys that they have in the source."""
    if kind == NOTEBOOKS:
        return seen(side, list(side.list(kind, (), named)), pool)
    ids = {pairs[item.experiment_id].experiment_id: item.key for item in items if isinstance(item, Permissions)}
    listed = list(side.list(kind, list(pairs.values()), named))
    return {ids[key[0]]: each for key, each in seen(side, listed, pool).items() if key[0] in ids}


def _lacks(one: Seen, other: Seen | None, exactly: bool) -> Iterator[Difference]:
    noun, key, name = one.item.noun, one.item.key[0], one.item.name
    if other is None:
        yield Difference(noun, key, name, "", "there", "missing")
    elif one.error or other.error:
        side = IN_SOURCE if one.error else IN_TARGET
        yield Difference.unreadable((noun, key, name, "contents"), side, one.error or other.error)
    elif exactly:
        for change in changes(one, other):
            yield Difference(noun, key, name, change.field, change.old, change.new)
    elif isinstance(one.item, Permissions) and isinstance(other.item, Permissions):
        impossible = _impossible(one, other)
        for grant in one.item.direct:
            if grant not in impossible and not any(has.is_enough_for(grant) for has in other.item.grants):
                yield Difference(
                    noun, key, name, f"permissions.{grant.principal}", grant.level, _has(other.item, grant)
                )


def _impossible(one: Seen, other: Seen | None) -> list[Grant]:
    """What was given to the one at levels that there are not for the other, and that it has not as much as."""
    if other is None or not isinstance(one.item, Permissions) or not isinstance(other.item, Permissions):
        return []
    there = other.item
    return [
        grant
        for grant in one.item.direct
        if not there.has_level(grant.level) and not any(has.is_enough_for(grant) for has in there.grants)
    ]


def _has(item: Permissions, wanted: Grant) -> str:
    return _grants(item).get(wanted.principal, "missing")
