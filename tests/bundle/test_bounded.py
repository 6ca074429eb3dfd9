"""Hostile bundles take no more memory than good ones: what is large only once unpacked or read is refused."""

import os
import resource
import subprocess
from pathlib import Path

import pytest
from support.command_line import command
from support.forks import clean_environment
from support.hostile import Forgery, Hostile, particular
from support.memory import export_to
from support.mutations import source_of

from runsync.bundle.bundle import create_bundle

MOST = 1024
"""MiB that a command may take at its peak. A good bundle of this size takes 130."""
HEAVY = [
    "a line that never ends as runs",
    "lines that never end as runs",
    "a line that never ends as experiments",
    "lines that never end as notebooks",
    "nested a million deep as runs",
    "a list of millions where there should be text",
    "a trillion points said",
    "a million runs said",
    "a trillion bytes said",
    "one line superseded a million times",
    "the same part a thousand times",
    "ten million points of a run in one group",
    "a long name, many times",
    "a name of 10 MB",
    "ten thousand empty groups",
    "an endless manifest",
    "an endless marker",
    "an endless part",
    "an endless lock",
    "twenty thousand tags",
    "points that are not there",
]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Forgery:
    folder = tmp_path_factory.mktemp("good") / "bundle"
    export_to(create_bundle(folder), source_of(0), notebooks=("SOURCE",))
    return Forgery.of(folder)


def run_bounded(*arguments: object) -> tuple[int, str, int]:
    """Exit code, stderr, and the peak in MiB of a command that may take no more than 6 GiB of addresses."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))

    with subprocess.Popen(
        command(*arguments),
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=limit,
    ) as process:
        assert process.stderr is not None
        told = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, told, usage.ru_maxrss >> 10


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_no_hostile_bundle_takes_more_than_a_gigabyte(good: Forgery, tmp_path: Path, name: str) -> None:
    (hostile,) = [each for each in particular() if each.name == name]
    _assert_bounded(good, tmp_path, hostile)


@pytest.mark.long
def test_a_bomb_is_refused_before_it_is_unpacked(good: Forgery, tmp_path: Path) -> None:
    (hostile,) = [each for each in particular() if each.name == "an endless manifest"]
    _assert_bounded(good, tmp_path, hostile)


def _assert_bounded(good: Forgery, place: Path, hostile: Hostile) -> None:
    hostile.write(good, place / "bundle")
    for arguments in (("check",), ("runs", "list"), ("import",)):
        target = [place / "store"] if arguments == ("import",) else []
        code, told, peak = run_bounded(*arguments, place / "bundle", *target)
        assert code in (0, 3, 12), told
        assert told.count("\n") <= (10 if told.startswith("Not read (") else 1), told
        assert "MemoryError" not in told
        assert peak < MOST
