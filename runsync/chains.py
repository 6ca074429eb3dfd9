"""Work that takes several steps for each of many items, in one pool: different steps of different items go side by
side."""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor, Future
from itertools import count
from queue import SimpleQueue
from typing import Any

AT_ONCE = 64
"""Chains that are under way: enough that no worker waits, and few enough that the first end long before the last
begin."""

Task = Callable[[], Any]
Chain = Generator[Sequence[Task], Sequence[Future[Any]], None]
"""Yields the tasks of a step, which are done in the pool, and is sent their futures once all of them are done. What is
between the steps is done in the thread that called `run`."""


def run(pool: Executor, chains: Iterable[Chain]) -> None:
    """Runs chains to their ends. What one of them raises is raised, and the others are left as they are."""
    ended: SimpleQueue[_Step] = SimpleQueue()
    waiting = iter(chains)
    under_way = 0
    while True:
        while under_way < AT_ONCE and (chain := next(waiting, None)) is not None:
            under_way += _begin(pool, _Step(chain, ended), None)
        if not under_way:
            return
        step = ended.get()
        under_way += _begin(pool, _Step(step.chain, ended), step.futures) - 1


class _Step:
    """The tasks of one step of a chain; it goes into `ended` once all are done."""

    def __init__(self, chain: Chain, ended: "SimpleQueue[_Step]") -> None:
        self.chain = chain
        self.futures: Sequence[Future[Any]] = ()
        self._ended = ended
        self._done = count(1)

    def begin(self, pool: Executor, tasks: Sequence[Task]) -> None:
        """Has them done."""
        self.futures = [pool.submit(task) for task in tasks]
        for future in self.futures:
            future.add_done_callback(self._one_less)

    def _one_less(self, _: Future[Any]) -> None:
        if next(self._done) == len(self.futures):
            self._ended.put(self)


def _begin(pool: Executor, step: _Step, before: Sequence[Future[Any]] | None) -> int:
    """Begins the next step of a chain; 0 where there is none."""
    try:
        tasks = next(step.chain) if before is None else step.chain.send(before)
        while not tasks:
            tasks = step.chain.send(())
    except StopIteration:
        return 0
    step.begin(pool, tasks)
    return 1
