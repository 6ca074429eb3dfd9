"""Work in chains of steps: each step is done before the next, and chains go side by side."""

import threading
from collections import Counter
from functools import partial

import pytest

from runsync import chains, threads
from runsync.errors import RequestRefused


def test_a_step_begins_once_all_tasks_of_the_one_before_are_done() -> None:
    done: list[tuple[int, str]] = []

    def chain(number: int) -> chains.Chain:
        for step in ("make", "fill", "mark"):
            futures = yield [partial(tuple[int, str], (number, step))] * 3
            done.extend(future.result() for future in futures)

    with threads.pool(4) as pool:
        chains.run(pool, map(chain, range(200)))

    assert Counter(done) == {(n, step): 3 for n in range(200) for step in ("make", "fill", "mark")}
    assert [step for number, step in done if number == 7] == ["make"] * 3 + ["fill"] * 3 + ["mark"] * 3


def test_steps_of_different_chains_go_side_by_side() -> None:
    met = threading.Barrier(2, timeout=60)

    def chain(steps: int) -> chains.Chain:
        for _ in range(steps):
            yield [lambda: None]
        yield [met.wait]

    with threads.pool(2) as pool:
        chains.run(pool, map(chain, (0, 5)))


def test_a_step_without_tasks_is_passed_over() -> None:
    def chain() -> chains.Chain:
        assert (yield []) == ()
        (future,) = yield [lambda: "done"]
        assert future.result() == "done"

    with threads.pool(1) as pool:
        chains.run(pool, [chain()])


def test_what_a_chain_raises_ends_all() -> None:
    def chain() -> chains.Chain:
        yield [lambda: None]
        raise RequestRefused("no")

    with pytest.raises(RequestRefused), threads.pool(2) as pool:
        chains.run(pool, [chain() for _ in range(9)])
