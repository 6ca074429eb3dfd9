"""Addresses of workspaces as people type them, and that a password in one is never shown again."""

from pathlib import Path
from urllib.parse import quote

import pytest
from conftest import Runner
from hypothesis import given
from hypothesis import strategies as st

from runsync.errors import WrongUsage
from runsync.workspaces.address import Address, StoreAddress, is_url, parse, resolve
from runsync.workspaces.credentials import Credentials

NOBODY = Credentials()


@pytest.mark.parametrize(
    ("typed", "url", "workspace"),
    [
        ("http://localhost:5000", "http://localhost:5000", ""),
        ("http://localhost:5000/", "http://localhost:5000", ""),
        ("https://mlflow.example.org", "https://mlflow.example.org", ""),
        ("https://mlflow.example.org/team/a/", "https://mlflow.example.org/team/a", ""),
        ("http://localhost:5000?workspace=vision", "http://localhost:5000", "vision"),
        ("http://localhost:5000/p/?workspace=a%20b", "http://localhost:5000/p", "a b"),
        ("http://[::1]:5000/x", "http://[::1]:5000/x", ""),
        ("http://user:secret@localhost:5000", "http://localhost:5000", ""),
        ("http://LOCALHOST:5000", "http://localhost:5000", ""),
    ],
)
def test_an_address_is_read(typed: str, url: str, workspace: str) -> None:
    address = parse(typed, NOBODY)
    assert (address.url, address.workspace) == (url, workspace)


def test_a_workspace_is_part_of_what_is_printed() -> None:
    assert parse("http://u:p@host:1/x?workspace=w", NOBODY).printable == "http://host:1/x?workspace=w"


@pytest.mark.parametrize(
    "typed",
    [
        "http://",
        "http:///x",
        "http://host:port",
        "http://host:99999",
        "http://host:-1",
        "http://[::1",
        "http://host?token=secret",
        "http://host?workspace=a&x=secret",
        "http://user:secret@",
        "http://user:secret@:5000",
        "http://user:sec/ret@host:5000",
        "http://user:sec@ret/word@host",
    ],
)
def test_what_is_no_address_is_refused_without_showing_a_secret(typed: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        parse(typed, NOBODY)
    assert "secret" not in str(caught.value)
    assert "sec" not in str(caught.value)
    assert caught.value.exit_code == 2


PASSWORDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=6, max_size=20)


@given(user=st.text(min_size=1, max_size=8), password=PASSWORDS)
def test_user_and_password_in_an_address_are_used_and_never_shown(user: str, password: str) -> None:
    typed = f"http://{quote(user, safe='')}:{quote(password, safe='')}@host.example:5000/x"
    address = parse(typed, Credentials(token="older"))
    assert (address.credentials.username, address.credentials.password) == (user, password)
    assert address.credentials.token == ""
    assert address.printable == "http://host.example:5000/x"
    assert password not in repr(address) or password in repr(parse("http://host.example:5000/x", NOBODY))


def test_the_user_of_an_address_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "env")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "env")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "env")
    asked = resolve("http://me:mine@host")
    assert isinstance(asked, Address)
    assert (asked.credentials.username, asked.credentials.password, asked.credentials.token) == ("me", "mine", "")
    plain = resolve("http://host")
    assert isinstance(plain, Address)
    assert plain.credentials.token == "env"


def test_what_is_neither_address_nor_name_is_told_apart() -> None:
    assert is_url("http://x")
    assert is_url("https://x")
    assert not is_url("backup")
    assert not is_url("./http:/x")
    assert resolve("backup") is None


def _configured(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch, name: str = "prod") -> Address | None:
    file = tmp_path / "runsync.toml"
    file.write_text(text)
    monkeypatch.chdir(tmp_path)
    found = resolve(name)
    assert not isinstance(found, StoreAddress)
    return found


def test_a_name_stands_for_an_address_with_its_own_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "of somebody else")
    monkeypatch.setenv("PROD_PASSWORD", "from the environment")
    text = (
        '[workspaces.prod]\nuri = "https://prod/x/"\nusername = "ci"\npassword_env = "PROD_PASSWORD"\nworkspace = "w"\n'
    )
    address = _configured(tmp_path, text, monkeypatch)
    assert address is not None
    assert address.printable == "https://prod/x?workspace=w"
    assert address.credentials == Credentials("ci", "from the environment")
    assert "from the environment" not in repr(address)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("workspaces = 1", "“workspaces” must hold sections"),
        ("[workspaces]\nprod = 1", "“workspaces” must hold sections"),
        ("[workspaces.prod]\n", "[workspaces.prod] has no uri"),
        ('[workspaces.prod]\nuri = "http://x"\npasword = "hunter2"', "an unknown key “pasword”"),
        ('[workspaces.prod]\nuri = "http://x"\ntoken_env = "NOT_SET"', "token_env names NOT_SET, which is not set"),
        ('[workspaces.prod]\nuri = "ftp://u:hunter2@x"', "its uri is neither http(s)://…, nor a database"),
        ('[workspaces.prod]\nuri = "http://u:hunter2@x?a=hunter2"', "an address takes only ?workspace=NAME"),
        ("[workspaces.prod\n", "runsync.toml: "),
        ('[workspaces.prod]\nuri = "http://x"\ninsecure_tls = true\nserver_cert_path = "/x"', "cannot both"),
        ('[workspaces.prod]\nuri = "http://x"\ninsecure_tls = "no"', "insecure_tls"),
    ],
)
def test_a_mistake_in_the_configuration_is_told_with_its_place_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    with pytest.raises(WrongUsage) as caught:
        _configured(tmp_path, text, monkeypatch)
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_configuration_that_is_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongUsage, match=r"no configuration file at .*nowhere\.toml"):
        resolve("prod", str(tmp_path / "nowhere.toml"))
    monkeypatch.setenv("RUNSYNC_CONFIG", str(tmp_path / "nowhere.toml"))
    with pytest.raises(WrongUsage, match=r"no configuration file at .*nowhere\.toml"):
        resolve("prod")


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "ftp://ada:hunter2@host", "b"),
        ("export", "ada:hunter2@host:5000", "b"),
        ("export", "HTTP://ada:hunter2@host:5000", "b"),
        ("export", "b", "http://ada:hunter2@host:5000"),
        ("import", "http://ada:hunter2@host:5000", "b"),
        ("import", "b", "ada:hunter2@host"),
        ("check", "http://ada:hunter2@host"),
        ("inspect", "https://ada:hunter2@host"),
        ("verify", "ftp://ada:hunter2@host", "b"),
        ("verify", "b", "http://ada:hunter2@host"),
    ],
)
def test_a_password_is_not_shown_when_an_address_is_mistyped_or_stands_in_the_wrong_place(
    runsync: Runner, arguments: tuple[str, ...]
) -> None:
    done = runsync(*arguments, env={"RUNSYNC_PATIENCE": "0"})
    assert done.returncode in (2, 10, 13)
    assert "hunter2" not in done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
