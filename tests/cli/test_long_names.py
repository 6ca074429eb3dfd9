"""Names of no end: cut wherever people read them, whole in JSON."""

import json
from pathlib import Path

import pytest
from conftest import Runner
from support.stores import START, Filler, empty_sqlite, opened, run_id

from runsync.model.experiment import Experiment
from runsync.model.run import Run

LONG = {kind: letter * 5000 for kind, letter in (("experiment", "e"), ("run", "r"), ("param", "p"), ("tag", "t"))}
WORDS = "word " * 1000


@pytest.fixture
def store(tmp_path: Path) -> str:
    address = empty_sqlite(tmp_path / "source.db")
    with opened(address, str(tmp_path / "mlartifacts")) as workspace:
        filler = Filler(workspace)
        filler.default()
        home = filler.experiment(Experiment("101", LONG["experiment"], creation_time=1, last_update_time=2))
        for number in range(2):
            params = {LONG["param"]: str(number), "prompt": f"{number}" + "v" * 5000}
            tags = {LONG["tag"]: "1", WORDS: "1"}
            run = Run(
                run_id(str(number)), home, LONG["run"], "ann", "FINISHED", START, START + 50, params=params, tags=tags
            )
            filler.run(run, {}, {"log.txt": b"epoch 1"})
    return address


def assert_short(text: str) -> None:
    """As a value of a tag the name of a run stands whole."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("mlflow.runName ")]
    for kind, name in LONG.items():
        assert name[:501] not in "\n".join(lines), kind
    assert all(len(line) < 12_000 for line in lines)  # two prompts beside each other


COMMANDS = [
    ("runs", "list", "STORE", "--columns", f"params.{LONG['param']}"),
    ("experiments", "list", "STORE"),
    ("runs", "show", "STORE", run_id("0")),
    ("runs", "compare", "STORE", run_id("0"), run_id("1")),
    ("export", "STORE", "bundle"),
    ("sync", "STORE", "FILES"),
    ("verify", "STORE", "FILES"),
    ("runs", "delete", "STORE", "--experiment", "101", "--dry-run"),
    ("runs", "show", "STORE", "x" * 5000),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
@pytest.mark.long
def test_a_name_of_no_end_is_cut_in_text(command: tuple[str, ...], store: str, runsync: Runner, tmp_path: Path) -> None:
    places = {"STORE": store, "FILES": str(tmp_path / "files")}
    if command[0] == "verify":
        runsync("sync", *(places[word] for word in ("STORE", "FILES")))
    done = runsync(*(places.get(word, word) for word in command))
    assert done.returncode in {0, 1, 3, 4}, done.stderr
    assert done.stdout + done.stderr
    assert_short(done.stdout)
    assert_short(done.stderr)


def test_json_has_it_whole(store: str, runsync: Runner, tmp_path: Path) -> None:
    done = runsync("sync", store, str(tmp_path / "files"), "--json")
    named = {one["name"] for one in json.loads(done.stdout)["problems"]}
    assert named >= {LONG["param"], LONG["tag"]}
    listed = json.loads(runsync("runs", "list", store, "--json").stdout)
    assert LONG["run"] in {run["name"] for run in listed["runs"]}


def test_a_long_value_is_whole_in_a_pipe(store: str, runsync: Runner) -> None:
    assert "0" + "v" * 5000 in runsync("runs", "show", store, run_id("0")).stdout
