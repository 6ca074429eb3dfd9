"""What is typed reaches a verb as it takes it in Python."""

from typing import Any

import click
import pytest
from conftest import Runner

from runsync.cli import options as options_of_commands
from runsync.cli.root import cli
from runsync.model.option import keywords
from runsync.model.selection import Selection
from runsync.transfer import options

GROUPS = {
    "export": options.ExportOptions,
    "import": options.BundleImportOptions,
    "sync": options.SyncOptions,
    "verify": options.VerifyOptions,
    "diff": options.DiffOptions,
}


def given(name: str, *words: str) -> dict[str, Any]:
    """What the command hands on for what was typed after two places."""
    root = click.Context(cli, **cli.context_settings)
    command = cli.get_command(root, name)
    assert command is not None
    return command.make_context(name, ["one", "other", *words], parent=root, obj={}).params


@pytest.mark.parametrize("name", GROUPS)
def test_what_is_not_typed_is_as_python_has_it(name: str) -> None:
    told = {each.name: each.default for each in keywords(GROUPS[name]) if each.option}
    assert told.items() <= given(name).items()


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (("--no-artifacts",), "artifacts", False),
        (("--no-tags",), "tags", False),
        (("--thorough",), "thorough", True),
        (("--permissions",), "permissions", True),
        (("--notebook-folder", "/Users/me"), "notebook_folder", "/Users/me"),
        (("--rename", "a=b=c", "--rename", "d=e"), "rename", {"a=b": "c", "d": "e"}),
        (("--max-delete", "3"), "max_delete", "3"),
        (("--accept", "traces", "--accept", "a,b"), "accept", ("traces", "a,b")),
        (("--workers", "3"), "workers", 3),
        (("--artifacts", "/there", "--no-artifacts"), "artifacts", False),
        (("--artifacts", "/there"), "artifacts", True),
        (("--prefix", "old-"), "prefix", "old-"),
        (("--id-map", "ids.json"), "id_map", "ids.json"),
    ],
)
def test_what_is_typed_is_what_python_takes(words: tuple[str, ...], name: str, value: object) -> None:
    assert given("sync", *words)[name] == value


def test_a_selection_is_what_was_typed() -> None:
    words = ("--experiment", "a", "--experiment", "b*", "--filter", "params.x = '1'", "--state", "deleted")
    more = ("--since", "2026-11-01", "--min-runs", "3", "--kinds", "runs, registered-models", "--kinds", "notebooks")
    typed = given("export", *words, *more)
    assert options_of_commands.selected(typed, ("first",)) == Selection(
        ("a", "b*"),
        ("first",),
        "params.x = '1'",
        since=1_793_491_200_000,
        state="deleted",
        kinds=("runs", "registered-models", "notebooks"),
    )
    assert "experiments" not in typed


@pytest.mark.parametrize(("words", "value"), [((), "active"), (("--state", "all"), "all")])
def test_a_list_is_of_active_runs_unless_told_otherwise(words: tuple[str, ...], value: str) -> None:
    root = click.Context(cli, **cli.context_settings)
    group = cli.get_command(root, "runs")
    assert isinstance(group, click.Group)
    command = group.get_command(root, "list")
    assert command is not None
    assert command.make_context("list", ["one", *words], parent=root, obj={}).params["state"] == value


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("5m", 300.0), ("0s", 0.0)])
def test_how_long_to_wait_is_in_seconds(text: str, seconds: float) -> None:
    assert given("export", "--retry-lock", text)["retry_lock"] == seconds


def test_formats_of_notebooks_may_be_listed() -> None:
    assert given("export", "--notebooks", "html,source")["notebooks"] == ("SOURCE", "HTML")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("import", "b", "http://x", "--rename", "old"), "Invalid value for --rename: “old” is not OLD=NEW"),
        (("export", "http://x", "b", "--retry-lock", "soon"), "“soon” is no duration"),
        (("export", "http://x", "b", "--retry-lock", ""), "“” is no duration"),
        (("export", "http://x", "b", "--notebooks", "PDF"), "“PDF” is no format of notebooks"),
    ],
)
def test_what_cannot_be_read_ends_with_2(runsync: Runner, words: tuple[str, ...], told: str) -> None:
    done = runsync(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
