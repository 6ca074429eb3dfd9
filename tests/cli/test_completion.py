"""A shell completes commands, options, and the experiments of the place that is typed already."""

from pathlib import Path

import pytest
from conftest import Runner
from support.memory import export_into
from support.seed import Seeder
from support.servers import MlflowServer

from runsync.cli import completion
from runsync.testing.memory import small_source


def _completed(runsync: Runner, *words: str, cwd: Path | None = None) -> list[str]:
    line = {"_RUNSYNC_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["runsync", *words])}
    done = runsync(env=line | {"COMP_CWORD": str(len(words))}, cwd=cwd)
    assert done.stderr == ""
    return [entry.partition(",")[2] for entry in done.stdout.splitlines() if entry]


def test_bash_is_told_how_to_ask(runsync: Runner) -> None:
    done = runsync(env={"_RUNSYNC_COMPLETE": "bash_source"})
    assert "complete" in done.stdout
    assert "_RUNSYNC_COMPLETE=bash_complete" in done.stdout


def test_commands_and_options_are_completed(runsync: Runner) -> None:
    assert _completed(runsync, "ru") == ["runs"]
    assert _completed(runsync, "runs", "re") == ["reproduce", "rename", "restore"]
    assert _completed(runsync, "runs", "list", "x", "--exp") == ["--experiment"]


def test_experiments_of_a_bundle_are_completed(runsync: Runner, tmp_path: Path) -> None:
    source = small_source()
    export_into(tmp_path / "b", source)
    names = sorted(e.name for e in source.all_experiments)
    assert sorted(_completed(runsync, "runs", "list", "b", "--experiment", "")) == names
    assert _completed(runsync, "import", "b", "--experiment", names[0][:-1]) == [
        name for name in names if name.startswith(names[0][:-1])
    ]


def test_experiments_of_a_named_workspace_are_completed(
    mlflow3_a: MlflowServer, prefix: str, runsync: Runner, tmp_path: Path
) -> None:
    with Seeder(mlflow3_a.url) as seeder:
        for name in ("churn", "chairs", "prices"):
            seeder.create_experiment(prefix + name)
    (tmp_path / "runsync.toml").write_text(f'[workspaces.dev]\nuri = "{mlflow3_a.url}"\n')
    found = _completed(runsync, "export", "dev", "--experiment", prefix + "ch")
    assert sorted(found) == [prefix + "chairs", prefix + "churn"]


@pytest.mark.parametrize("where", ["http://127.0.0.1:9", "nowhere"])
def test_a_place_that_does_not_answer_completes_to_nothing(runsync: Runner, where: str) -> None:
    assert _completed(runsync, "runs", "list", where, "--experiment", "c") == []


@pytest.mark.parametrize(
    "name", ["$(reboot)", "`reboot`", "a;reboot", "a b", "a\nplain,b", "a'b", "*", "a\x1b[2J", "~root"]
)
def test_a_name_that_bash_would_run_or_part_is_not_offered(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """bash puts what is offered on the command line as it is."""
    monkeypatch.setenv("_RUNSYNC_COMPLETE", "bash_complete")
    assert not completion._is_harmless(name)
    assert completion._is_harmless("churn-2/ünï_x.1")


def test_shells_that_quote_are_offered_all_that_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_RUNSYNC_COMPLETE", "zsh_complete")
    assert completion._is_harmless("a $(b) c")
    assert not completion._is_harmless("a\nb")
