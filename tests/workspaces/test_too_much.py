"""Servers, and what stands before them, that do not manage as much at a time as MLflow's API allows."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import proxy as faults
from support.hostile_server import HostileServer
from support.proxy import Action, FaultProxy, Rule
from support.seed import Seeder, points
from support.servers import MlflowServer
from support.stores import START, Filler, empty_sqlite, opened, run_id

import runsync
from runsync.errors import AnswerTooLong, RequestRefused, TooMuch
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.patience import PATIENCE, Patience
from runsync.transfer.report import TransferReport
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.http import NEEDED, Client, Portion
from runsync.workspaces.http.care import SOON
from runsync.workspaces.http.portion import GROWS_AFTER

SHORT = Patience(seconds=60, first_delay=0.01, longest_delay=0.02)


@pytest.fixture(scope="module")
def small(fleet: object) -> tuple[MlflowServer, str]:
    """Three runs with two histories each, one with long tags."""
    server: MlflowServer = fleet.get("mlflow3_a")  # type: ignore[attr-defined]
    name = f"too-much-{time.time_ns()}"
    with Seeder(server.url) as seeder:
        experiment = seeder.create_experiment(name)
        for number in range(3):
            run = seeder.create_run(experiment, start_time=1_700_000_000_000 + number)
            points(seeder, run, "loss", 40)
            points(seeder, run, "auc", 3)
            seeder.log_batch(run, params={f"p{i}": "v" * 50 for i in range(30)})
            seeder.finish(run)
        seeder.log_batch(run, tags={f"note {i}": "n" * 900 for i in range(6)})
    return server, name


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Next to no pause between tries."""
    monkeypatch.setattr(Patience, "delay", lambda self, failures: 0.01)


def more_than(most: int) -> Callable[[bytes], bool]:
    return lambda body: bool(json.loads(body or b"{}").get("max_results", 0) > most)


def exported(small: tuple[MlflowServer, str], folder: Path, *rules: Rule) -> TransferReport:
    """An export by way of a proxy that is whole; its report."""
    server, name = small
    bundle = str(folder / "b")
    with FaultProxy(server.url, *rules) as proxy:
        report = runsync.export(proxy.url, bundle, selection=runsync.Selection(experiments=(name,)))
    assert (report.exit_code, report.runs.created) == (0, 3)
    assert runsync.verify(bundle, server.url).exit_code == 0
    return report


@pytest.mark.parametrize(
    ("action", "why"),
    [
        *((faults.respond(status), f"HTTP {status}") for status in (413, 503, 504)),
        (faults.drop(), "no answer"),
        *(pytest.param(faults.respond(status), f"HTTP {status}", marks=pytest.mark.slow) for status in (408, 500, 502)),
    ],
)
def test_fewer_runs_are_asked_for_at_a_time(
    small: tuple[MlflowServer, str], tmp_path: Path, action: Action, why: str
) -> None:
    report = exported(small, tmp_path, Rule(action, "runs/search", count=None, of=more_than(125)))
    assert report.notes == [f"pages of 125 runs: the server did not manage 1,000 ({why})"]


def test_fewer_experiments_are_asked_for_at_a_time(small: tuple[MlflowServer, str], tmp_path: Path) -> None:
    rule = Rule(faults.respond(504), "experiments/search", "POST", count=None, of=more_than(600))
    report = exported(small, tmp_path, rule)
    assert report.notes == ["pages of 500 experiments: the server did not manage 1,000 (HTTP 504)"]


def test_histories_of_fewer_runs_are_asked_for_at_a_time(small: tuple[MlflowServer, str], tmp_path: Path) -> None:
    rule = Rule(faults.respond(504), "history-bulk.*run_id=.*run_id=", count=None)
    report = exported(small, tmp_path, rule)
    assert report.notes == ["metric histories of 1 run a request: the server did not manage 3 (HTTP 504)"]


def test_histories_that_never_come_in_bulk_are_told(small: tuple[MlflowServer, str], tmp_path: Path) -> None:
    report = exported(small, tmp_path, Rule(faults.respond(504), "history-bulk", count=None))
    assert report.notes == ["metric histories one key of one run a request: the server did not manage more (HTTP 504)"]


def test_one_at_a_time_is_told_in_the_singular(small: tuple[MlflowServer, str], tmp_path: Path) -> None:
    report = exported(small, tmp_path, Rule(faults.respond(413), "runs/search", count=None, of=more_than(1)))
    assert report.notes == ["pages of 1 run: the server did not manage 1,000 (HTTP 413)"]


def test_a_search_that_fails_for_one_run_too_is_not_told_as_one_that_was_managed(
    small: tuple[MlflowServer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PATIENCE, "1")
    server, name = small
    with FaultProxy(server.url, Rule(faults.respond(504), "runs/search", count=None)) as proxy:
        report = runsync.export(proxy.url, tmp_path / "b", selection=runsync.Selection(experiments=(name,)))
    assert "answered 504 to /api/2.0/mlflow/runs/search" in report.stopped
    assert report.notes == []


@pytest.mark.parametrize("status", [413, 504])
def test_fewer_of_the_kinds_that_stay_behind_are_asked_for(tmp_path: Path, status: int) -> None:
    action = faults.respond(status)
    large = [
        Rule(action, r"registered-models/search\?.*max_results=1\d{3}", count=None),
        Rule(action, "traces/search", count=None, of=more_than(100)),
    ]
    with HostileServer() as server, FaultProxy(server.url, *large) as proxy:
        report = runsync.export(proxy.url, tmp_path / "b")
        assert {r.path.rsplit("/")[-2] for r in proxy.requests if r.fault} == {"registered-models", "traces"}
    assert "traces" in {left.kind for left in report.left_behind}
    assert report.objects["registered-models"].created == 1
    assert not [left for left in report.left_behind if "does not tell whether" in left.why]
    assert report.exit_code == 3


def test_shorter_pages_of_a_history_are_asked_for(small: tuple[MlflowServer, str], tmp_path: Path) -> None:
    rules = [
        Rule(faults.respond(404), "history-bulk", count=None),
        Rule(faults.respond(504), r"get-history\?.*max_results=\d{3}", count=None),
    ]
    (note,) = exported(small, tmp_path, *rules).notes
    assert note == "pages of 97 metric points: the server did not manage 50,000 (HTTP 504)"


def test_smaller_batches_are_written(
    small: tuple[MlflowServer, str], mlflow3_b: MlflowServer, prefix: str, tmp_path: Path
) -> None:
    server, name = small
    rules = [
        Rule(faults.respond(413), f"runs/{path}", count=None, of=lambda body: len(body) > 2500)
        for path in ("log-batch", "create")
    ]
    selection = runsync.Selection(experiments=(name,))
    with FaultProxy(mlflow3_b.url, *rules) as proxy:
        report = runsync.sync(server.url, proxy.url, selection=selection, prefix=prefix)
        assert [r for r in proxy.seen("runs/create") if r.fault]
    assert (report.exit_code, report.runs.created) == (0, 3)
    assert any("log-batch requests of" in note for note in report.notes)
    assert runsync.verify(server.url, mlflow3_b.url, selection=selection, prefix=prefix).exit_code == 0


def test_a_server_that_restarts_is_not_taken_for_one_that_has_too_much_to_do(mlflow3_a: MlflowServer) -> None:
    portion = Portion(1000, "thing")
    with FaultProxy(mlflow3_a.url, Rule(faults.drop(), "", count=25)) as proxy:
        client = Client(proxy.url, Credentials(), patience=SHORT)
        path = "/api/2.0/mlflow/experiments/search"
        portion.ask(lambda size, care: client.get(path, care=care, max_results=size))
        client.close()
    assert (portion.size, portion.notes) == (1000, [])


BOUNDED = {"error_code": "INVALID_PARAMETER_VALUE", "message": "max_results must be at most 100, but got value more"}


def test_a_server_that_bounds_its_pages_is_asked_for_less(small: tuple[MlflowServer, str], tmp_path: Path) -> None:
    bounded = faults.respond(400, body=json.dumps(BOUNDED).encode())
    rules = [
        *(Rule(bounded, path, "POST", count=None, of=more_than(100)) for path in ("runs/search", "experiments/search")),
        Rule(bounded, r"(get-history|history-bulk)\?.*max_results=(\d{4,}|[1-9]\d\d\b)", count=None),
        Rule(bounded, r"(registered-models|model-versions)/search\?.*max_results=\d{3,}", count=None),
    ]
    notes = exported(small, tmp_path, *rules).notes
    assert sorted(note.partition(":")[0] for note in notes) == [
        "pages of 62 experiments",
        "pages of 62 runs",
        "pages of 97 metric points",
    ]
    assert all("HTTP 400" in note for note in notes)


def test_less_is_asked_for_soon_though_nothing_else_is_answered_meanwhile(mlflow3_a: MlflowServer) -> None:
    portion = Portion(1000, "thing")
    rules = [Rule(faults.respond(504), path, count=None) for path in ("/health", r"max_results=(\d{3,}|1)$")]
    with FaultProxy(mlflow3_a.url, *rules) as proxy:
        client = Client(proxy.url, Credentials(), patience=SHORT)
        path = "/api/2.0/mlflow/experiments/search"
        portion.ask(lambda size, care: client.get(path, care=care, max_results=size))
        client.close()
        assert (portion.size, proxy.count("max_results")) == (62, 4 * SOON + 1)


def test_for_each_request_that_is_given_up_a_server_is_asked_once_whether_it_is_well(mlflow3_a: MlflowServer) -> None:
    portion = Portion(1000, "thing")
    with FaultProxy(mlflow3_a.url, Rule(faults.respond(503), r"max_results=\d{3,}", count=None)) as proxy:
        client = Client(proxy.url, Credentials(), patience=SHORT)
        path = "/api/2.0/mlflow/experiments/search"
        portion.ask(lambda size, care: client.get(path, care=care, max_results=size))
        client.close()
        assert (portion.size, proxy.count("max_results"), proxy.count("/health")) == (62, 4 * SOON + 1, 4)


@pytest.mark.parametrize(
    "action",
    [faults.respond(413), pytest.param(faults.refuse(413), marks=pytest.mark.slow), faults.drop()],
    ids=lambda action: action.name,
)
def test_a_file_that_a_proxy_does_not_take_fails_alone(
    action: Action, tmp_path: Path, mlflow3_b: MlflowServer, prefix: str
) -> None:
    source = empty_sqlite(tmp_path / "source.db")
    with opened(source, str(tmp_path / "mlartifacts")) as workspace:
        filler = Filler(workspace)
        home = filler.experiment(Experiment("101", "home"))
        for number in range(3):
            run = Run(run_id(str(number)), home, f"run {number}", "ann", "FINISHED", START, START + 50)
            filler.run(run, {}, {"small.txt": b"x", **({"big.bin": b"x" * 4_000_000} if number == 1 else {})})
    with FaultProxy(mlflow3_b.url, Rule(action, "artifacts/.*big.bin", "PUT", count=None)) as proxy:
        done = runsync.sync(source, proxy.url, prefix=prefix)
    assert (done.stopped, done.exit_code, done.runs.created, done.artifacts) == ("", 3, 3, 3)
    (missing,) = done.problems
    assert (missing["run_id"], missing["name"]) == (run_id("1"), "big.bin")
    assert "4,000,000 bytes" in missing["reason"]
    assert "client_max_body_size" in missing["reason"]
    assert runsync.sync(source, mlflow3_b.url, prefix=prefix).exit_code == 0


def test_one_thing_that_is_too_much_fails_as_it_did(mlflow3_a: MlflowServer) -> None:
    portion = Portion(1000, "thing")
    with FaultProxy(mlflow3_a.url, Rule(faults.respond(413), "experiments/search", count=None)) as proxy:
        client = Client(proxy.url, Credentials(), patience=SHORT)
        with pytest.raises(RequestRefused, match="answered 413") as caught:
            portion.ask(lambda size, care: client.get("/api/2.0/mlflow/experiments/search", care=care))
        client.close()
    assert not isinstance(caught.value, TooMuch)


def manages(most: int, portion: Portion, answers: int) -> list[int]:
    """The sizes that are asked for, of a server that manages so many, until so many answers came."""
    asked: list[int] = []

    def ask(size: int, care: object) -> None:
        asked.append(size)
        if size > most:
            raise TooMuch("no", 504)

    for _ in range(answers):
        portion.ask(ask)
    return asked


def test_more_is_tried_once_after_a_while_and_not_again_where_it_fails() -> None:
    portion = Portion(1000, "run")
    asked = manages(300, portion, 10 * GROWS_AFTER)
    assert asked[:3] == [1000, 500, 250]
    assert asked.count(500) == 2
    assert asked.count(1000) == 1
    assert set(asked[-20:]) == {250}


def test_a_server_that_recovers_is_asked_for_as_much_as_before() -> None:
    portion = Portion(1000, "run")
    manages(100, portion, 1)
    assert portion.size == 62
    assert manages(1000, portion, 6 * GROWS_AFTER)[-1] == 1000
    assert portion.notes == ["pages of 62 runs: the server did not manage 1,000 (HTTP 504)"]


def test_an_answer_that_is_far_too_long_is_divided_at_once() -> None:
    portion = Portion(1000, "run")

    def ask(size: int, care: object) -> int:
        if size == 1000:
            raise AnswerTooLong("no end")
        return size

    assert portion.ask(ask) == 125


def test_the_last_one_is_asked_for_with_all_patience() -> None:
    portion = Portion(4, "run")
    asked: list[object] = []

    def ask(size: int, care: object) -> None:
        asked.append(care)
        if size > 1:
            raise TooMuch("no", 504)

    portion.ask(ask)
    assert asked[-1] == NEEDED
