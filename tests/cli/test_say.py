"""What others named never speaks to the terminal: no control character of a name, an id or an error is printed."""

import shlex
import signal
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from support.every_command import COMMANDS
from support.memory import export_into

from runsync.cli import say
from runsync.cli.commands import paths
from runsync.cli.root import cli
from runsync.cli.run import run
from runsync.kinds.logged_models import LOGGED_MODELS, READY, LoggedModel
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS, Home, ModelVersion
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.model.experiment import Experiment
from runsync.model.run import ArtifactFile, DatasetInput, ModelLink, Run
from runsync.testing.memory import MemorySource, run_with_metrics
from runsync.testing.memory_kinds import MemoryModels

EVIL = "\x1b]0;pwned\x07\x1b[2J\x9b31m\r\n\v\x85\u202e\u2066\u2028\x7fend"
SOFT = "\x85\x9b31m\u202e\u2066\u2028\x7fend"
"""What a path in a bundle may have in it."""
FIRST, SECOND = "a" * 32, "b" * 32
HOSTILE_ID = f"ab{EVIL}"
MORE = (
    "export {store} {new}",
    "export {store} {new} --dry-run",
    "import {bundle} {new_store} --dry-run",
    "artifacts list {bundle} aaaa --format tree",
    "artifacts list {store} {evil_id}",
    "models show {bundle} churn/1",
    "models show {bundle} churn{evil}/1",
    "models get {bundle} churn/1 --into {new}",
    "models compare {bundle} churn churn{evil}",
    "promote {bundle} {new_store} churn/1",
    "promote {bundle} {new_store} churn{evil}/1 --alias {evil}",
    "runs snippet {bundle} models:/churn{evil}/1",
    "runs list {bundle} --run {evil}",
    "runs list {evil}",
    "runs list {bundle} --filter {evil}",
    "runs {evil}",
    "runs list {bundle} --{evil}",
    "runs source {bundle} {evil_id}",
    "runs reproduce {bundle} {evil_id} --into {new} --dry-run",
    "--debug runs show {bundle} {evil}",
    "check {bundle} --read-data-subset {evil}",
)


def _controls(text: str) -> set[str]:
    return {c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}


def _hostile() -> MemorySource:
    """Runs in which all that others may name is hostile, as far as a bundle takes it."""
    series = {f"loss{EVIL}": [(0, 1, 1.0)]}
    first = run_with_metrics(
        FIRST,
        series,
        name=f"run{EVIL}",
        params={f"p{EVIL}": f"v{EVIL}"},
        tags={
            f"t{EVIL}": f"v{EVIL}",
            "mlflow.user": f"u{EVIL}",
            "mlflow.note.content": f"n{EVIL}",
            "mlflow.source.name": f"s{EVIL}",
            "mlflow.source.type": f"LOCAL{EVIL}",
            "mlflow.source.git.commit": f"c{EVIL}",
            "mlflow.source.git.repoURL": f"https://host/x{EVIL}.git",
            "mlflow.project.entryPoint": f"e{EVIL}",
            "mlflow.parentRunId": f"q{EVIL}",
        },
        dataset_inputs=(DatasetInput(f"d{EVIL}", f"g{EVIL}", f"t{EVIL}", f"s{EVIL}"),),
        model_outputs=(ModelLink(f"m{EVIL}", 0),),
        artifact_uri=f"/nowhere/{EVIL}",
        user_id=f"u{EVIL}",
    )
    second = replace(first, run_id=SECOND, name=f"other{EVIL}", params={}, tags={})
    experiments = [Experiment("1", f"e{EVIL}", tags={f"t{EVIL}": f"v{EVIL}"}, artifact_location=f"/{EVIL}")]
    files: dict[str, dict[str, bytes | None]] = {FIRST: {f"a{SOFT}/b{SOFT}.txt": b"x", f"lost{SOFT}": None}}
    source = MemorySource(experiments, [first, second], {FIRST: series, SECOND: series}, files)
    source.models = _models()
    return source


def _models() -> dict[str, MemoryModels[Any]]:
    """A model whose name a command can give, and one that is called as others please."""
    logged = LoggedModel("m-1", "1", f"net{EVIL}", f"t{EVIL}", FIRST, READY, f"s{EVIL}", 1, 1, {f"p{EVIL}": EVIL})
    home = Home(LOGGED_MODELS.name, "m-1")
    models, versions, aliases = [], [], []
    for name in ("churn", f"churn{EVIL}"):
        models.append(RegisteredModel(name, f"d{EVIL}", {f"t{EVIL}": EVIL}))
        versions.append(ModelVersion(name, 1, f"models:/m-1{EVIL}", home, FIRST, user_id=EVIL, description=EVIL))
        aliases.append(ModelAlias(name, f"a{EVIL}", 1))
    return {
        LOGGED_MODELS.name: MemoryModels(LOGGED_MODELS, [logged], {("m-1",): {"MLmodel": b"x", f"f{SOFT}": b"y"}}),
        REGISTERED_MODELS.name: MemoryModels(REGISTERED_MODELS, models),
        MODEL_VERSIONS.name: MemoryModels(MODEL_VERSIONS, versions),
        MODEL_ALIASES.name: MemoryModels(MODEL_ALIASES, aliases),
    }


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A bundle and a file store full of hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    return {"bundle": str(_bundle(folder / "bundle")), "store": str(_store(folder / "store")), "evil": EVIL}


def _bundle(folder: Path) -> Path:
    export_into(folder, _Named(**vars(_hostile())))
    return folder


class _Named(MemorySource):
    """Its files may be called anything."""

    def artifacts(self, run: Run) -> tuple[ArtifactFile, ...]:
        return tuple(ArtifactFile(path, len(data or b"")) for path, data in self.files.get(run.run_id, {}).items())


def _store(root: Path) -> Path:
    """A file store, whose broken folders and files are named so, too."""
    run_id = "0" * 32
    for folder in ("params", "tags", "metrics", f"artifacts/a{EVIL}"):
        (root / "1" / run_id / folder).mkdir(parents=True)
    name = '"e' + "".join(f"\\u{ord(c):04x}" for c in EVIL) + '"'
    (root / "1/meta.yaml").write_text(f"experiment_id: '1'\nname: {name}\nlifecycle_stage: active\n")
    (root / "1" / run_id / "meta.yaml").write_text(
        f"run_id: '{run_id}'\nexperiment_id: '1'\nrun_name: {name}\nstatus: 3\nlifecycle_stage: active\n"
    )
    (root / "1" / run_id / "artifacts" / f"a{EVIL}" / f"f{EVIL}").write_text("x")
    (root / "1" / run_id / "params" / f"p{EVIL}").write_text(EVIL)
    (root / "2").mkdir()
    (root / "2/meta.yaml").write_text(f"experiment_id: {name}\nname: two\nlifecycle_stage: active\n")
    return root


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in this process, which keeps its signals; nothing of colours is taken out on the way."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(signal, "set_wakeup_fd", lambda *_, **__: -1)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)


def test_every_command_is_walked() -> None:
    assert sorted(COMMANDS) == sorted(paths())


@pytest.mark.parametrize("line", [*COMMANDS.values(), *MORE])
@pytest.mark.usefixtures("in_process")
def test_no_command_prints_a_control_character_of_others(
    line: str, places: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = {"new": str(tmp_path / "new"), "new_store": str(tmp_path / "mlruns"), "evil_id": HOSTILE_ID}
    log = tmp_path / "log"
    words = [word.format_map(places | new) for word in shlex.split(line)]
    if "--log-file" in _help(words):
        words += ["--log-file", str(log)]
    run(cli, words)
    printed = capsys.readouterr()
    assert printed.out + printed.err or {"--quiet", "--output"} & set(words)
    assert not _controls(printed.out)
    assert not _controls(printed.err)
    if log.exists():
        assert not _controls(log.read_text(encoding="utf-8"))


def _help(words: list[str]) -> str:
    """The options of the command that is meant; "" where there is none."""
    from click import Context, Group

    found: object = cli
    for word in words:
        if isinstance(found, Group):
            found = found.get_command(Context(found), word)
    return " ".join(option for p in getattr(found, "params", ()) for option in p.opts)


def test_json_tells_names_exactly(places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    import json

    say.json(json.dumps({"name": EVIL}))
    assert json.loads(capsys.readouterr().out) == {"name": EVIL}


def test_colours_are_let_through_and_names_in_them_are_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from runsync.cli.tables import bold

    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    say.out(bold(f"run {EVIL}"))
    printed = capsys.readouterr().out
    assert printed.startswith("\x1b[1mrun ")
    assert _controls(printed.removeprefix("\x1b[1m").replace("\x1b[0m", "")) == set()


def test_nothing_else_writes_to_the_terminal() -> None:
    """A print or echo elsewhere would go past the one place that cleans text."""
    found = [
        f"{file.name}: {line.strip()}"
        for file in sorted((ROOT / "runsync").rglob("*.py"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if any(word in line for word in ("click.echo", "click.secho", "click.confirm", " print(", ".stderr.write"))
        and file.name not in ("say.py", "snippet_text.py", "reproduce_script.py")  # the latter write code
    ]
    assert found == []
