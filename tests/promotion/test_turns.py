"""Any number of moves of an alias, step by step in any order: one moves it, and the others are told."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Condition, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from support.stopping import Stopped

from runsync.contract.model_registry import Registered
from runsync.errors import AliasTaken
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.promotion import turns
from runsync.promotion.history import PROMOTED, Record
from runsync.promotion.move import move
from runsync.promotion.standing import Standing, look

FIRST = Registered(RegisteredModel("churn"), tuple(ModelVersion("churn", n) for n in range(1, 6)), {"champion": 1})


class Steps:
    """Lets one thread at a time make one step, as `choose` says; at step `ends[thread]` that thread is gone."""

    def __init__(self, choose: Callable[[list[int]], int], ends: Mapping[int, int]) -> None:
        self._choose = choose
        self._ends = ends
        self._made: dict[int, int] = {}
        self._waiting: set[int] = set()
        self._left: set[int] = set()
        self._at: int | None = None
        self._condition = Condition()

    def step(self, me: int) -> None:
        """Waits for the turn of a thread."""
        with self._condition:
            self._at = None if self._at == me else self._at
            self._waiting.add(me)
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._at == me)
            self._waiting.discard(me)
            self._made[me] = self._made.get(me, 0) + 1
            if self._made[me] == self._ends.get(me):
                raise Stopped

    def run(self, threads: Mapping[int, Thread]) -> None:
        """Until all have come to their end."""
        for thread in threads.values():
            thread.start()
        left = set(threads)
        while left:
            with self._condition:
                self._left = left
                self._condition.wait_for(lambda: self._at is None and self._left <= self._waiting, timeout=300)
                self._at = self._choose(sorted(left))
                chosen = self._at
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._at is None, timeout=300)
            left = {me for me in left if me != chosen or chosen in self._waiting}

    def end(self, me: int) -> None:
        """A thread is done."""
        with self._condition:
            self._at = None
            self._condition.notify_all()


class Memory:
    """See `ModelRegistry`: each request is a step of the thread that makes it."""

    swaps = False

    def __init__(self, me: int, shared: dict[str, Any], steps: Steps) -> None:
        self._me, self._shared, self._steps = me, shared, steps

    def registry(self) -> "Memory":
        return self

    @property
    def place(self) -> Any:
        return SimpleNamespace(address="memory", kind="memory")

    def read(self, name: str) -> Registered:
        self._steps.step(self._me)
        aliases = dict(self._shared["aliases"])
        self._steps.step(self._me)
        tags = self._shared["tags"]
        versions = tuple(replace(v, tags=dict(tags.get(v.version, {}))) for v in FIRST.versions)
        return replace(FIRST, versions=versions, aliases=aliases)

    def tag_version(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self._steps.step(self._me)
            self._shared["tags"].setdefault(version.version, {})[key] = value

    def move_alias(self, alias: ModelAlias, holder: int | None) -> bool:
        self._steps.step(self._me)
        if self._shared["aliases"].get(alias.alias) != holder:
            return False
        self._steps.step(self._me)
        self._shared["aliases"][alias.alias] = alias.version
        self._shared["moved"].append((holder, alias.version))
        return True


def play(
    choose: Callable[[list[int]], int], movers: int, ends: Mapping[int, int]
) -> tuple[dict[int, str], list[tuple[int | None, int]]]:
    """What became of moves to the versions from 2 on; and from which the alias was moved to which, in this order."""
    shared: dict[str, Any] = {"aliases": dict(FIRST.aliases), "tags": {}, "moved": []}
    steps, told = Steps(choose, ends), dict[int, str]()

    def act(me: int) -> None:
        try:
            standing: Standing = look(Memory(me, shared, steps), "churn", "champion")  # type: ignore[arg-type]
            what = (f"id{me * 7 % 5}", f"2026-12-01T00:00:0{me}.000Z", PROMOTED, "champion")
            moved = move(standing, FIRST.versions[me - 1], Record(*what, standing.holder, me))
            told[me] = "moved" if moved else "there"
        except AliasTaken:
            told[me] = "told"
        except Stopped:
            told[me] = "gone"
        steps.end(me)

    steps.run({me: Thread(target=act, args=(me,)) for me in range(2, 2 + movers)})
    return told, shared["moved"]


@pytest.fixture(autouse=True)
def _quick_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that goes on only where somebody waits."""
    clock = SimpleNamespace(now=0.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))


@pytest.mark.parametrize("movers", [2, 3, 4])
def test_in_whatever_order_they_step_one_moves_the_alias(movers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SILENCE", float("inf"))
    for seed in range(100):
        chance = random.Random(seed)
        weights: dict[int, int] = {}

        def choose(left: list[int], chance: random.Random = chance, weights: dict[int, int] = weights) -> int:
            if not weights or chance.random() < 0.1:
                weights.update({me: chance.choice((0, 1, 30)) for me in range(2, 2 + movers)})
            return chance.choices(left, [weights[me] + 0.01 for me in left])[0]

        told, moved = play(choose, movers, {})
        won = {me for me in told if told[me] == "moved"}
        assert set(told.values()) <= {"moved", "told"}, (seed, told)
        assert won == {version for _, version in moved}, (seed, told, moved)
        # One that began after another had ended moves the alias on from there.
        assert [holder for holder, _ in moved] == [1, *(version for _, version in moved[:-1])], (seed, moved)


def test_one_that_is_killed_is_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SILENCE", 5.0)
    for seed in range(60):
        chance = random.Random(seed)
        ends = {me: chance.randrange(1, 16) for me in chance.sample((2, 3, 4), chance.choice((1, 2)))}
        at = [0]

        def choose(left: list[int], at: list[int] = at) -> int:
            at[0] += 1
            return left[at[0] % len(left)]

        told, moved = play(choose, 3, ends)
        survivors = [me for me in told if me not in ends or told[me] != "gone"]
        won = [me for me in survivors if told[me] == "moved"]
        assert len(moved) == 1, (seed, told, moved)
        assert won == [me for _, me in moved if told[me] != "gone"], (seed, told, moved)
