"""What is printed of an address never holds its password."""

import pytest

from runsync.model.redact import without_credentials


@pytest.mark.parametrize(
    "address",
    [
        "http://ada:s3cret@host:5000/x",
        "http://ada:s3/cret@host",
        "http://ada:/s3cret/@host/x@latest",
        "https://ada:s3c@ret@host",
        "http://s3cret@host",
        "ada:s3cret@host:5000",
        "ada:s3/cr@et@host:5000",
        "see https://ada:s3/cret@host/x",
    ],
)
def test_no_password_is_left(address: str) -> None:
    told = without_credentials(address)
    assert not [part for part in ("s3", "ret", "ada") if part in told]
    assert "host" in told or "x@latest" in address


@pytest.mark.parametrize(
    "address",
    [
        "http://host:5000/x",
        "s3://bucket@latest",
        "s3://bucket/a prefix@latest",
        "backup@2026-11-01",
        "/a folder/b@7d",
        "prod",
    ],
)
def test_an_address_without_one_stays_as_it_is(address: str) -> None:
    assert without_credentials(address) == address


@pytest.mark.parametrize("word", ["//a:", "a:/", "//a", "http://x:y/", "//a@"])
def test_a_long_text_takes_no_time(word: str) -> None:
    """With backtracking it took the square of its length."""
    long = word * 200_000
    without_credentials(long + "@")
    without_credentials(long)
    assert "s3cret" not in without_credentials(f"{long} http://ada:s3cret@host")
