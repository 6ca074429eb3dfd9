"""What a server refuses of a run. For one entry it refuses a whole request, and keeps nothing of it: the request is
divided until the refused entries are alone, and all others are sent."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from runsync.errors import RequestRefused
from runsync.model.identity import is_ours
from runsync.model.run import Problem
from runsync.model.wording import many
from runsync.workspaces.arrival.copy import Copy
from runsync.workspaces.rest import fits
from runsync.workspaces.rest.collisions import is_collision, is_inactive
from runsync.workspaces.rest.equal_keys import Spellings, same_as

Body = Mapping[str, Sequence[Any]]
"""Entries by the name of their list."""

MOST = 20
"""Entries of a run refused alone, for no reason known here, before the run fails: they may not be what is wrong."""
PROBES = 3
"""Points of a metric refused alone, and none taken, after which the metric is what the server refuses."""
PARAMS, TAGS, METRICS, DATASETS = "params", "tags", "metrics", "datasets"
_NOUNS = {PARAMS: "param", TAGS: "tag", METRICS: "metric", DATASETS: "input"}


def is_of_entries(error: RequestRefused) -> bool:
    """Whether a server may have refused a request for what some of its entries are."""
    return error.status == HTTPStatus.BAD_REQUEST and not is_inactive(error) and not is_collision(error)


class _Piece(NamedTuple):
    """What a run lacks when an entry is refused: of a metric some points, or all. `digest` is that of a dataset."""

    kind: str
    name: str
    digest: str = ""

    @classmethod
    def of(cls, kind: str, entry: Mapping[str, Any]) -> "_Piece":
        if kind == DATASETS:
            return cls(kind, entry["dataset"]["name"], entry["dataset"]["digest"])
        return cls(kind, entry["key"])


class _Group(NamedTuple):
    """Entries of one piece that are refused together, or not; `why` tells what is known to be wrong with them."""

    piece: _Piece
    why: str


class Refused:
    """The entries of one run that its server refuses."""

    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        there = copy.present
        self._spellings = {
            PARAMS: Spellings(there.params if there else ()),
            TAGS: Spellings(copy.tags_there),
            METRICS: Spellings(metric.key for metric in there.latest_metrics) if there else Spellings(),
        }
        self._alone = 0
        self._foreseen = 0
        """Groups that were tried, and refused, as was foreseen."""
        self._probed: Counter[_Piece] = Counter()
        self._taken: set[_Piece] = set()
        self._given_up: set[_Piece] = set()
        """Of these nothing is sent any more."""
        self._why: dict[_Piece, str] = {}
        self._count: Counter[_Piece] = Counter()

    def parted(self, body: Body) -> tuple[Body, Sequence[Body]]:
        """What of a body can be sent together; and, by themselves, params, tags and metrics whose keys may be one with
        others' to the server's database."""
        others: dict[_Piece, list[Any]] = {}
        sure: dict[str, list[Any]] = {kind: [] for kind in body}
        for kind, entries in body.items():
            for entry in entries:
                piece = _Piece.of(kind, entry)
                if kind in self._spellings and self._spellings[kind].other(piece.name):
                    others.setdefault(piece, []).append(entry)
                else:
                    sure[kind].append(entry)
        return sure, [{piece.kind: entries} for piece, entries in others.items()]

    def refuse_equal(self, body: Body) -> None:
        """What cannot be there beside another of its kind."""
        for kind, entries in body.items():
            for entry in entries:
                piece = _Piece.of(kind, entry)
                self._refuse(_Group(piece, ""), 1, same_as(self._spellings[kind].other(piece.name)))

    def left_out(self, body: Body) -> Body:
        """A body without what is known to be refused."""
        if not self._given_up:
            return body
        kept: dict[str, list[Any]] = {kind: [] for kind in body}
        for kind, entries in body.items():
            for entry in entries:
                piece = _Piece.of(kind, entry)
                if piece in self._given_up:
                    self._count[piece] += 1
                else:
                    kept[kind].append(entry)
        return kept

    def took(self, body: Body) -> None:
        """The server took it."""
        self._taken.update({_Piece(METRICS, point["key"]) for point in body.get(METRICS, ())})

    def divided(self, body: Body, error: RequestRefused) -> Iterator[Body]:
        """Smaller bodies, to be sent one after the other, of one that was refused. Raises the error where that is of
        no use."""
        if not is_of_entries(error):
            raise error
        groups: dict[_Group, list[Any]] = {}
        for kind, entries in body.items():
            for entry in entries:
                groups.setdefault(_Group(_Piece.of(kind, entry), _fault(kind, entry)), []).append(entry)
        if len(groups) > 1:
            yield from self._by_piece(groups)
            return
        ((group, entries),) = groups.items()
        if group.why or len(entries) == 1:
            self._refuse(group, len(entries), str(error))
            self._bound(group, error)
        else:
            for part in entries[::2], entries[1::2]:
                yield {group.piece.kind: part}

    def _by_piece(self, groups: Mapping[_Group, Sequence[Any]]) -> Iterator[Body]:
        """Those that are known to be refused each alone, and the others together, or else halves of them."""
        odd = [group for group in groups if group.why]
        sound = [group for group in groups if not group.why]
        if odd and sound:
            yield _body(sound, groups)
        elif sound:
            middle = len(sound) // 2
            yield from (_body(sound[:middle], groups), _body(sound[middle:], groups))
        for group in odd:
            if self._foreseen < MOST:
                yield _body([group], groups)
            else:
                self._refuse(group, len(groups[group]), group.why)

    def _refuse(self, group: _Group, count: int, why: str) -> None:
        self._count[group.piece] += count
        self._why.setdefault(group.piece, why)
        if group.why and fits.fault(group.piece.name):
            self._given_up.add(group.piece)

    def _bound(self, group: _Group, error: RequestRefused) -> None:
        """Raises the error where it is not the entries that the server refuses."""
        piece = group.piece
        if piece.kind == TAGS and is_ours(piece.name):
            raise error
        if group.why:
            self._foreseen += 1
            return
        self._alone += 1
        if self._alone > MOST:
            raise error
        self._probed[piece] += 1
        if self._probed[piece] >= PROBES and piece not in self._taken:
            self._given_up.add(piece)

    def tell(self) -> None:
        """Notes on the copy what does not arrive."""
        for piece, why in self._why.items():
            count = self._count[piece]
            if piece.kind == METRICS:
                self._copy.points -= count
                why = f"{many(count, 'point')}: {why}"
            self._copy.note(Problem(_NOUNS[piece.kind], piece.name, why))


def _body(of: Sequence[_Group], groups: Mapping[_Group, Sequence[Any]]) -> Body:
    body: dict[str, list[Any]] = {}
    for group in of:
        body.setdefault(group.piece.kind, []).extend(groups[group])
    return body


def _fault(kind: str, entry: Mapping[str, Any]) -> str:
    """What is known to be wrong with an entry; "" for nothing."""
    if kind == DATASETS:
        return ""
    return fits.fault(entry["key"]) or (fits.fault_of_time(entry["timestamp"]) if kind == METRICS else "")
