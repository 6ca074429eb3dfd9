"""What was promoted and taken back: tags of the registry itself, one record each.

A record is JSON under a key with its time and a short id, on the version that got the alias; that of a refusal is on
the registered model. It is cut into pieces that every registry takes as values of tags; the first is written last. A
record is written before the alias moves, and never changes: what became of it is a tag beside it.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from runsync.contract.model_registry import Registered
from runsync.kinds.model_versions import ModelVersion
from runsync.model import times
from runsync.promotion.gates import Gate

PREFIX = "promotion_"
"""Of all tags of promotions: no dots, which Unity Catalog has no room for."""
DIGEST, OF, SOURCE, BY = (f"{PREFIX}{name}" for name in ("digest", "of", "source", "by"))
"""On a version that a promotion made: its digest, what it was made of, where that is, and who did it."""
RECORD = f"{PREFIX}2"
"""How the keys of records begin: with the year."""
LONGEST = 1000
"""Characters of the value of a tag that Unity Catalog takes; MLflow takes 5000 and more."""
PROMOTED, ROLLED_BACK, REFUSED = "promoted", "rolled back", "refused"
OVERTAKEN, BEGUN = "overtaken", "begun"
"""What became of a move that lost against another at the same time, and of one that has not moved the alias."""
DONE, TURN = "done", "turn"
_IN_KEYS = {ord("-"): None, ord(":"): None, ord("."): "_"}


@dataclass(frozen=True, slots=True)
class Record:
    """`holder` is the version that the alias named before (None: no such alias), `version` the one that it was to name
    then (None: refused before there was one). `at` is UTC, as 2026-12-01T00:15:00.123Z.

    `model` is what was promoted, in the words of its `source`. `forced` is the reason why gates were passed over, ""
    where they were not. `after` is the id of the move that had set the alias when this one began, "" where none had.
    """

    id: str
    at: str
    action: str
    alias: str
    holder: int | None
    version: int | None
    digest: str = ""
    model: str = ""
    source: str = ""
    commit: str = ""
    by: str = ""
    pipeline: str = ""
    gates: tuple[Gate, ...] = ()
    forced: str = ""
    after: str = ""

    @property
    def key(self) -> str:
        """Its tag. They sort by time."""
        return f"{PREFIX}{self.at.translate(_IN_KEYS)}_{self.id}"

    @property
    def state_key(self) -> str:
        """The tag that tells what became of it."""
        return f"{self.key}_state"

    def to_document(self) -> dict[str, Any]:
        """A record of the JSON report."""
        return {**asdict(self), "gates": [gate.to_document() for gate in self.gates]}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Record":
        """The reverse. Raises KeyError, TypeError for what is none."""
        return cls(**{**document, "gates": tuple(Gate.from_document(gate) for gate in document["gates"])})

    def to_tags(self) -> dict[str, str]:
        """In the order in which they are to be written."""
        text = json.dumps(self.to_document(), separators=(",", ":"), allow_nan=False)
        pieces = [text[start : start + LONGEST] for start in range(0, len(text), LONGEST)]
        keys = [self.key, *(f"{self.key}_{number}" for number in range(2, len(pieces) + 1))]
        return dict(reversed(list(zip(keys, pieces, strict=True))))


@dataclass(frozen=True, slots=True)
class History:
    """Records by time. `states` are what is told beside them, by their ids; `unread` the keys of those that cannot be
    read."""

    records: tuple[Record, ...] = ()
    unread: tuple[str, ...] = ()
    states: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, registered: Registered | None) -> "History":
        """Of one registered model."""
        if registered is None:
            return cls()
        found: list[Record] = []
        unread: list[str] = []
        states: dict[str, str] = {}
        for tags in (registered.model.tags, *(version.tags for version in registered.versions)):
            for key in filter(_is_record, tags):
                record = _read(tags, key)
                if record is None:
                    unread.append(key)
                    continue
                found.append(record)
                states[record.id] = tags.get(record.state_key, "")
        found = [replace(r, action=_action(r, found, states, registered)) for r in found]
        return cls(tuple(sorted(found, key=lambda record: (record.at, record.id))), tuple(sorted(unread)), states)

    def last(self, alias: str) -> Record | None:
        """The last move of an alias: of those after which nobody began another, the newest."""
        moves = [r for r in self.records if r.alias == alias and r.action in MOVES]
        before = {r.after for r in moves}
        return next((r for r in reversed(moves) if r.id not in before), None)

    def place(self, alias: str, holder: int | None, version: int | None) -> tuple[str, str]:
        """Id and time of the record of a move: that of one which was cut short is written once more."""
        begun = (r for r in reversed(self.begun(alias)) if (r.holder, r.version) == (holder, version))
        last = next(begun, None)
        return (last.id, last.at) if last is not None else (_new_id(), now())

    def begun(self, alias: str) -> list[Record]:
        """The moves of an alias that have not moved it: others are at it just now, or were cut short."""
        last = self.last(alias)
        after = last.id if last is not None else ""
        return [r for r in self.records if (r.alias, r.action, r.after) == (alias, BEGUN, after)]


MOVES = (PROMOTED, ROLLED_BACK)


def _action(record: Record, records: Sequence[Record], states: Mapping[str, str], registered: Registered) -> str:
    """What became of it. One that was killed once the alias had moved told nothing of that: then the alias tells, or a
    move that began after it."""
    state = states[record.id]
    if record.action not in MOVES or state == DONE:
        return record.action
    if state == OVERTAKEN:
        return OVERTAKEN
    moves = [r for r in records if r.alias == record.alias and r.action in MOVES]
    if any(r.after == record.id for r in moves):
        return record.action
    is_open = not any(r.after == record.after and states[r.id] == DONE for r in moves)
    has_moved = registered.aliases.get(record.alias) == record.version
    return record.action if is_open and has_moved else BEGUN


def _new_id() -> str:
    return secrets.token_hex(3)


def now() -> str:
    """As `Record.at`."""
    return times.utc_now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def without_promotions(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of a version without what promotions within its own registry left."""
    return {key: value for key, value in tags.items() if not key.startswith(PREFIX)}


def made_of(versions: Sequence[ModelVersion], model: str, digest: str) -> list[ModelVersion]:
    """The versions that promotions of the very same made before: one, unless two of them did so at once."""
    return [v for v in versions if (v.tags.get(OF), v.tags.get(DIGEST)) == (model, digest)]


def _is_record(key: str) -> bool:
    """Not of a further piece."""
    return key.startswith(RECORD) and len(key.split("_")) == 4


def _read(tags: Mapping[str, str], key: str) -> Record | None:
    pieces = [tags[key]]
    while (further := f"{key}_{len(pieces) + 1}") in tags:
        pieces.append(tags[further])
    try:
        return Record.from_document(json.loads("".join(pieces)))
    except (ValueError, KeyError, TypeError):
        return None
