"""Help that helps: an example for every command, quick to show, and a complaint about what does not exist."""

import json
import resource
import subprocess
import sys

import pytest
from conftest import Runner
from support.command_line import command
from support.forks import clean_environment

from runsync.cli.commands import GROUPS, TREE, paths
from runsync.version import VERSION

HEAVY = {"pyarrow", "requests", "urllib3", "orjson", "jsonschema", "jsonschema_rs", "tqdm", "numpy", "pandas"}


def test_help_shows_an_example_and_every_command(runsync: Runner) -> None:
    done = runsync("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "runsync export http://localhost:5000 backup" in done.stdout
    assert "Exit codes: 0 done" in " ".join(done.stdout.split())
    for name, line in TREE.items():
        assert name in done.stdout
        assert (line if isinstance(line, str) else GROUPS[name]) in done.stdout


@pytest.mark.parametrize("name", [name for name in TREE if name in GROUPS])
def test_a_group_shows_its_commands(runsync: Runner, name: str) -> None:
    done = runsync(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for inner, line in TREE[name].items():  # type: ignore[union-attr]
        assert inner in done.stdout
        assert line in done.stdout


@pytest.mark.parametrize("name", paths())
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_of_every_command_shows_an_example_that_begins_with_it(
    runsync: Runner, name: str, option: str
) -> None:
    done = runsync(*name.split(), option)
    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(done.stdout.split())
    assert f"Example: runsync {name} " in text
    assert f"Usage: runsync {name} " in text


@pytest.mark.parametrize("name", paths())
def test_every_option_of_every_command_says_what_it_does(name: str) -> None:
    import click

    from runsync.cli.root import cli

    found: click.Command | None = cli
    for step in name.split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), step)
    assert found is not None
    assert found.help
    options = [parameter for parameter in found.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help and not option.hidden] == []


def test_all_exit_codes_stand_in_the_help(runsync: Runner) -> None:
    from runsync import errors

    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.RunsyncError) and kind is not errors.BundleError
    }
    text = " ".join(runsync("--help").stdout.split())
    for code in codes | {0, 3, 4}:
        assert f" {code} " in text.partition("Exit codes:")[2], f"exit code {code} is not explained"


LOADED = """
import json, sys
from runsync.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["runsync", *words]
    try:
        main()
    except SystemExit:
        pass
    print(json.dumps([words, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""
"""What the first command loads is still there at the next one: who loaded it first is the first that is told."""


def test_help_loads_none_of_the_heavy_libraries() -> None:
    lines = [["--help"], ["--version"], *([*name.split(), "--help"] for name in paths())]
    done = subprocess.run(
        [sys.executable, "-c", LOADED, json.dumps(lines)],
        env=clean_environment(),
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=300,
    )
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [words for words, _ in told] == lines
    assert [(words, HEAVY & {*modules}) for words, modules in told if HEAVY & {*modules}] == []


@pytest.mark.long
def test_help_is_there_at_once() -> None:
    """Under 0.3 s of CPU time, which a busy machine does not stretch; the best of five."""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command("--help"), env=clean_environment(), check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.3


def test_the_version_is_shown(runsync: Runner) -> None:
    assert runsync("--version") == (0, f"runsync {VERSION}\n", "")


def test_the_console_script_and_the_module_are_the_same_command(runsync: Runner) -> None:
    import shutil
    from pathlib import Path

    script = shutil.which("runsync", path=str(Path(sys.executable).parent))
    assert script is not None
    done = subprocess.run([script, "--help"], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == runsync("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--colour",), "No such option"),
        (("export", "http://x", "b", "--colour"), "No such option"),
        (("explode",), "No such command 'explode'"),
        (("export",), "Missing argument 'SOURCE'"),
        (("export", "http://x"), "Missing argument 'BUNDLE'"),
        (("check",), "Missing argument 'BUNDLE'"),
        (("check", "a", "b"), "unexpected extra argument"),
        (("export", "http://x", "b", "--workers", "0"), "'--workers'"),
        (("export", "http://x", "b", "--workers", "many"), "'--workers'"),
        (("export", "http://x", "b", "--state", "gone"), "'--state'"),
        (("export", "http://x", "b", "--since", "yesterday"), "“yesterday” is no time"),
        (("export", "http://x", "b", "--since", "2026-11-01T12:00"), "has no time zone"),
        (("import", "b", "http://x", "--rename", "old"), "“old” is not OLD=NEW"),
        (("import", "b", "http://x", "--rename", "=new"), "is not OLD=NEW"),
        (("export", "nowhere", "b"), "“nowhere” is no workspace"),
        (("--config", "/no/such.toml", "export", "prod", "b"), "no configuration file at /no/such.toml"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(runsync: Runner, arguments: tuple[str, ...], told: str) -> None:
    done = runsync(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_without_arguments_the_help_is_shown(runsync: Runner) -> None:
    done = runsync()
    assert "Usage: runsync" in done.stdout + done.stderr
    assert done.returncode in (0, 2)
