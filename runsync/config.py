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

[promotions.churn]
source = "dev"
targets = ["staging", "prod"]
model = "churn@candidate"
require = ["metrics.auc > 0.9"]     # and other options of runsync promote
"""

import json
import os
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from runsync.errors import WrongUsage
from runsync.model.nearest import nearest
from runsync.schema_files import folder

LONGEST = 16 << 20
"""Bytes of the file."""
_WHAT = {
    "boolean": "{key} is true or false, without quotes",
    "string": "{key} is a text: put it in quotes",
    "array": "{key} is a list of texts: {key} = {example}",
    "object": '{key} is a table of texts: {key} = {{ "X-Name" = "…" }}',
}
"""What a key should be, by the type that its schema has."""
_ENDLESS = "holds lists or tables in one another without end"


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
    return _sections("workspaces", path)


def named(where: str, path: str | None = None) -> Mapping[str, Any]:
    """The section of a workspace's name; empty for what is spelled out. Raises WrongUsage likewise."""
    return workspaces(path).get(where, {})


def accepted(source: str, target: str, path: str | None = None) -> list[tuple[str, str]]:
    """What may stay behind in a transfer between two places, as they were typed: names of kinds, each with where it
    stands. Raises WrongUsage likewise."""
    pairs = _sections("pairs", path)
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
    return _sections("bundles", path)


def promotions(path: str | None = None) -> Mapping[str, dict[str, Any]]:
    """The `[promotions.<name>]` sections, with the options of `promote` by their names in Python. Raises WrongUsage
    likewise."""
    return _sections("promotions", path)


@cache
def schema() -> dict[str, Any]:
    """`schemas/config.schema.json`."""
    document: dict[str, Any] = json.loads((folder() / "config.schema.json").read_text(encoding="utf-8"))
    return document


@cache
def _validator(kind: str) -> Any:
    import decimal  # noqa: F401  (see bundle.schemas)

    import jsonschema_rs  # few commands read a file

    return jsonschema_rs.Draft202012Validator(schema()["properties"][kind])


def _sections(kind: str, path: str | None) -> dict[str, dict[str, Any]]:
    place = find(path)
    if place is None:
        return {}
    try:
        with place.open("rb") as stream:
            content = stream.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise WrongUsage(f"{place} is larger than {LONGEST >> 20} MiB")
        document = tomllib.loads(content.decode())
    except OSError as error:
        raise WrongUsage(f"cannot read {place}: {error.strerror or error}") from None
    except RecursionError:
        raise WrongUsage(f"{place} {_ENDLESS}") from None
    except ValueError as error:
        raise WrongUsage(f"{place}: {error}") from None
    sections: dict[str, dict[str, Any]] = document.get(kind, {})
    _check(kind, sections, place)
    return sections


def _check(kind: str, sections: dict[str, dict[str, Any]], place: Path) -> None:
    """Says what is wrong and how it should be, never a value: that may be a secret."""
    try:
        plain = json.loads(json.dumps(sections, default=lambda date: None))  # TOML has dates, and a schema knows none
        faults = sorted(_validator(kind).iter_errors(plain), key=lambda fault: fault.schema_path[-1] != "required")
    except (RecursionError, ValueError):
        raise WrongUsage(f"{place} {_ENDLESS}") from None
    for fault in faults[:1]:
        name, key = [*map(str, fault.instance_path), "", ""][:2]
        known = schema()["properties"][kind]["additionalProperties"]
        if not name or (not key and fault.schema_path[-1] == "type"):
            raise WrongUsage(f"{place}: “{kind}” must hold sections such as [{kind}.prod]")
        raise WrongUsage(f"{place}: [{kind}.{name}] {_told(fault.schema_path[-1], key, sections[name], known)}")


def _told(rule: str, key: str, section: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if rule == "required":
        return f"has no {next(key for key in known['required'] if key not in section)}"
    if not key:
        unknown = min(section.keys() - known["properties"].keys())
        near = nearest(unknown, list(known["properties"]))
        return f"has an unknown key “{unknown}”" + (f": did you mean “{near}”?" if near else "")
    if rule == "minItems":
        return f"has no {key}"
    rules = known["properties"][key]
    return _WHAT[rules["type"]].format(key=key, example=json.dumps(rules.get("examples", [None])[0]))
