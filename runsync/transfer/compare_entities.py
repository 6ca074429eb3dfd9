"""Entities of two sides, held against each other for verify and diff."""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, Generic

from runsync.contract.entities import Completed, EntitySource
from runsync.contract.source import Source
from runsync.errors import ABSENT, ITEM_ERRORS, AccessDenied, RequestRefused
from runsync.kinds import KINDS
from runsync.kinds.kind import EXPERIMENTS, E, Key, Kind
from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel
from runsync.kinds.scope import Scope
from runsync.model.comparison import IN_SOURCE, IN_TARGET, Difference, FieldChange
from runsync.model.experiment import Experiment
from runsync.model.hashing import sha256_of
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile
from runsync.model.selection import RUNS, Selection
from runsync.transfer.chosen import chosen
from runsync.transfer.entities import note_names
from runsync.transfer.model_names import Renames
from runsync.transfer.redacted import redacted

DIGITS = 12
"""Of a hash that is shown."""
ROWS_TOGETHER = 200
"""Entities whose rows are held at once."""


@dataclass(frozen=True, slots=True)
class Seen(Generic[E]):
    """An entity as it is, with the SHA-256 of its bytes ("" where it has none), or why it cannot be read."""

    item: E
    sha256: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Files:
    """How files of entities are compared: not at all, by path and size, or by their bytes. Of `MLmodel` files the bytes
    are read with `ids` put in place of those of the target."""

    are_compared: bool = True
    by_hash: bool = False
    ids: Mapping[str, str] = field(default_factory=dict)

    def hashed(self, kind: Kind[E], side: EntitySource[E], item: E) -> E:
        """The entity with the hash of each file."""

        def hashed(file: ArtifactFile) -> ArtifactFile:
            is_known = file.sha256 or file.fault
            return file if is_known else replace(file, sha256=self._hash(side.read_file(item, file), file.path))

        return kind.with_files(item, tuple(map(hashed, kind.files(item))), ())

    def _hash(self, chunks: Iterator[bytes], path: str) -> str:
        if path.rpartition("/")[2] != MODEL_FILE:
            return sha256_of(chunks)
        content = _ID.sub(lambda found: self._original(found[0]), b"".join(chunks))
        return sha256_of((content,))

    def _original(self, id: bytes) -> bytes:
        return self.ids.get(id.decode(), id.decode()).encode()


BY_SIZE = Files()
MODEL_FILE = "MLmodel"
_ID = re.compile(rb"(?:\bm-)?\b[0-9a-f]{32}\b")


def seen(
    kind: Kind[E], side: EntitySource[E], items: Sequence[E], pool: Executor, files: Files = BY_SIZE
) -> dict[Key, Seen[E]]:
    """Each of them by its key; what a workspace names and does not have, or show us, is left out."""
    if kind.rows_name:
        done = side.complete_many(items, pool)
        found = pool.map(lambda one: _with_rows(kind, side, one, files), list(done))
    else:
        found = pool.map(lambda item: _look(kind, side, item, files), items)
    return {each.item.key: each for each in found if each is not None}


def _look(kind: Kind[E], side: EntitySource[E], item: E, files: Files) -> Seen[E] | None:
    try:
        if kind.has_files:
            whole = side.complete(item) if files.are_compared else item
            return Seen(files.hashed(kind, side, whole) if files.by_hash and kind.files(whole) else whole)
        whole = side.complete(item)
        if whole.blobs or not kind.has_bytes:
            return Seen(whole, whole.blobs[0].sha256 if whole.blobs else "")
        read, chunks = side.read(whole)
        return Seen(read, sha256_of(chunks))
    except ITEM_ERRORS as error:
        return _unseen(kind, item, error)


def _with_rows(kind: Kind[E], side: EntitySource[E], done: Completed[E], files: Files) -> Seen[E] | None:
    """Likewise, of a kind with rows, which are compared also where files are not."""
    if done.error is not None:
        if not isinstance(done.error, ITEM_ERRORS):
            raise done.error
        return _unseen(kind, done.item, done.error)
    if not files.are_compared:
        return Seen(kind.without_files(done.item))
    try:
        return Seen(files.hashed(kind, side, done.item) if files.by_hash and kind.files(done.item) else done.item)
    except ITEM_ERRORS as error:
        return _unseen(kind, done.item, error)


def _unseen(kind: Kind[E], item: E, error: Exception) -> Seen[E] | None:
    is_gone = isinstance(error, RequestRefused) and error.code == ABSENT
    is_denied = isinstance(error, AccessDenied) and not kind.opt_in
    return None if is_gone or is_denied else Seen(item, error=str(error))


def changes(kind: Kind[E], old: Seen[E], new: Seen[E]) -> Iterator[FieldChange]:
    """What became of one."""
    if old.error or new.error:
        yield FieldChange("contents", old.error, new.error)
    if old.sha256 != new.sha256:
        yield FieldChange("text", f"sha256 {old.sha256[:DIGITS]}…", f"sha256 {new.sha256[:DIGITS]}…")
    yield from kind.changes(old.item, new.item)


class Comparison:
    """What a target lacks of the entities of a source: `compared` counts, by the name of the kind, those that both
    could tell, `artifacts` their files; `left` is what was not compared.

    `experiments` are those of the source, `pairs` those of the target and `runs` its runs, by their ids in the source;
    `names` are other names that registered models have there.
    A bundle must have them all as they are; a workspace what each kind has there (see `Kind.lacks`).
    """

    def __init__(
        self,
        source: Source,
        target: Source,
        experiments: Sequence[Experiment],
        pairs: Mapping[str, Experiment],
        runs: Mapping[str, str],
        pool: Executor,
        files: Files,
        names: Mapping[str, str],
    ) -> None:
        self.compared: dict[str, int] = {}
        self.artifacts = 0
        self.differences: list[Difference] = []
        self.left: list[NotCarried] = []
        self._source = source
        self._target = target
        self._experiments = experiments
        self._pairs = pairs
        self._ids: dict[str, Mapping[str, str]] = {
            EXPERIMENTS: {id: there.experiment_id for id, there in pairs.items()},
            RUNS: runs,
        }
        self._pool = pool
        self._files = files
        self._renames = Renames(names)

    @property
    def has_links(self) -> bool:
        """Whether both sides can have links of runs to logged models."""
        return None not in (self._source.entities(LOGGED_MODELS), self._target.entities(LOGGED_MODELS))

    def model_there(self, model_id: str) -> str:
        """The target's id of a logged model of the source; its own where it has none there."""
        kind = LOGGED_MODELS
        if kind.name not in self._ids:
            here = _all_in(self._source, self._experiments)
            self._note_ids(kind, here, _all_in(self._target, list(self._pairs.values())))
        return self._ids[kind.name].get(model_id) or model_id

    def compare(self, scope: Scope, selection: Selection) -> None:
        """Kind by kind; `scope` has what the source's runs name."""
        note_names(self._source, scope)
        for kind in KINDS:
            side = redacted(kind, chosen(kind, self._renames.of(kind, self._source.entities(kind)), scope), scope)
            if side is not None and selection.has(kind.name):
                self._compare(kind, side, scope)
                self.left += side.left_behind(scope)

    def _compare(self, kind: Kind[Any], side: EntitySource[Any], scope: Scope) -> None:
        items = [item for item in side.list(scope) if kind.rewritten(item, self._resolve) is not None]
        if not items:
            return
        other = self._target.entities(kind)
        address = self._target.place.kind
        if other is None:
            self.left.append(kind.left(len(items), f"{address} has no place to look for them"))
            return
        if not other.is_exact and (why := kind.uncompared(scope, address)):
            self.left.append(kind.left(len(items), why))
            return
        others = list(other.list(scope.on(list(self._pairs.values()))))
        self._note_ids(kind, items, others)
        lost: list[Difference] = []
        impossible = 0
        for some, matching in self._together(kind, items, others):
            found, more = self._compare_some(kind, side, some, other, matching)
            lost += found
            impossible += more
        self.compared[kind.name] = len(items) - sum(bool(each.unread) for each in lost)
        self.differences += lost
        if impossible:
            self.left.append(kind.left(impossible, kind.why_impossible))

    def _together(
        self, kind: Kind[E], items: Sequence[E], others: Sequence[E]
    ) -> Iterator[tuple[Sequence[E], Sequence[E]]]:
        """All, or of a kind with rows a few at a time with those of the target."""
        if not kind.rows_name:
            yield items, others
            return
        by_key = {item.key: item for item in others}
        for begin in range(0, len(items), ROWS_TOGETHER):
            some = items[begin : begin + ROWS_TOGETHER]
            keys = ((kind.rewritten(item, self._resolve) or item).key for item in some)
            yield some, [by_key[key] for key in keys if key in by_key]

    def _compare_some(
        self,
        kind: Kind[E],
        side: EntitySource[E],
        items: Sequence[E],
        other: EntitySource[E],
        others: Sequence[E],
    ) -> tuple[list[Difference], int]:
        """The differences, and how much of them the target cannot keep."""
        there = seen(kind, other, others, self._pool, replace(self._files, ids=self._original_ids()))
        here = seen(kind, side, items, self._pool, self._files)
        self.artifacts += sum(len(kind.files(each.item)) for each in here.values())
        lost: list[Difference] = []
        impossible = 0
        for one in here.values():
            wanted = replace(one, item=kind.rewritten(one.item, self._resolve) or one.item)
            match = there.get(wanted.item.key)
            lost += _lacks(kind, one, wanted, match, other.is_exact)
            impossible += kind.impossible(wanted.item, match.item) if match is not None and not other.is_exact else 0
        return lost, impossible

    def _note_ids(self, kind: Kind[E], items: Sequence[E], others: Sequence[E]) -> None:
        """Which of a kind is which in the target."""
        self._ids[kind.name] = kind.counterparts(items, others, self._resolve)

    def _original_ids(self) -> dict[str, str]:
        """Of ids of the target those in the source."""
        return {there: here for ids in self._ids.values() for here, there in ids.items() if there}

    def _resolve(self, kind: str, id: str) -> str | None:
        return self._ids.get(kind, {}).get(id)


def _all_in(side: Source, experiments: Sequence[Experiment]) -> list[LoggedModel]:
    models = side.entities(LOGGED_MODELS)
    return list(models.list(Scope(experiments))) if models is not None else []


def _lacks(kind: Kind[E], one: Seen[E], wanted: Seen[E], other: Seen[E] | None, is_exact: bool) -> Iterator[Difference]:
    """Differences of one entity; `wanted` is how it should read in the target."""
    noun, key, name = kind.noun, one.item.key[0], one.item.name
    if other is None:
        yield Difference(noun, key, name, "", "there", "missing")
    elif one.error or other.error:
        side = IN_SOURCE if one.error else IN_TARGET
        yield Difference.unreadable((noun, key, name, "contents"), side, one.error or other.error)
    else:
        for change in changes(kind, wanted, other) if is_exact else kind.lacks(wanted.item, other.item):
            yield Difference(noun, key, name, change.field, change.old, change.new)
