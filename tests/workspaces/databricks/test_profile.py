"""Which workspace `databricks://PROFILE` means: two profiles never mix, whatever the environment says."""

from pathlib import Path

import pytest

from runsync.errors import WrongUsage
from runsync.workspaces.databricks.address import is_databricks, resolve
from runsync.workspaces.databricks.profile import find

FILE = """
[DEFAULT]
host = https://default.cloud.databricks.com
token = dapi-default

[__settings__]
default_profile = dev

[dev]
host = https://dev.cloud.databricks.com/?o=123
token = dapi-dev

[prod]
host = prod.azuredatabricks.net/
client_id = app
client_secret = dose-prod%secret
"""
HOSTILE = {
    "DATABRICKS_HOST": "https://other.cloud.databricks.com",
    "DATABRICKS_TOKEN": "dapi-environment",
    "DATABRICKS_CLIENT_ID": "environment",
    "DATABRICKS_WORKSPACE_ID": "999",
}


@pytest.fixture
def profiles(tmp_path: Path) -> dict[str, str]:
    place = tmp_path / "profiles"
    place.write_text(FILE)
    return {"DATABRICKS_CONFIG_FILE": str(place)}


@pytest.mark.parametrize("environment", [{}, HOSTILE, {"DATABRICKS_CONFIG_PROFILE": "dev"}])
def test_two_profiles_never_mix_whatever_the_environment_says(
    profiles: dict[str, str], environment: dict[str, str]
) -> None:
    dev, prod = (find(f"databricks://{name}", profiles | environment) for name in ("dev", "prod"))
    assert (dev.host, dev.workspace_id, dev.get("token")) == ("https://dev.cloud.databricks.com", "123", "dapi-dev")
    assert (prod.host, prod.workspace_id, prod.get("token")) == ("https://prod.azuredatabricks.net", "", "")
    assert prod.get("client_secret") == "dose-prod%secret"


def test_bare_databricks_is_the_environment_or_else_the_default_profile(profiles: dict[str, str]) -> None:
    assert find("databricks", profiles | HOSTILE).get("token") == "dapi-environment"
    assert find("databricks", profiles).get("token") == "dapi-default"
    assert find("databricks", profiles | {"DATABRICKS_CONFIG_PROFILE": "dev"}).get("token") == "dapi-dev"


def test_an_environment_that_means_two_workspaces_is_refused(profiles: dict[str, str]) -> None:
    with pytest.raises(WrongUsage, match="mean two workspaces"):
        find("databricks", profiles | HOSTILE | {"DATABRICKS_CONFIG_PROFILE": "dev"})


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("databricks://nobody", "there is no profile “nobody”.*DEFAULT, dev, prod"),
        ("databricks://", "write databricks://PROFILE"),
        ("databricks://scope:prefix", "only in a notebook"),
        ("databricks://__settings__", "no profile"),
    ],
)
def test_a_profile_that_is_not_there_is_told_of(profiles: dict[str, str], where: str, said: str) -> None:
    with pytest.raises(WrongUsage, match=said):
        find(where, profiles)


@pytest.mark.parametrize(
    "text", ["dapi-secret\n", "[dev]\nhost = https://x\ndapi-secret\n", "[dev]\n[dev]\ntoken=dapi-secret"]
)
def test_a_broken_profile_file_is_told_of_without_a_secret(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken").write_text(text)
    with pytest.raises(WrongUsage) as caught:
        find("databricks://dev", {"DATABRICKS_CONFIG_FILE": str(tmp_path / "broken")})
    assert "secret" not in str(caught.value)


def test_nothing_prints_the_secrets_of_a_profile(profiles: dict[str, str]) -> None:
    assert "dapi" not in repr(find("databricks://dev", profiles))


def test_a_name_of_the_configuration_may_mean_a_profile(
    profiles: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", profiles["DATABRICKS_CONFIG_FILE"])
    config = tmp_path / "runsync.toml"
    config.write_text('[workspaces.live]\nuri = "databricks://prod"\ninsecure_tls = true\n')
    assert is_databricks("live", str(config))
    assert not is_databricks("http://localhost", str(config))
    found = resolve("live", str(config))
    assert found.profile.host == "https://prod.azuredatabricks.net"
    assert found.tls.insecure_tls
    config.write_text('[workspaces.live]\nuri = "databricks://prod"\ntoken = "dapi-x"\n')
    with pytest.raises(WrongUsage, match=r"token is not for Databricks, where the profile .* says it"):
        resolve("live", str(config))


def test_a_token_is_not_sent_in_the_clear() -> None:
    with pytest.raises(WrongUsage, match="by https:// only"):
        find("databricks", {"DATABRICKS_HOST": "http://dose.cloud.databricks.com", "DATABRICKS_TOKEN": "dapi-1"})
