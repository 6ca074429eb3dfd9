"""A promotion or a rollback that ends at any write: the alias names the old model or the new one, both load, and the
next one ends it with no second version."""

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import executable
from support import proxy as faults
from support.databases import Databases
from support.killing import run_until
from support.proxy import FaultProxy, Rule
from support.servers import MlflowServer
from support.stopping import Stopped

import runsync
from promotion.conftest import Registry, Trained, empty_registry
from runsync.workspaces.http import Client
from runsync.workspaces.sql.database import Database

PREDICTED = {1: [2, 4], 2: [3, 6]}
"""What the versions of the bundle predict."""


class Stopping:
    """Lets so many writes of this process pass; it stops before or after the next one, and at all that come then."""

    def __init__(self, patch: pytest.MonkeyPatch, stop_at: int) -> None:
        self.moments = 0
        self._stop_at = stop_at
        transact, send = Database.transact, Client.send

        def stopped_transact(database: Database, *args: object, **given: object) -> object:
            self.meet()
            done: object = transact(database, *args, **given)  # type: ignore[arg-type]
            self.meet()
            return done

        def stopped_send(client: Client, method: str, path: str, *args: object, **given: object) -> object:
            is_write = method != "GET" and not path.endswith("/search")
            if is_write:
                self.meet()
            done = send(client, method, path, *args, **given)  # type: ignore[arg-type]
            if is_write:
                self.meet()
            return done

        patch.setattr(Database, "transact", stopped_transact)
        patch.setattr(Client, "send", stopped_send)

    def meet(self) -> None:
        """A moment at which the process may be gone."""
        self.moments += 1
        if self.moments > self._stop_at:
            raise Stopped


Act = Callable[[], runsync.PromotionReport]


def ends_by(moment: int, act: Act) -> bool:
    """Does something that stops at that moment; whether it came to its end."""
    with pytest.MonkeyPatch.context() as patch:
        Stopping(patch, moment)
        try:
            report = act()
        except Stopped:
            return False
    assert report.action in ("promoted", "rolled back", "already there")
    return True


def champion(target: str, name: str) -> int:
    """The version that is champion."""
    return runsync.show_model(target, name).aliases["champion"]


def loads(target: Registry, name: str) -> None:
    """The champion predicts as the old one or as the new one."""
    told = target.predicts(f"{name}@champion")[f"{name}@champion"]
    assert told == PREDICTED[champion(target.url, name)]


def ended(act: Act, target: Registry, name: str, moves: list[tuple[int | None, int]]) -> None:
    """Running it again brings the last of these moves, once."""
    assert act().action in ("promoted", "rolled back", "already there")
    (listed,) = runsync.list_models(target.url, models=[name]).models
    assert (listed.versions, listed.aliases) == (2, {"champion": moves[-1][1]})
    records = runsync.promotions(target.url, name).records
    assert [(record.holder, record.version) for record in records] == moves
    assert not {record.action for record in records} - {"promoted", "rolled back"}


EVERY = [5, pytest.param(1, marks=pytest.mark.slow)]
"""A stop after so many moments of what is left, and after a later one where what belongs together takes more."""


def stopped_again_and_again(act: Act, target: Registry, name: str, moments: int) -> None:
    """Until it comes to its end; before that, whatever is champion is whole."""
    stops = 0
    while not ends_by(moments + stops // 8, act):
        stops += 1
        assert (stops < 200, champion(target.url, name) in (1, 2)) == (True, True)
        if stops % 20 == 0:
            loads(target, name)
    assert stops > 3


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Registry]:
    """A server to which no other test has brought the run and its files: there all writes are left to do."""
    with MlflowServer(executable("3"), folder=tmp_path / "own", gunicorn=True) as server:
        yield Registry(server.url, server.url, server.folder)


@pytest.mark.parametrize("moments", EVERY)
def test_a_promotion_into_a_server_that_stops_at_any_write_is_ended_by_the_next(
    carried: Path, own_server: Registry, moments: int
) -> None:
    runsync.promote(str(carried), own_server.url, model="churn/1")

    def act() -> runsync.PromotionReport:
        return runsync.promote(str(carried), own_server.url, model="churn/2", workers=1)

    stopped_again_and_again(act, own_server, "churn", moments)
    ended(act, own_server, "churn", [(None, 1), (1, 2)])
    loads(own_server, "churn")


@pytest.mark.parametrize("source", ["bundle", pytest.param("database", marks=pytest.mark.slow)])
@pytest.mark.parametrize("moments", [2, *EVERY[1:]])
def test_a_promotion_into_a_database_that_stops_at_any_write_is_ended_by_the_next(
    carried: Path, trained: Trained, prod: Registry, moments: int, source: str
) -> None:
    runsync.promote(str(carried), prod.url, model="churn/1")

    def act() -> runsync.PromotionReport:
        where = str(carried) if source == "bundle" else trained.url
        return runsync.promote(where, prod.url, model="churn/2", workers=1)

    stopped_again_and_again(act, prod, "churn", moments)
    ended(act, prod, "churn", [(None, 1), (1, 2)])
    loads(prod, "churn")


def planned(carried: Path, target: Registry, name: str, folder: Path) -> Path:
    """Version 1 is champion, version 2 is to be."""
    runsync.promote(str(carried), target.url, model="churn/1", to_model=name)
    plan = folder / "plan.json"
    gates: dict[str, Any] = {"better_than": ["champion"], "on": "metrics.loss down"}
    runsync.promote(str(carried), target.url, model="churn/2", to_model=name, plan=plan, **gates)
    return plan


@pytest.mark.parametrize("place", ["prod", pytest.param("served", marks=pytest.mark.slow)])
def test_a_plan_that_is_applied_and_stops_at_any_write_is_ended_by_the_next(
    carried: Path, place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    target: Registry = request.getfixturevalue(place)
    plan = planned(carried, target, "applied", tmp_path)

    def act() -> runsync.PromotionReport:
        return runsync.apply_plan(plan, workers=1)

    stopped_again_and_again(act, target, "applied", 2)
    ended(act, target, "applied", [(None, 1), (1, 2)])


@pytest.mark.parametrize("place", ["prod", "served"])
def test_a_rollback_that_stops_at_any_write_is_ended_by_the_next(
    carried: Path, place: str, request: pytest.FixtureRequest
) -> None:
    target: Registry = request.getfixturevalue(place)
    for version in (1, 2):
        runsync.promote(str(carried), target.url, model=f"churn/{version}", to_model="back")

    def act() -> runsync.PromotionReport:
        return runsync.rollback(target.url, "back@champion", to=1)

    for moment in range(20):
        if ends_by(moment, act):
            break
        assert champion(target.url, "back") in (1, 2)
    assert moment > 3
    ended(act, target, "back", [(None, 1), (1, 2), (2, 1)])


def test_a_rollback_that_was_killed_once_the_alias_had_moved_is_not_taken_back(carried: Path, prod: Registry) -> None:
    for version in (1, 2):
        runsync.promote(str(carried), prod.url, model=f"churn/{version}")
    moments = 0
    while champion(prod.url, "churn") == 2:
        assert not ends_by(moments, lambda: runsync.rollback(prod.url, "churn@champion"))
        moments += 1
    assert runsync.rollback(prod.url, "churn@champion").action == "already there"
    assert champion(prod.url, "churn") == 1
    assert runsync.rollback(prod.url, "churn@champion").version == 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(18))
def test_what_is_killed_at_any_write_is_ended_by_the_next(
    carried: Path, databases: Databases, served: Registry, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    kind, how = ("sqlite", "postgres", "server")[seed % 3], ("promote", "apply", "rollback")[seed // 3 % 3]
    target = served if kind == "server" else empty_registry(databases, kind, tmp_path)
    name = f"killed {seed}"
    moves: list[tuple[int | None, int]] = [(None, 1), (1, 2)]
    arguments: tuple[object, ...] = ("promote", "--apply", planned(carried, target, name, tmp_path))
    if how == "promote":
        arguments = ("promote", carried, target.url, "churn/2", "--to-model", name)
    if how == "rollback":
        runsync.promote(str(carried), target.url, model="churn/2", to_model=name)
        arguments = ("promote", "--rollback", target.url, f"{name}@champion", "--to", "1")
        moves.append((2, 1))
    last = {"rollback": 25}.get(how, 150)
    killed = run_until(chance.randrange(1, last), signal.SIGKILL, arguments, tmp_path)
    assert killed.code in (0, -signal.SIGKILL), killed.told
    loads(target, name)

    def act() -> runsync.PromotionReport:
        if how == "rollback":
            return runsync.rollback(target.url, f"{name}@champion", to=1)
        return runsync.promote(str(carried), target.url, model="churn/2", to_model=name)

    ended(act, target, name, moves)


def test_an_answer_that_is_lost_makes_no_second_version(carried: Path, served: Registry) -> None:
    lost = Rule(
        faults.drop_response(), r"model-versions/create|registered-models/alias|set-tag", count=None, probability=0.5
    )
    with FaultProxy(served.url, lost) as proxy:
        report = runsync.promote(str(carried), proxy.url, model="churn/1", to_model="lost")
    assert (report.action, report.version, lost.fired > 0) == ("promoted", 1, True)
    assert [model.versions for model in runsync.list_models(served.url, models=["lost"]).models] == [1]
