"""`runsync.toml`: names for workspaces, so that a command line holds neither addresses nor secrets.

[workspaces.prod]
uri = "https://mlflow.example.org"
token_env = "PROD_MLFLOW_TOKEN"
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runsync.errors import WrongUsage

KEYS = {
    "uri",
    "workspace",
    "insecure_tls",
    "server_cert_path",
    "client_cert_path",
    *(key + suffix for key in ("username", "password", "token") for suffix in ("", "_env")),
}


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
    place = find(path)
    if place is None:
        return {}
    try:
        document = tomllib.loads(place.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{place}: {error}") from None
    sections = document.get("workspaces", {})
    if not isinstance(sections, dict) or not all(isinstance(section, dict) for section in sections.values()):
        raise WrongUsage(f"{place}: “workspaces” must hold sections such as [workspaces.prod]")
    for name, section in sections.items():
        if not isinstance(section.get("uri"), str):
            raise WrongUsage(f"{place}: [workspaces.{name}] has no uri")
        if not isinstance(section.get("insecure_tls", False), bool):
            raise WrongUsage(f"{place}: [workspaces.{name}] insecure_tls is true or false, without quotes")
        unknown = sorted(set(section) - KEYS)
        if unknown:
            raise WrongUsage(f"{place}: [workspaces.{name}] has an unknown key “{unknown[0]}”")
    return sections
