"""Tests that give a secret away, each in its own way: `test_secrets` runs them, and only the last may pass."""

import base64
import gzip
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from urllib.parse import quote

import pyarrow as pa
import pytest
from conftest import Runner
from pyarrow import parquet

from runsync import inspect
from runsync.errors import WrongUsage
from runsync.testing.memory import small_source
from support.memory import export_into
from support.secrets import MARK, SEARCH, new_secret


@pytest.fixture(scope="module", autouse=True)
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that lasts longer than a test."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def token() -> str:
    return new_secret("a token", "dapi")


@pytest.fixture
def password() -> str:
    return SEARCH.keep(f'ö/ +"{MARK}', "a password")


def test_a_command_prints_it(token: str, runsync: Runner) -> None:
    runsync(f"no-such-command-{token}")


def test_a_command_in_the_background_prints_it(token: str, start_runsync: "Callable[..., Popen[str]]") -> None:
    start_runsync(f"no-such-command-{token}").wait()


def test_it_is_printed(token: str) -> None:
    sys.stdout.write(token)


def test_it_is_logged_for_those_who_debug(token: str) -> None:
    logging.getLogger("runsync").debug("asked with %s", token)


def test_an_error_tells_it(token: str) -> None:
    with pytest.raises(WrongUsage):
        raise WrongUsage(f"{token} is none")


def test_a_report_tells_it(token: str, tmp_path: Path) -> None:
    export_into(tmp_path / token, small_source())
    inspect(tmp_path / token)


def test_it_is_in_a_log_file(token: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"GET /x\nAuthorization: Bearer {token}\n")


def test_it_is_in_the_name_of_a_file(token: str, tmp_path: Path) -> None:
    (tmp_path / f"of-{token}").touch()


def test_it_is_in_a_part_of_a_bundle(token: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(json.dumps({"tag": token}).encode() * 1000))


def test_it_is_in_a_part_that_was_cut(token: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(json.dumps({"tag": token}).encode() * 1000)[:-20])


def test_it_is_a_text_of_a_parquet_file(token: str, tmp_path: Path) -> None:
    table = pa.table({"step": [1, 2], "key": pa.array(["loss", token])})
    parquet.write_table(table, tmp_path / "x.parquet", compression="zstd")


def test_it_is_the_name_of_a_metric(token: str, tmp_path: Path) -> None:
    table = pa.table({"key": pa.array([token] * 9).dictionary_encode()})
    parquet.write_table(table, tmp_path / "x.parquet", compression="zstd")


def test_it_is_in_a_folder_that_tests_share(token: str, shared: Path) -> None:
    (shared / "file").write_text(token)


@pytest.mark.parametrize("user", ["a", "ad", "ada"])
def test_it_is_in_the_header_of_a_login(password: str, user: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


def test_it_is_percent_encoded(password: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"http://ada:{quote(password, safe='')}@host/")


def test_it_is_escaped(password: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(json.dumps({"told": password}))


def test_it_is_a_signature_of_aws(token: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"https://bucket/x?X-Amz-Signature={'0f' * 32}&x=1")


def test_only_its_beginning_is_told(token: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"logged in with {token[:22]}…")


def test_it_is_where_it_belongs(token: str, tmp_path: Path) -> None:
    SEARCH.holds_secrets(tmp_path / "settings").write_text(token)
