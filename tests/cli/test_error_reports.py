"""--json prints one valid document, whatever ends a command: the error and the exit code are in it."""

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from conftest import ROOT, Runner
from support.command_line import command
from support.every_command import COMMANDS
from support.forks import clean_environment
from support.memory import export_into

from runsync.bundle import locks
from runsync.bundle.bundle import open_bundle
from runsync.cli import STOPPED, options
from runsync.errors import NoRoom
from runsync.testing.memory import small_source

SCHEMAS = {f.name: json.loads(f.read_text(encoding="utf-8")) for f in (ROOT / "schemas/v1").glob("*.json")}
REGISTRY: Any = referencing.Registry().with_resources(
    (schema["$id"], referencing.Resource.from_contents(schema)) for schema in SCHEMAS.values()
)
UNREACHABLE = "http://127.0.0.1:9"


def _valid(text: str, code: int) -> dict[str, Any]:
    """The one JSON document that a text is, valid by the schema that it names, with that exit code."""
    document: dict[str, Any] = json.loads(text)
    kind = document["format"].removeprefix("runsync-")
    jsonschema.Draft202012Validator(SCHEMAS[f"{kind}.schema.json"], registry=REGISTRY).validate(document)
    assert document["exit_code"] == code
    return document


@pytest.fixture
def error_of(runsync: Runner, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a command line with --json; its document."""

    def error_of(line: str, bundle: object, store: object, *more: str, before: tuple[str, ...] = ()) -> dict[str, Any]:
        places = {"new": tmp_path / "new", "new_store": tmp_path / "mlruns", "evil": "x", "evil_id": "ab"}
        words = [word.format_map(places | {"bundle": bundle, "store": store}) for word in shlex.split(line)]
        done = runsync(*before, *words, *more, "--json", env={"RUNSYNC_PATIENCE": "0.05"})
        assert done.returncode != 0
        document = _valid(done.stdout, done.returncode)
        if document["format"] == "runsync-error-report":
            assert document["error"]
            assert document["error"] in done.stderr.replace("\n", " ")
        return document

    return error_of


ERROR = "runsync-error-report"


@pytest.mark.parametrize("option", ["--json=1", "--json="])
def test_json_takes_no_value_and_says_so_in_json(option: str, runsync: Runner) -> None:
    done = runsync("runs", "list", ".", option)
    assert done.returncode == 2
    assert "--json" in _valid(done.stdout, 2)["error"]
    assert "does not take a value" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_usage_is_told_as_a_document(name: str, error_of: Callable[..., dict[str, Any]]) -> None:
    document = error_of(COMMANDS[name], "b", "s", "--no-such-option")
    assert (document["format"], document["exit_code"]) == (ERROR, 2)
    assert error_of(name, "b", "s")["error"] != ""


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"runs csv"}))
def test_an_error_before_anything_began_is_told_as_a_document(
    name: str, error_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "bad.toml").write_text("[workspaces.x")
    bad = error_of(COMMANDS[name], "b", "s", before=("--config", str(tmp_path / "bad.toml")))
    assert "bad.toml" in json.dumps(bad)
    missing = error_of(COMMANDS[name], tmp_path / "nowhere", UNREACHABLE)
    assert missing["exit_code"] in (1, 2, 10, 13)
    assert missing["format"] == ERROR or name == "doctor"


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"runs csv"}))
@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "stopped"),
        (RuntimeError("odd"), 1, "unexpected RuntimeError: odd; run it again with --debug, and report what it shows"),
        (NoRoom("the disk is full"), 1, "the disk is full"),
    ],
)
def test_what_ends_a_command_is_told_as_a_document(
    name: str,
    raised: BaseException,
    code: int,
    told: str,
    error_of: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(options, "access", fail)
    assert error_of(COMMANDS[name], "b", "s", *_agreed(name)) == {
        "format": ERROR,
        "version": 1,
        "exit_code": code,
        "error": told,
        "details": [],
    }


def _agreed(name: str) -> tuple[str, ...]:
    return ("--yes",) if name == "prune" else ()


def test_a_locked_bundle_is_told_as_a_document(error_of: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    export_into(tmp_path / "b", small_source())
    with locks.shared(open_bundle(tmp_path / "b").store, "export", 0):
        document = error_of("prune {bundle} --yes", tmp_path / "b", "")
    assert (document["format"], document["exit_code"]) == (ERROR, 11)


def test_further_lines_of_an_error_are_its_details(error_of: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    document = error_of("runs list {bundle} --filter 'a b'", ROOT / "examples/bundle", "")
    assert document["error"].startswith("the filter cannot be read")
    assert [line.strip() for line in document["details"]] == ["a b", "^"]


def test_a_report_of_metrics_that_cannot_be_written_has_the_exit_code(
    runsync: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("runsync.cli.metrics.write", fail)
    done = runsync("inspect", ROOT / "examples/bundle", "--json")
    assert _valid(done.stdout, 0)
    done = runsync("check", ROOT / "examples/bundle", "--json", "--metrics-file", tmp_path / "x.prom")
    assert (done.returncode, done.stderr.count("cannot be written")) == (1, 1)
    assert _valid(done.stdout, 1)["format"] == "runsync-check-report"


def test_an_interrupt_before_a_command_begins_is_told_as_a_document() -> None:
    _valid(STOPPED.decode(), 130)
    waiting = "import os, signal, sys; sys.argv += ['--json']; from runsync import cli; cli._leave_when_told();"
    done = subprocess.run(
        [*command()[:1], "-c", waiting + "os.kill(os.getpid(), signal.SIGTERM)"],
        env=clean_environment(),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, STOPPED)
