"""Promotions of different models at once: one wins, and the others are told."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from support.databases import Databases

import runsync
from promotion.conftest import Registry, empty_registry
from runsync.promotion import turns
from runsync.workspaces.direct.registry import DirectModelRegistry
from runsync.workspaces.rest.model_registry import RestModelRegistry

Reports = dict[int, runsync.PromotionReport]


def interrupt(patch: pytest.MonkeyPatch, of: type, name: str, at_call: int, act: Callable[[], object]) -> None:
    """Does something just before the so many-th call of a method, by whomever."""
    method, calls = getattr(of, name), count(1)

    def interrupted(*args: Any, **given: Any) -> Any:
        if next(calls) == at_call:
            act()
        return method(*args, **given)

    patch.setattr(of, name, interrupted)


def outcome(target: str, name: str, reports: Reports) -> int:
    """The winner, which the alias names, after all others were told."""
    actions = {version: report.action for version, report in reports.items()}
    assert sorted(actions.values()) == ["promoted", *["refused"] * (len(reports) - 1)]
    won = next(version for version, action in actions.items() if action == "promoted")
    for lost in reports.keys() - {won}:
        assert (reports[lost].exit_code, "another one moved it" in reports[lost].promotions[0].error) == (4, True)
    assert runsync.show_model(target, name).aliases == {"champion": reports[won].version}
    records = {record.version: record.action for record in runsync.promotions(target, name).records}
    assert records.pop(reports[won].version) == "promoted"
    assert set(records.values()) <= {"overtaken"}
    return won


def together(target: str, name: str, carried: Path, versions: tuple[int, ...]) -> Reports:
    """Promotes so many versions, each in a thread of its own."""
    reports: Reports = {}

    def run(version: int) -> None:
        reports[version] = runsync.promote(str(carried), target, model=f"churn/{version}", to_model=name)

    threads = [Thread(target=run, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reports.keys() == set(versions)
    return reports


# Of the first one: its record; its look at who else is there; the look just before the move; the look after it.
PLACES = [
    pytest.param("tag_version", 1, id="record", marks=pytest.mark.slow),
    pytest.param("read", 3, id="look"),
    pytest.param("_holder", 1, id="move"),
    pytest.param("read", 4, id="look again", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("method", "call"), PLACES)
def test_a_promotion_that_hangs_is_passed_by_and_told(
    carried: Path, served: Registry, method: str, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one begins and ends while the first one does nothing."""
    monkeypatch.setattr(turns, "SILENCE", 0.1)
    name = f"hanging {method} {call}"
    reports: Reports = {}

    def other() -> None:
        reports[2] = runsync.promote(str(carried), served.url, model="churn/2", to_model=name)

    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, RestModelRegistry, method, call, other)
        reports[1] = runsync.promote(str(carried), served.url, model="churn/1", to_model=name)
    if call == 4:  # the alias had moved: the other one came after it
        assert [reports[version].action for version in (1, 2)] == ["promoted", "promoted"]
        assert [r.action for r in runsync.promotions(served.url, name).records] == ["promoted", "promoted"]
    else:
        assert outcome(served.url, name, reports) == 2


@pytest.mark.parametrize("method", ["tag_version", "read"], ids=["record", "look"])
@pytest.mark.parametrize("versions", [(1, 2), (1, 2, 3)], ids=["two", "three"])
def test_of_several_that_meet_one_wins_and_the_others_are_told(
    carried: Path, served: Registry, versions: tuple[int, ...], method: str
) -> None:
    """All of them are at the same place before any goes on, once each has made its version."""
    name = f"met {len(versions)} {method}"
    meeting = Barrier(len(versions))
    before: set[object] = set()
    tag, meet = RestModelRegistry.tag_version, getattr(RestModelRegistry, method)

    def met(registry: Any, *args: Any) -> Any:
        if id(registry) in before:
            before.discard(id(registry))
            meeting.wait(300)
        return meet(registry, *args)

    def tagged(registry: Any, version: Any, tags: Any) -> None:
        before.add(id(registry))
        (met if method == "tag_version" else tag)(registry, version, tags)

    with pytest.MonkeyPatch.context() as patch:
        if method != "tag_version":
            patch.setattr(RestModelRegistry, method, met)
        patch.setattr(RestModelRegistry, "tag_version", tagged)
        reports = together(served.url, name, carried, versions)
    outcome(served.url, name, reports)


@pytest.mark.parametrize("place", ["served", pytest.param("prod", marks=pytest.mark.slow)])
def test_those_that_promote_the_same_model_at_once_settle_on_one_version(
    carried: Path, place: str, request: pytest.FixtureRequest
) -> None:
    target: Registry = request.getfixturevalue(place)
    reports: list[runsync.PromotionReport] = []

    def run() -> None:
        reports.append(runsync.promote(str(carried), target.url, model="churn/1", to_model="same"))

    threads = [Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {report.action for report in reports} <= {"promoted", "already there"}
    assert [(report.exit_code, report.version) for report in reports] == [(0, 1)] * 3
    again = runsync.promote(str(carried), target.url, model="churn/1", to_model="same")
    assert (again.action, again.version) == ("already there", 1)


@pytest.mark.parametrize(
    "kind", ["sqlite", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("postgres", "mysql"))]
)
def test_in_a_database_the_alias_moves_in_one_step(
    carried: Path, databases: Databases, tmp_path: Path, kind: str
) -> None:
    prod = empty_registry(databases, kind, tmp_path)
    reports: Reports = {}

    def other() -> None:
        reports[2] = runsync.promote(str(carried), prod.url, model="churn/2")

    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, DirectModelRegistry, "move_alias", 1, other)
        reports[1] = runsync.promote(str(carried), prod.url, model="churn/1")
    assert outcome(prod.url, "churn", reports) == 2
