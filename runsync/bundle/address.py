"""What a user typed for a bundle: a folder, `s3://bucket/prefix` or a name of `runsync.toml`, and `@SNAPSHOT`."""

import dataclasses
import re
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runsync import config
from runsync.bundle import layout
from runsync.bundle.local_store import LocalStore
from runsync.bundle.s3_store import S3Store
from runsync.bundle.store import Store
from runsync.errors import WrongUsage
from runsync.limits import UNLIMITED, Limits
from runsync.model.redact import without_credentials
from runsync.names import check_address, require_utf8
from runsync.patience import Patience
from runsync.s3 import S3, S3Options, split

_SNAPSHOT = re.compile(r"latest|[0-9]{4}[0-9T.:Z+-]*(-[0-9a-f]{1,6})?|[0-9a-f]{4,6}|\d+[smhdw]")
"""What names a snapshot after any address; after that of a bundle on disk, and a name of `runsync.toml`, all does.
Less than four digits may be the end of a name: `s3://backups/mlflow@2`."""


_OF_EACH_BUNDLE = (layout.SNAPSHOTS, layout.PARTS)


@dataclass(frozen=True, slots=True)
class Access:
    """How to get at bundles and workspaces beside their address: `runsync.toml`, S3 and its limits, and where the
    artifacts of a database or file store really are ("": where it records them)."""

    config: str | None = None
    s3: S3Options = field(default_factory=S3Options)
    limits: Limits = UNLIMITED
    artifacts: str = ""
    connections: int = 16
    patience: Patience | None = None
    """How long to wait for a server or store that does not answer; None for as long as the environment says."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bundle is, and which snapshot of it is meant ("": none was named)."""

    store: Store
    snapshot: str = ""


def locate(where: str | Path, access: Access | None = None) -> Place:
    """The place that was typed; nothing is looked for there but a folder. Raises WrongUsage."""
    require_utf8()
    check_address(str(where))
    access = access or Access()
    sections = config.bundles(access.config)
    text, snapshot = _parted(str(where), sections)
    section = sections.get(text)
    if section is not None:
        text, access = section["uri"], dataclasses.replace(access, s3=_options(section, access.s3))
    if text.startswith("s3://"):
        split(text)
        return Place(
            S3Store(text, S3(access.s3, access.connections, access.limits, patience=access.patience)), snapshot
        )
    if "://" in text:
        raise WrongUsage(f"“{without_credentials(text)}” is no bundle: name a folder, or s3://bucket/prefix")
    return Place(LocalStore(Path(text).expanduser()), snapshot)


def name_of(where: str | Path, access: Access) -> str:
    """What was typed for a place, without the snapshot that is meant."""
    return _parted(str(where), config.bundles(access.config))[0]


def _parted(text: str, names: Container[str]) -> tuple[str, str]:
    """What was typed for a bundle, and for a snapshot of it; `names` are those of bundles."""
    head, sign, tail = text.rpartition("@")
    if is_there(text) or not (sign and head and tail):
        return text, ""
    return (head, tail) if _SNAPSHOT.fullmatch(tail) or head in names or is_bundle(head) else (text, "")


def is_bundle(text: str) -> bool:
    """Whether a bundle lies in the folder that is called so; also one whose marker is missing."""
    folder = Path(text).expanduser()
    return "://" not in text and (
        (folder / layout.MARKER).exists() or all((folder / name).is_dir() for name in _OF_EACH_BUNDLE)
    )


def is_there(text: str) -> bool:
    """Whether a folder or file is called so: an `@` in its name is its own."""
    return "://" not in text and Path(text).expanduser().exists()


def _options(section: dict[str, Any], given: S3Options) -> S3Options:
    """What was given on the command line goes before what stands in the file."""
    fields = {f.name for f in dataclasses.fields(S3Options)}
    told = {name: section[name] for name in fields & section.keys()}
    return dataclasses.replace(given, **{name: value for name, value in told.items() if not getattr(given, name)})
