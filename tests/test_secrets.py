"""The search of all that tests write for secrets: each way to give one away is found, and told without it."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from conftest import ROOT
from support.forks import clean_environment
from support.secrets import MARK, SEARCH


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What became of each test of `support/leaks.py`: "" where it passed."""
    folder = tmp_path_factory.mktemp("leaks")
    arguments = ["-p", "no:cacheprovider", f"--basetemp={folder / 'of them'}", f"--junitxml={folder / 'told'}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments, "tests/support/leaks.py"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    cases = ElementTree.parse(folder / "told").iter("testcase")
    return {case.attrib["name"]: "".join(case.itertext()) for case in cases}


@pytest.mark.parametrize(
    ("test", "where"),
    [
        ("a_command_prints_it", "stderr of a command: a token"),
        ("a_command_in_the_background_prints_it", "stderr of a command: a token"),
        ("it_is_printed", "Captured stdout call: a token, in “‹secret›”"),
        ("it_is_logged_for_those_who_debug", "Captured log call: a token"),
        ("an_error_tells_it", "the error WrongUsage: a token, in “‹secret› is none”"),
        ("a_report_tells_it", "what runsync.inspect returns: a token"),
        ("it_is_in_a_log_file", "log: a token, in “GET /x·Authorization: Bearer ‹secret›·”"),
        ("it_is_in_the_name_of_a_file", r"a name in \S+: a token, in “of-‹secret›”"),
        ("it_is_in_a_part_of_a_bundle", 'x.jsonl.gz: a token, in “{"tag": "‹secret›"}'),
        ("it_is_in_a_part_that_was_cut", 'x: a token, in “{"tag": "‹secret›"}'),
        ("it_is_a_text_of_a_parquet_file", "x.parquet: a token, in “loss‹secret›”"),
        ("it_is_the_name_of_a_metric", "x.parquet: a token, in “‹secret›"),
        ("it_is_in_a_folder_that_tests_share", "shared0/file: a token"),
        ("it_is_in_the_header_of_a_login[a]", "log: a password in base64, in “Basic ‹secret›”"),
        ("it_is_in_the_header_of_a_login[ad]", "log: a password in base64, in “Basic ‹secret›”"),
        ("it_is_in_the_header_of_a_login[ada]", "log: a password in base64, in “Basic ‹secret›”"),
        ("it_is_percent_encoded", "log: a password, in “http://ada:‹secret›@host/”"),
        ("it_is_escaped", 'log: a password, in “{"told": "‹secret›"}”'),
        ("it_is_a_signature_of_aws", "log: a signature of AWS, in “https://bucket/x?X-Amz-‹secret›&x=1”"),
        ("only_its_beginning_is_told", "log: a part of a secret, in “logged in with ‹secret›…”"),
    ],
)
@pytest.mark.long
def test_a_secret_is_found_and_told_without_itself(told: dict[str, str], test: str, where: str) -> None:
    pattern = where if r"\S" in where else re.escape(where)
    assert re.search(pattern, told[f"test_{test}"]), told[f"test_{test}"]
    assert MARK not in told[f"test_{test}"]


def test_a_file_that_is_there_to_hold_secrets_may(told: dict[str, str]) -> None:
    assert [test for test, error in told.items() if not error] == ["test_it_is_where_it_belongs"]


def test_a_secret_that_could_be_any_text_is_refused() -> None:
    with pytest.raises(AssertionError, match="a password cannot be told from other texts"):
        SEARCH.keep("hunter2", "a password")
