"""Standard streams that are closed, full, or that nobody reads: the exit code is that of the work."""

import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, Runner
from support.command_line import command
from support.damage import flip, one_of
from support.forks import clean_environment
from support.memory import export_into

from runsync.testing.memory import small_source

pytestmark = pytest.mark.long

BUNDLE = ROOT / "examples" / "bundle"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    export_into(folder, small_source())
    return folder


def in_shell(script: str, *arguments: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Runs a command line within a line of sh: `"$@" | true`."""
    return subprocess.run(
        ["bash", "-c", script, "sh", *command(*arguments)],
        cwd=cwd,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    "script",
    [
        pytest.param('"$@" | true; exit ${PIPESTATUS[0]}', id="no reader"),
        pytest.param('"$@" >&-', id="stdout closed", marks=pytest.mark.slow),
        pytest.param('"$@" <&- >&- 2>&-', id="all closed"),
        pytest.param('"$@" 1<&0', id="stdout cannot be written", marks=pytest.mark.slow),
        pytest.param('"$@" 2>&-', id="stderr closed", marks=pytest.mark.slow),
        pytest.param('"$@" 2>/dev/full', id="stderr full"),
    ],
)
def test_a_stream_that_takes_nothing_does_not_change_the_exit_code(script: str, tmp_path: Path, bundle: Path) -> None:
    done = in_shell(script, "check", bundle, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    flip(one_of(bundle, "blob"), 5)
    assert in_shell(script, "check", bundle, cwd=tmp_path).returncode == 12


@pytest.mark.parametrize(
    "script", ['"$@" | true; exit ${PIPESTATUS[0]}', pytest.param('"$@" <&- >&- 2>&-', marks=pytest.mark.slow)]
)
def test_the_work_is_done_when_nobody_reads_the_report(script: str, tmp_path: Path, runsync: Runner) -> None:
    done = in_shell(script, "export", ROOT / "examples" / "mlruns", "b", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len([*tmp_path.glob("b/snapshots/*.json")]) == 1
    assert runsync("check", "b").returncode == 0


def test_a_report_on_a_full_disk_is_told_and_the_work_counts(tmp_path: Path, bundle: Path) -> None:
    done = in_shell('"$@" > /dev/full', "check", bundle, "--log-file", "log", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "runsync: the report cannot be written to stdout: No space left on device\n"
    assert "cannot be written to stdout" in (tmp_path / "log").read_text()
    flip(one_of(bundle, "blob"), 5)
    assert in_shell('"$@" > /dev/full', "check", bundle, "--json", cwd=tmp_path).returncode == 12


@pytest.mark.parametrize(
    "arguments",
    [("runs", "csv"), ("runs", "list", "--format", "jsonl"), ("runs", "list", "--json"), ("inspect",), ("--help",)],
)
def test_data_on_a_full_disk_is_a_failure(arguments: tuple[str, ...], tmp_path: Path) -> None:
    where = () if arguments == ("--help",) else (BUNDLE,)
    done = in_shell('"$@" > /dev/full', *arguments, *where, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "runsync: cannot write to stdout: No space left on device\n"


def test_a_listing_ends_when_its_reader_does(tmp_path: Path) -> None:
    for form in ("jsonl", "csv", "parquet"):
        script = '"$@" | head -c 4; exit ${PIPESTATUS[0]}'
        done = in_shell(script, "runs", "list", BUNDLE, "--format", form, cwd=tmp_path)
        assert (done.returncode, done.stderr, len(done.stdout)) == (0, "", 4)


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path, bundle: Path) -> None:
    script = 'exec "$@" <&- >&- 2>&-'
    done = in_shell(script, "--debug", "import", bundle, tmp_path / "mlruns", cwd=tmp_path)
    assert done.returncode == 0
    assert not [
        file for file in (tmp_path / "mlruns").rglob("*") if file.is_file() and b"runsync:" in file.read_bytes()
    ]
