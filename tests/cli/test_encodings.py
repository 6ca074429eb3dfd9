"""Output in an encoding that lacks characters: they are shown otherwise, and the exit code is that of the work."""

import io
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, Runner
from support.command_line import command
from support.every_command import COMMANDS
from support.forks import clean_environment
from support.memory import export_into

from runsync import list_artifacts, list_runs
from runsync.cli.output import _Terminal
from runsync.cli.plain import PLAIN, json_escaped
from runsync.cli.progress import _Bar
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.testing.memory import MemorySource, run_with_metrics

pytestmark = pytest.mark.long

NAME = "“naïve” → 日本 😀"
FIRST, SECOND = "a" * 32, "b" * 32
STORE = ROOT / "examples" / "mlruns"


def _workspace() -> MemorySource:
    series = {NAME: [(0, 1, 1.0), (1, 2, 2.0)]}
    first = run_with_metrics(FIRST, series, name=NAME, params={NAME: NAME}, tags={NAME: NAME})
    second: Run = replace(first, run_id=SECOND, params={"p": "1"})
    files: dict[str, dict[str, bytes | None]] = {FIRST: {f"{NAME}/x.txt": b"x", f"lost{NAME}": None}}
    return MemorySource([Experiment("1", NAME)], [first, second], {FIRST: series, SECOND: series}, files)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encodings") / "b"
    export_into(folder, _workspace())
    return folder


def _small_store(root: Path) -> Path:
    """A file store with a run of that name."""
    run = root / "1" / FIRST
    (run / "tags").mkdir(parents=True)
    (root / "1" / "meta.yaml").write_text(f"experiment_id: '1'\nname: '{NAME}'\nlifecycle_stage: active\n")
    meta = f"run_id: '{FIRST}'\nexperiment_id: '1'\nrun_name: '{NAME}'\nstatus: 3\nlifecycle_stage: active\n"
    (run / "meta.yaml").write_text(meta)
    return root


def _process(encoding: str, *arguments: object) -> "subprocess.CompletedProcess[bytes]":
    narrow = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    return subprocess.run(
        command(*arguments),
        env=clean_environment() | narrow,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    "encoding", ["cp1252", *(pytest.param(other, marks=pytest.mark.slow) for other in ("latin-1", "ascii"))]
)
def test_an_export_in_a_narrow_encoding_ends_as_its_work_did(encoding: str, tmp_path: Path) -> None:
    done = _process(encoding, "export", STORE, tmp_path / "b")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "→" not in done.stdout.decode(encoding)
    assert f"{STORE} -> {tmp_path / 'b'}" in done.stdout.decode(encoding)
    assert len([*tmp_path.glob("b/snapshots/*.json")]) == 1


def test_the_locale_c_shows_names_with_escapes(bundle: Path) -> None:
    shown = _process("ascii", "runs", "show", bundle, "aaaa")
    assert (shown.returncode, shown.stderr) == (3, b"")  # of a bundle that lacks a file
    assert rb'"na\xefve" -> \u65e5\u672c \U0001f600' in shown.stdout


def test_json_in_a_narrow_encoding_is_exact(bundle: Path) -> None:
    for encoding in ("latin-1", "utf-8"):
        done = _process(encoding, "runs", "list", bundle, "--json")
        assert json.loads(done.stdout.decode(encoding))["runs"][0]["name"] == NAME


def test_csv_and_lines_of_json_are_utf_8_in_any_encoding(bundle: Path, tmp_path: Path, runsync: Runner) -> None:
    for way in (("--format", "csv"), ("--format", "jsonl")):
        assert NAME.split()[-1].encode() in _process("latin-1", "runs", "list", bundle, *way).stdout
    for file in ("runs.csv", "runs.json", "runs.txt"):
        runsync("runs", "list", bundle, "--output", tmp_path / file, env={"PYTHONIOENCODING": "latin-1"})
        assert NAME in (tmp_path / file).read_text(encoding="utf-8").replace('""', '"')


@pytest.mark.parametrize("line", COMMANDS.values())
def test_every_command_ends_in_latin_1_as_in_utf_8(line: str, bundle: Path, tmp_path: Path, runsync: Runner) -> None:
    done = []
    for encoding in ("utf-8", "latin-1"):
        folder = tmp_path / encoding
        new = {"new": folder / "new", "new_store": folder / "mlruns", "store": _small_store(folder / "store")}
        named = {"bundle": bundle, "evil": NAME, "evil_id": NAME}
        words = [word.format_map(new | named) for word in shlex.split(line)]
        done.append(runsync(*words, env={"PYTHONIOENCODING": encoding}))
    assert done[0].returncode == done[1].returncode
    assert "unexpected" not in done[1].stderr
    assert not set("→日") & set(done[1].stdout + done[1].stderr)


def test_a_log_file_is_utf_8_in_any_encoding(tmp_path: Path, runsync: Runner) -> None:
    runsync("check", tmp_path / NAME, "--log-file", tmp_path / "log", env={"PYTHONIOENCODING": "latin-1"})
    assert NAME in (tmp_path / "log").read_text(encoding="utf-8")


def test_a_progress_bar_is_drawn_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(content, encoding="latin-1", errors=PLAIN))
    bar = _Bar(NAME, "runs")
    bar.expect(2)
    bar.advance(runs=1, bytes=10)
    bar.close()
    sys.stderr.flush()
    assert b"0/2" in content.getvalue()


def test_data_on_a_terminal_is_in_its_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1", errors=PLAIN))
    _Terminal(content).write("ï → 日".encode())
    assert content.getvalue() == b"\xef -> \\u65e5"


def test_a_file_name_that_is_no_unicode_stands_in_json_with_escapes(tmp_path: Path, runsync: Runner) -> None:
    done = runsync("check", f"{tmp_path}/\udcff", "--json")
    assert done.returncode == 10
    assert r"\udcff" in json.loads(done.stdout)["error"]


def test_json_escapes_are_those_of_json() -> None:
    assert json.loads(json_escaped(json.dumps(NAME, ensure_ascii=False))) == NAME


def _narrow_locale(name: str, folder: Path) -> dict[str, str]:
    """The environment in which Python takes the names of files for ASCII or latin-1."""
    wide_off = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    if name == "C":
        return {**wide_off, "LC_ALL": "C"}
    folder.mkdir()
    maker = shutil.which("localedef")
    made = maker and subprocess.run(
        [maker, "-i", "en_US", "-f", "ISO-8859-1", folder / "en_US.ISO-8859-1"], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("no localedef here, or nothing to make a locale of")
    return {**wide_off, "LC_ALL": "en_US.ISO-8859-1", "LOCPATH": str(folder)}


@pytest.mark.parametrize("locale", ["C", pytest.param("latin-1", marks=pytest.mark.slow)])
def test_names_of_files_are_utf_8_in_every_locale(locale: str, tmp_path: Path) -> None:
    env = clean_environment() | _narrow_locale(locale, tmp_path / "locales")
    asked = [sys.executable, "-c", "import sys; print(sys.getfilesystemencoding())"]
    assert subprocess.run(asked, env=env, capture_output=True, check=True).stdout != b"utf-8\n"
    run = _small_store(tmp_path / "é日本") / "1" / FIRST
    for folder, content in {"params": b"1", "metrics": b"1 2 0\n", "artifacts": b"x"}.items():
        (run / folder).mkdir()
        (run / folder / "é日本.txt").write_bytes(content)
    for words in (("export", tmp_path / "é日本", tmp_path / "b"), ("verify", tmp_path / "é日本", tmp_path / "b")):
        done = subprocess.run(command(*words), env=env, capture_output=True, timeout=300, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert "日本".encode() not in done.stdout, "what is printed stays in the encoding of the locale"
    (found,) = list_runs(str(tmp_path / "b")).runs
    assert list(found.params) == ["é日本.txt"]
    assert [file.path for file in list_artifacts(str(tmp_path / "b"), FIRST).files] == ["é日本.txt"]
    library = f"import runsync; runsync.export({str(tmp_path)!a} + '/x', {str(tmp_path / 'c')!a})"
    done = subprocess.run([sys.executable, "-c", library], env=env, capture_output=True, timeout=300, check=False)
    assert b"WrongUsage: Python reads the names of files as" in done.stderr.replace(b"runsync.errors.", b"")
