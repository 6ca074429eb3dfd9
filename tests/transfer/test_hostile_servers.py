"""Servers that answer in ways no server should: a documented exit code, one line, and a sound bundle, in due time."""

import copy
import itertools
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.hostile_answers import NAMED, OF_MODELS, faults, faults_of_models, made, mutation
from support.hostile_server import EXPORTED, MODEL_FILES, MODELS, OTHER_KINDS, RUNS, Asked, Fault, HostileServer
from support.hostile_server import good as good_answer

import runsync
from runsync import download
from runsync.errors import BundleNotFound, RunsyncError
from runsync.workspaces.http import answer, client
from runsync.workspaces.rest import folders

LIMIT = 1200
"""Seconds after which it hangs: what gives up a server that trickles takes one of quiet for each request."""
MEMORY = 400 << 20
CODES = {0, 1, 3, 4, 10, 11, 12, 13}
TARGET = ("experiments/create", "runs/create", "runs/log-batch", "runs/search", "artifacts/list", "experiments/search")
QUICK = (
    *(
        "every run thrice",
        "a run of an unknown status",
        "a run without an id",
        "a file without end",
        "nesting of objects",
    ),
    *("folders without end", "the same experiments for ever", "a gzip bomb", "a part that begins elsewhere"),
    *("interim answers without end", "a history without end", "headers without end", "a document without end"),
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the server when it is good."""
    bundle = tmp_path_factory.mktemp("hostile") / "good"
    with HostileServer() as server:
        assert runsync.export(server.url, bundle, accept=OTHER_KINDS).exit_code == 0
    return bundle


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with HostileServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that are met soon, and little patience."""
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0.2")
    monkeypatch.setattr(download, "STALLED", 1.0)
    monkeypatch.setattr(client, "TIMEOUT", (10.0, 3.0))
    monkeypatch.setattr(answer, "LONGEST", 1 << 20)
    monkeypatch.setattr(answer, "MOST_PIECES", 5000)
    monkeypatch.setattr(folders, "MOST_FOLDERS", 500)


def code_of(act: Callable[[], object]) -> tuple[int, str]:
    """The exit code that a call comes to, and its one line. Anything but RunsyncError is a failure."""
    told: list[tuple[int, str]] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            report = act()
            told.append((getattr(report, "exit_code", 0), getattr(report, "stopped", "")))
        except RunsyncError as error:
            told.append((error.exit_code, str(error)))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert not thread.is_alive(), "it does not end"
    if failure:
        raise failure[0]
    return told[0]


def settle(act: Callable[[], object]) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    code, line = code_of(act)
    assert code in CODES
    assert len(line.splitlines()) <= 1
    assert len(line) < 2000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < MEMORY
    return code


def is_sound(bundle: Path) -> bool:
    try:
        return runsync.check(bundle).exit_code == 0
    except BundleNotFound:
        return True


def try_all(server: HostileServer, fault: Fault, good: Path, folder: Path) -> None:
    """Every verb that reads from, or writes to, a server."""
    server.meet(fault)
    settle(lambda: runsync.export(server.url, folder / "bundle"))
    assert is_sound(folder / "bundle")
    settle(lambda: runsync.sync(server.url, str(folder / "store")))
    settle(lambda: runsync.verify(server.url, str(good)))
    settle(lambda: runsync.list_runs(server.url))
    settle(lambda: runsync.list_artifacts(server.url, RUNS[0]))
    settle(lambda: runsync.import_(good, server.url))
    settle(lambda: runsync.doctor(server.url))
    assert server.met > 0


def try_models(server: HostileServer, fault: Fault, good: Path, folder: Path) -> None:
    """Every verb on models; what is fetched is theirs, and lies where it should."""
    server.meet(fault)
    settle(lambda: runsync.export(server.url, folder / "bundle"))
    assert is_sound(folder / "bundle")
    settle(lambda: runsync.list_models(server.url))
    settle(lambda: runsync.show_model(server.url, "churn/1"))
    settle(lambda: runsync.compare_models(server.url, ["churn"]))
    settle(lambda: runsync.get_model(server.url, "churn/1", into=folder / "model"))
    if settle(lambda: runsync.promote(server.url, str(folder / "store"), model="churn@champion")) == 0:
        assert runsync.get_model(str(folder / "store"), "churn@champion", into=folder / "promoted").exit_code == 0
        assert (folder / "promoted" / "MLmodel").read_bytes() == MODEL_FILES["MLmodel"]
    settle(lambda: runsync.promote(str(good), server.url, model="churn/1", alias="next"))
    settle(lambda: runsync.promotions(server.url, "churn"))
    settle(lambda: runsync.import_(good, server.url))
    assert {place.name for place in folder.iterdir()} <= {"bundle", "model", "store", "promoted"}


OF_MODELS_QUICK = ("every model and version twice", "a version number in words", "aliases that are none")


@pytest.mark.parametrize("name", OF_MODELS_QUICK)
def test_verbs_on_models_survive_what_no_server_should_do(
    server: HostileServer, good: Path, tmp_path: Path, name: str
) -> None:
    try_models(server, Fault(name, *OF_MODELS[name]), good, tmp_path)
    assert server.met > 0


@pytest.mark.parametrize("name", QUICK)
def test_an_export_survives_what_no_server_should_do(server: HostileServer, tmp_path: Path, name: str) -> None:
    server.meet(Fault(name, *NAMED[name]))
    settle(lambda: runsync.export(server.url, tmp_path / "bundle"))
    assert is_sound(tmp_path / "bundle")
    assert server.met > 0


@pytest.mark.parametrize(("first", "code"), [([], 0), ([{"info": {"run_id": "f" * 32, "status": "ODD"}}], 3)])
def test_runs_behind_a_page_without_any_that_can_be_read_are_exported(
    server: HostileServer, tmp_path: Path, first: list[object], code: int
) -> None:
    def search(asked: Asked) -> object:
        is_first = "start_time" not in str(asked.body.get("filter")) and "page_token" not in asked.body
        return {"runs": first, "next_page_token": "more"} if is_first else good_answer(asked).document

    server.meet(Fault("nothing on the first page", "runs/search$", made(search)))
    report = runsync.export(server.url, tmp_path / "bundle", accept=OTHER_KINDS)
    assert (report.exit_code, report.runs.created) == (code, len(RUNS))


def test_a_page_token_that_comes_again_ends_a_list_of_ever_new_runs(server: HostileServer, tmp_path: Path) -> None:
    numbers = itertools.count()

    def search(asked: Asked) -> object:
        run = copy.deepcopy((good_answer(asked).document or {})["runs"][0])
        run["info"]["run_id"] = f"{next(numbers):032x}"
        return {"runs": [run], "next_page_token": "again"}

    server.meet(Fault("ever new runs", "runs/search$", made(search)))
    report = runsync.export(server.url, tmp_path / "bundle", accept=OTHER_KINDS)
    assert report.exit_code == 13
    assert "does not end" in report.stopped


@pytest.mark.parametrize("seed", range(12))
def test_an_export_survives_any_value_in_any_place(server: HostileServer, tmp_path: Path, seed: int) -> None:
    server.meet(mutation(seed, EXPORTED))
    settle(lambda: runsync.export(server.url, tmp_path / "bundle"))
    assert is_sound(tmp_path / "bundle")


def test_of_a_run_that_comes_thrice_one_copy_is_kept_and_said(server: HostileServer, tmp_path: Path) -> None:
    server.meet(Fault("thrice", *NAMED["every run thrice"]))
    report = runsync.export(server.url, tmp_path / "bundle", accept=OTHER_KINDS)
    assert report.exit_code == 0
    assert [note for note in report.notes if "3 runs more than once: one copy of each" in note]
    assert len(runsync.list_runs(str(tmp_path / "bundle")).runs) == 3
    assert runsync.check(tmp_path / "bundle").exit_code == 0


def test_of_models_that_come_twice_one_copy_is_kept_and_said(server: HostileServer, tmp_path: Path) -> None:
    server.meet(Fault("twice", *OF_MODELS["every model and version twice"]))
    report = runsync.export(server.url, tmp_path / "bundle", accept=OTHER_KINDS)
    assert report.exit_code == 0
    told = [note for note in report.notes if "more than once: one copy of each" in note]
    assert [noun for noun in ("registered model", "logged model", "model version") if noun in "".join(told)] != []
    assert {name: tally.created for name, tally in report.objects.items()} == {
        "registered-models": 1,
        "logged-models": 1,
        "model-versions": 1,
        "model-aliases": 1,
    }
    assert runsync.check(tmp_path / "bundle").exit_code == 0


def test_a_run_that_cannot_be_read_fails_by_its_id_and_the_others_are_kept(
    server: HostileServer, tmp_path: Path
) -> None:
    server.meet(Fault("status", *NAMED["a run of an unknown status"]))
    report = runsync.export(server.url, tmp_path / "bundle", accept=OTHER_KINDS)
    assert report.exit_code == 3
    assert [(failed["kind"], failed["id"]) for failed in report.failed] == [("run", RUNS[0])]
    assert "“status” has the unknown value “BANANA”" in str(report.failed[0])
    assert len(runsync.list_runs(str(tmp_path / "bundle")).runs) == 2


def test_a_file_that_is_sent_without_end_is_named_and_the_rest_is_kept(server: HostileServer, tmp_path: Path) -> None:
    server.meet(Fault("endless", *NAMED["a file without end"]))
    report = runsync.export(server.url, tmp_path / "bundle", accept=OTHER_KINDS)
    assert report.exit_code == 3
    assert {problem["name"] for problem in report.problems} == {"model/data.bin"}
    assert "listed with 5120 bytes and gave more" in report.problems[0]["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", list(faults()), ids=lambda fault: fault.name.replace(" ", "-"))
def test_every_verb_survives_what_no_server_should_do(
    server: HostileServer, good: Path, tmp_path: Path, fault: Fault
) -> None:
    try_all(server, fault, good, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 400))
def test_every_verb_survives_any_value_in_any_place(
    server: HostileServer, good: Path, tmp_path: Path, seed: int
) -> None:
    server.meet(mutation(seed, (*EXPORTED, *TARGET)))
    settle(lambda: runsync.export(server.url, tmp_path / "bundle"))
    assert is_sound(tmp_path / "bundle")
    settle(lambda: runsync.verify(server.url, str(good)))
    settle(lambda: runsync.import_(good, server.url))


@pytest.mark.slow
@pytest.mark.parametrize("fault", list(faults_of_models(MODELS)), ids=lambda fault: fault.name.replace(" ", "-")[:60])
def test_every_verb_on_models_survives_what_no_server_should_do(
    server: HostileServer, good: Path, tmp_path: Path, fault: Fault
) -> None:
    try_models(server, fault, good, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_every_verb_on_models_survives_any_value_in_any_place(
    server: HostileServer, good: Path, tmp_path: Path, seed: int
) -> None:
    try_models(server, mutation(seed, MODELS), good, tmp_path)
