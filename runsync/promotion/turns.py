"""Whose turn it is to move an alias, in a registry that cannot set one only if it is unchanged.

Each move announces itself by its record, and then looks. Who sees no other goes ahead: any other that announced itself
later sees it, and waits. Those that see others take turns, as in Lamport's bakery: each draws a number above all that
it sees, writes it down, and waits for those that have none yet, and for the lower ones. So of any number of moves at
once the first in the row moves the alias, and the others see that it has moved. One that was killed is waited for until
it has shown no sign of life for a while.
"""

import time
from dataclasses import dataclass, field

from runsync.kinds.model_versions import ModelVersion
from runsync.promotion.history import TURN, History, Record
from runsync.promotion.standing import Standing

SILENCE = 30.0
"""Seconds without a sign after which another one is taken for killed."""
BEAT, PAUSE = 5.0, 0.2
"""Seconds between two signs of one that waits, and between two looks."""


def take_turn(standing: Standing, version: ModelVersion, record: Record) -> bool:
    """Waits until the alias may be moved. False where another one has moved it."""
    watch, turn, beats, told_at = _Watch(), 0, 0, -BEAT
    while True:
        now = standing.again()
        last = now.last
        if now.holder != standing.holder or (last.id if last is not None else "") != record.after:
            return False
        rivals = [one for one in now.history.begun(standing.alias) if one.id != record.id]
        turns = {one.id: _turn_of(now.history, one) for one in rivals if watch.is_alive(now.history, one)}
        if all(turn and theirs and (turn, record.id) < (theirs, id) for id, theirs in turns.items()):
            return True
        turn = turn or 1 + max(turns.values())
        if time.monotonic() - told_at >= BEAT:
            standing.registry.tag_version(version, {record.state_key: f"{TURN} {turn} {beats}"})
            beats, told_at = beats + 1, time.monotonic()
        else:
            time.sleep(PAUSE)


def _turn_of(history: History, one: Record) -> int:
    """The number that it drew; 0 for none yet."""
    word, _, rest = history.states[one.id].partition(" ")
    number = rest.partition(" ")[0]
    return int(number) if word == TURN and number.isdecimal() else 0


@dataclass(slots=True)
class _Watch:
    """What others last showed, and since when, in seconds of the clock of this process."""

    seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    def is_alive(self, history: History, one: Record) -> bool:
        """Whether it may still move the alias."""
        state, now = history.states[one.id], time.monotonic()
        shown, since = self.seen.get(one.id, ("", 0.0))
        if one.id not in self.seen or shown != state:
            self.seen[one.id] = state, now
            return True
        return now - since < SILENCE
