"""No text has a secret that is in use, however it is written; and no short one tears texts apart."""

import base64
import html
import json
import logging
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest
from support.secrets import MARK

from runsync import secrecy
from runsync.errors import AccessDenied, BundleDamaged, RequestRefused, RunsyncError
from runsync.log import LOG, WAITING
from runsync.model.finding import failure
from runsync.model.place import Place
from runsync.s3_errors import Refused
from runsync.secrecy import keep, keep_header, keep_signature, keep_url, strike, strike_report

ODD = f"p/w+ {MARK}\"'ü<&>\\%"
TOKEN = f"dapi{MARK}9f8e7d6c5b4a3921"


@pytest.fixture(autouse=True)
def _nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrecy, "_KEPT", secrecy._Kept())


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    for quoted in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield quoted
        yield quote(quoted, safe="")
        yield quoted.replace("%2F", "%2f").replace("%2B", "%2b")
    yield json.dumps(secret)
    yield json.dumps(secret, ensure_ascii=False)
    yield repr(secret)
    yield html.escape(secret)
    for before in ("", "u:", "ada:", "token:"):
        yield base64.b64encode(f"{before}{secret}".encode()).decode()
        yield base64.urlsafe_b64encode(f"{before}{secret} and more".encode()).decode()


@pytest.mark.parametrize("secret", [ODD, TOKEN, "s3cr3t-9", f"s3cr/t+{MARK}"])
def test_a_secret_is_struck_in_every_spelling(secret: str) -> None:
    keep(secret, "ada")
    for spelled in _spellings(secret):
        struck = strike(f"before Bearer {spelled}, after")
        assert spelled not in struck
        assert secret not in struck
        assert MARK not in struck
        assert struck.startswith("before Bearer ")
        assert struck.endswith(", after")


def _escaped(secret: str) -> Iterator[str]:
    """Escapes that no library writes: of every character, or of one."""
    percent = "".join(f"%{byte:02x}" for byte in secret.encode())
    yield from (percent, percent.upper(), quote(percent, safe=""), f"%{ord(secret[0]):02X}{secret[1:]}")
    yield "".join(f"&#{ord(character)};" for character in secret)
    yield "".join(f"&#x{ord(character):X};" for character in secret)
    yield "".join(f"\\u{ord(character):04x}" for character in secret)
    yield secret.replace("/", "\\/").replace("+", "\\u002b")
    yield secret.replace("/", "&sol;").replace("+", "&plus;")


@pytest.mark.parametrize("secret", [ODD, TOKEN, "s3cr3t-9", f"s3cr/t+{MARK}"])
def test_a_secret_is_struck_whatever_characters_are_escaped(secret: str) -> None:
    keep(secret, "ada")
    basic = base64.b64encode(f"ada:{secret}".encode()).decode()
    for spelled in (*_escaped(secret), *_escaped(basic)):
        assert strike(f"before Bearer {spelled}, after") == "before Bearer ***, after"


def test_a_short_secret_is_struck_behind_an_escaped_character() -> None:
    keep("s3cr3t-9")
    assert strike("to=http%3A%2F%2Fh%3Ftoken%3Ds3cr3t-9%26x%3D1") == "to=http%3A%2F%2Fh%3Ftoken%3D***%26x%3D1"


@pytest.mark.parametrize("cut", [12, 20, 30])
def test_the_beginning_or_end_of_a_long_secret_is_struck(cut: int) -> None:
    keep(TOKEN)
    assert strike(f"it said {TOKEN[:cut]}") == "it said ***"
    assert strike(f"{TOKEN[-cut:]} it said") == "*** it said"


@pytest.mark.parametrize("secret", ["a", "mlflow", "1234", "password", "----------"])
def test_a_trivial_password_does_not_tear_texts_apart(secret: str) -> None:
    keep(secret, "ada")
    text = "1234 runs of a password in mlflow.note: mlflow answered 401 ---------- to a request"
    assert strike(text) == text


@pytest.mark.parametrize("secret", ["a", "mlflow", "1234", "----------"])
@pytest.mark.parametrize(
    "text",
    ["http://ada:{}@host", "password={}", 'password: "{}"', '"password": "{}"', "Bearer {}", "the token is: {}"],
)
def test_a_trivial_password_is_struck_where_it_is_called_one(secret: str, text: str) -> None:
    keep(secret, "ada")
    assert strike(text.format(secret)) == text.format("***")


def test_basic_authentication_is_struck_for_a_password_of_one_character() -> None:
    keep("a", "ada")
    assert strike("Basic YWRhOmE=") == "Basic ***"


def test_a_short_secret_is_struck_as_a_word() -> None:
    keep("hunter2")
    assert strike("hunter2! hunter22 ahunter2") == "***! hunter22 ahunter2"


@pytest.mark.parametrize("name", ["sig", "X-Amz-Signature", "X-Goog-Signature", "X-Amz-Security-Token"])
def test_signed_addresses_are_not_good_any_more_once_shown(name: str) -> None:
    assert strike(f"https://h/x?a=1&{name}=abc%2Bdef&b=2") == f"https://h/x?a=1&{name}=***&b=2"
    assert "abcdef" not in strike(quote(f"https://h/x?{name}=abcdef%2Bghi", safe=""))


def test_the_signature_of_an_address_in_use_is_struck_by_itself() -> None:
    keep_signature(f"https://host/file?sig={MARK}%2Bx&se=2026")
    assert strike(f"the signature {MARK}+x does not match") == "the signature *** does not match"
    for number in range(secrecy.PASSING):
        keep_signature(f"https://host/file?sig=another-one{number:06}")
    assert secrecy._KEPT.strike("another-one000001 another-one000127") == "another-one000001 ***"


@pytest.mark.parametrize("sig", ["failed", "Nothing+was+written", "%20" * 20])
def test_a_server_cannot_have_words_struck(sig: str) -> None:
    keep_signature(f"https://ada:snapshot@host/file?sig={sig}")
    text = "failed: snapshot x. Nothing was written" + " " * 20
    assert strike(text) == text


def test_headers_and_addresses_give_their_secret() -> None:
    keep_header(f"Bearer {TOKEN}")
    keep_url("http://ada:p%40ssw%2Frd9@proxy:3128")
    assert strike(f"{TOKEN} p@ssw/rd9 p%40ssw%2Frd9") == "*** *** ***"


@pytest.mark.parametrize("kind", [RunsyncError, RequestRefused, AccessDenied, BundleDamaged, Refused])
def test_errors_have_none(kind: type[RunsyncError]) -> None:
    keep(TOKEN)
    assert str(kind(f"it said {TOKEN}")) == "it said ***"


def test_the_log_has_none(caplog: pytest.LogCaptureFixture) -> None:
    keep(TOKEN)
    with caplog.at_level(logging.INFO, "runsync"):
        LOG.warning("%s said %s", "it", TOKEN)
        WAITING.warning("waiting for %s", TOKEN)
    assert caplog.messages == ["it said ***", "waiting for ***"]


def test_places_and_findings_have_none() -> None:
    keep(TOKEN)
    place = Place("server", f"http://{TOKEN}", TOKEN, {"user": TOKEN})
    assert place == Place("server", "http://***", "***", {"user": "***"})
    assert failure("x", TOKEN, TOKEN) == failure("x", "***", "***")


def test_reports_have_none_and_their_data_stay_exact() -> None:
    keep(TOKEN)
    document = {
        "place": {"address": TOKEN},
        "notes": [TOKEN],
        "failed": [{"id": "1", "error": TOKEN}],
        "runs": [{"params": {"error": TOKEN}}],
        "run": {"tags": {"note": TOKEN}},
        "items": [{"id": "1", "error": TOKEN}],
        "count": 1,
    }
    assert strike_report(document) == {
        "place": {"address": "***"},
        "notes": ["***"],
        "failed": [{"id": "1", "error": "***"}],
        "runs": [{"params": {"error": TOKEN}}],
        "run": {"tags": {"note": TOKEN}},
        "items": [{"id": "1", "error": "***"}],
        "count": 1,
    }
