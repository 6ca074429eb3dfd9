"""`runsync.toml`: names for workspaces and bundles, so that a command line holds neither addresses nor secrets.

[workspaces.prod]
uri = "https://mlflow.example.org"
token_env = "PROD_MLFLOW_TOKEN"
headers = { "CF-Access-Client-Id" = "1234.access" }
headers_env = { "CF-Access-Client-Secret" = "CF_SECRET" }

[workspaces.old]
uri = "postgresql://mlflow@db.example.org/mlflow"
password_env = "MLFLOW_DB_PASSWORD"
artifacts = "s3://mlflow-artifacts"

[bundles.nightly]
uri = "s3://backups/mlflow"
endpoint = "https://s3.example.org"
accept = ["traces"]                 # what may stay behind, here and in every transfer with it

[pairs.standby]
source = "prod"
target = "old"
accept = ["registered-models"]      # in a transfer from the one to the other, only
"""

import os
import tomllib
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from runsync.errors import WrongUsage

KEYS = {
    "uri",
    "workspace",
    "artifacts",
    "insecure_tls",
    "server_cert_path",
    "client_cert_path",
    "headers",
    "headers_env",
    "aws_sigv4",
    "auth",
    "s3_endpoint",
    "s3_profile",
    "accept",
    *(key + suffix for key in ("username", "password", "token") for suffix in ("", "_env")),
}

BUNDLE_KEYS = {"uri", "endpoint", "profile", "sse", "kms_key", "storage_class", "accept"}
PAIR_KEYS = {"source", "target", "accept"}
NEEDED = frozenset({"uri"})


def find(path: str | None = None) -> Path | None:
    """The file to read: the one named, `RUNSYNC_CONFIG`, `./runsync.toml`, `~/.config/runsync/runsync.toml`, or none.

    Raises WrongUsage when a named file is missing.
    """
    named = path or os.environ.get("RUNSYNC_CONFIG")
    if named:
        if not Path(named).is_file():
            raise WrongUsage(f"no configuration file at {named}")
        return Path(named)
    usual = (Path("runsync.toml"), Path.home() / ".config" / "runsync" / "runsync.toml")
    return next((place for place in usual if place.is_file()), None)


def workspaces(path: str | None = None) -> Mapping[str, Mapping[str, Any]]:
    """The `[workspaces.<name>]` sections. Raises WrongUsage naming the file and the place that is wrong."""
    sections = _sections("workspaces", KEYS, path)
    for name, section in sections.items():
        place = f"{find(path)}: [workspaces.{name}]"
        for key in ("insecure_tls", "aws_sigv4"):
            if not isinstance(section.get(key, False), bool):
                raise WrongUsage(f"{place} {key} is true or false, without quotes")
        for key in ("headers", "headers_env"):
            if not _is_table(section.get(key, {})):
                raise WrongUsage(f'{place} {key} is a table of texts: {key} = {{ "X-Name" = "…" }}')
    return sections


def named(where: str, path: str | None = None) -> Mapping[str, Any]:
    """The section of a workspace's name; empty for what is spelled out. Raises WrongUsage likewise."""
    return workspaces(path).get(where, {})


def accepted(source: str, target: str, path: str | None = None) -> list[tuple[str, str]]:
    """What may stay behind in a transfer between two places, as they were typed: names of kinds, each with where it
    stands. Raises WrongUsage likewise."""
    pairs = _sections("pairs", PAIR_KEYS, path, PAIR_KEYS)
    sections = [
        *((f"workspaces.{name}", section) for name, section in workspaces(path).items() if name in (source, target)),
        *((f"bundles.{name}", section) for name, section in bundles(path).items() if name in (source, target)),
        *(
            (f"pairs.{name}", section)
            for name, section in pairs.items()
            if (section["source"], section["target"]) == (source, target)
        ),
    ]
    return [(name, f"{find(path)}: [{title}]") for title, section in sections for name in section.get("accept", ())]


def bundles(path: str | None = None) -> Mapping[str, dict[str, Any]]:
    """The `[bundles.<name>]` sections. Raises WrongUsage likewise."""
    sections = _sections("bundles", BUNDLE_KEYS, path)
    for name, section in sections.items():
        for key, value in section.items():
            if key != "accept" and not isinstance(value, str):
                raise WrongUsage(f"{find(path)}: [bundles.{name}] {key} is a text: put it in quotes")
    return sections


def _is_table(value: object) -> bool:
    """Of names and values that may stand in headers."""
    if not isinstance(value, dict):
        return False
    return all(isinstance(text, str) and text.isprintable() for pair in value.items() for text in pair)


def _sections(kind: str, keys: set[str], path: str | None, needed: Set[str] = NEEDED) -> dict[str, dict[str, Any]]:
    place = find(path)
    if place is None:
        return {}
    try:
        document = tomllib.loads(place.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{place}: {error}") from None
    sections = document.get(kind, {})
    if not isinstance(sections, dict) or not all(isinstance(section, dict) for section in sections.values()):
        raise WrongUsage(f"{place}: “{kind}” must hold sections such as [{kind}.prod]")
    for name, section in sections.items():
        for key in sorted(needed - section.keys()):
            raise WrongUsage(f"{place}: [{kind}.{name}] has no {key}")
        if not all(isinstance(section[key], str) for key in needed - {"accept"}):
            raise WrongUsage(f"{place}: [{kind}.{name}] {' and '.join(sorted(needed - {'accept'}))} are texts")
        if not _is_list_of_texts(section.get("accept", [])):
            raise WrongUsage(f'{place}: [{kind}.{name}] accept is a list of texts: accept = ["traces"]')
        unknown = sorted(set(section) - keys)
        if unknown:
            raise WrongUsage(f"{place}: [{kind}.{name}] has an unknown key “{unknown[0]}”")
    return sections


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
