"""A `runsync.toml` with any value in any place: a documented exit code, one line, and no secret in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.attempts import attempt, wrong_with
from support.secrets import SEARCH, new_secret

from runsync import config

ODD: tuple[str, ...] = (
    *("true", "0", "-1", "1.5", "nan", "9" * 5000, '""', '"x"', r'"a\u0000b"', r'"a\nb\u001b]0;x\u0007"', '"../.."'),
    *(f'"{"x" * 5000}"', '"s3://"', '"https://"', '"http://[::1"', '"http://:-1"', '"http://127.0.0.1:99999"'),
    *('"sqlite:///"', '"sqlite:///a?b=c"', '"postgresql://"', '"databricks://"', '"arn:aws:"', '"file:///dev/zero"'),
    *("[]", "[[]]", '[""]', '["x", 1]', '["runs"]', "{}", "{a = 1}", '{"a b" = "c"}', '{"" = ""}', "1979-05-27"),
)
"""Values, as TOML writes them."""
TEXTS: dict[str, bytes] = {
    "nothing": b"",
    "no toml": b"\xff\xfe",
    "half a table": b"[workspaces.",
    "lists without end": b"workspaces = " + b"[" * 100_000,
    "tables without end": b"workspaces = " + b"{a = " * 100_000,
    "a long name": b"[workspaces." + b"a" * 1_000_000 + b"]",
    "names in names": b"[workspaces" + b".a" * 20_000 + b"]",
    "a number without end": b"[workspaces.place]\nuri = " + b"9" * 100_000,
    "a NUL": b"[workspaces.place]\nuri = 'a\0b'",
    "17 MiB": b"#" * (17 << 20),
    **{f"{odd} for sections": f"workspaces = {odd}".encode() for odd in ODD},
    **{f"{odd} for a section": f"[workspaces]\nplace = {odd}".encode() for odd in ODD},
    **{f"{odd} for promotions": f"promotions = {odd}".encode() for odd in ODD},
    **{f"{odd} for a bundle": f"[bundles]\nplace = {odd}".encode() for odd in ODD},
}


def sections(key: str, odd: str, kind: str, secret: str) -> str:
    """A file with an odd value in one place of one section."""
    whole: dict[str, dict[str, str]] = {
        "workspaces": {"uri": '"nowhere"', "token": f'"{secret}"'},
        "bundles": {"uri": '"nowhere"'},
        "pairs": {"source": '"place"', "target": '"place"', "accept": '["traces"]'},
        "promotions": {"source": '"place"', "targets": '["place"]', "model": '"churn/1"'},
    }
    whole[kind][key] = odd
    return "\n".join(f"[{name}.place]\n" + "\n".join(f"{k} = {v}" for k, v in of.items()) for name, of in whole.items())


def odd_files(secret: str) -> Iterator[tuple[str, bytes]]:
    for kind, told in config.schema()["properties"].items():
        properties: dict[str, Any] = told["additionalProperties"]["properties"]
        for key in properties:
            for odd in ODD:
                yield f"{odd[:60]} at {kind}.{key}", sections(key, odd, kind, secret).encode()


def faults_of(files: list[tuple[str, bytes]], secret: str) -> list[str]:
    """What goes wrong with each in the working folder."""
    found = []
    for name, content in files:
        SEARCH.holds_secrets(Path("runsync.toml").absolute()).write_bytes(content)
        for command in (("runs", "list", "place"), ("check", "place"), ("promote", "place"), ("sync", "place", "to")):
            done = attempt(*command)
            if wrong := wrong_with(done):
                found.append(f"{name}: {command}: {wrong[-700:]}")
            if secret in done.error + done.stdout:
                found.append(f"{name}: {command}: tells the secret")
        found += [f"{name}: writes {file}" for file in Path().iterdir() if file.name not in ("runsync.toml", "to")]
    return found


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in {"RUNSYNC_PATIENCE": "0", "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.long
def test_no_odd_file_does_harm() -> None:
    assert faults_of(list(TEXTS.items()), new_secret("token")) == []


@pytest.mark.long
def test_a_sample_of_odd_values_does_no_harm() -> None:
    secret = new_secret("token")
    assert faults_of(list(odd_files(secret))[5::53], secret) == []


@pytest.mark.slow
@pytest.mark.parametrize("share", range(4))
def test_no_odd_value_does_harm(share: int) -> None:
    secret = new_secret("token")
    assert faults_of(list(odd_files(secret))[share::4], secret) == []
