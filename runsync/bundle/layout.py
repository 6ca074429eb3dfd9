"""What lies where in a bundle. `docs/format.md` tells the whole format."""

import re
import secrets
from datetime import UTC, datetime

from runsync.model.objects import CLASSES

FORMAT = "runsync"
VERSION = 1
FEATURES: frozenset[str] = frozenset(CLASSES)
"""Required features this runsync knows: a bundle that names another is refused. Each further kind of object is one."""

MARKER = "runsync.json"
SNAPSHOTS = "snapshots/"
PARTS = "parts/"
BLOBS = "blobs/"
LOCKS = "locks/"
CLAIMS = "claims/"
QUARANTINE = "quarantine/"
SUSPECTS = "suspects/"
MOVABLE = (PARTS, BLOBS)
"""Folders that may be moved to another disk and linked."""
OF_NO_SNAPSHOT = (LOCKS, CLAIMS, SUSPECTS, QUARANTINE)
"""Folders of what processes tell each other, and of what was set aside."""

RUNS = ".runs.jsonl.gz"
METRICS = ".metrics.parquet"
EXPERIMENTS = ".experiments.jsonl.gz"
OBJECTS = {kind: f".{kind}.jsonl.gz" for kind in CLASSES}
"""By the kind of object."""
KINDS = (RUNS, METRICS, EXPERIMENTS, *OBJECTS.values())


def blob(sha256: str) -> str:
    """Where the artifact file with that hash lies."""
    return f"{BLOBS}{sha256[:2]}/{sha256}"


def part(sha256: str, kind: str) -> str:
    """Where the part with that hash lies."""
    return f"{PARTS}{sha256}{kind}"


def snapshot(snapshot_id: str) -> str:
    """Where the manifest of a snapshot lies."""
    return f"{SNAPSHOTS}{snapshot_id}.json"


def new_snapshot_id(now: datetime) -> str:
    """Ids sort by time: 20261101T120000.123Z-1a2b3c."""
    moment = now.astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z-{secrets.token_hex(3)}"


def snapshot_id(name: str) -> str:
    """The id of the snapshot whose manifest is called so; "" for a file that is none."""
    found = re.fullmatch(SNAPSHOTS + r"([0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[0-9a-f]{6})\.json", name)
    return found[1] if found and is_moment(found[1]) else ""


def is_moment(snapshot_id: str) -> bool:
    """Whether the time in an id is one that there is."""
    try:
        return time_of(snapshot_id) is not None
    except ValueError:
        return False


def time_of(snapshot_id: str) -> int:
    """When the snapshot of that id was finished, in epoch milliseconds."""
    moment = datetime.strptime(snapshot_id.rpartition("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def is_named_by_hash(name: str) -> bool:
    """Whether a file under `parts/` or `blobs/` is one of ours, and not a foreign one."""
    return name.startswith((PARTS, BLOBS)) and re.fullmatch("[0-9a-f]{64}", hash_in(name)) is not None


def is_ours(name: str) -> bool:
    """Whether a file is a part or a blob, exactly as runsync calls one: only such may be deleted as unneeded."""
    sha256 = hash_in(name)
    return is_named_by_hash(name) and name in (blob(sha256), *(part(sha256, kind) for kind in KINDS))


def suspect(name: str) -> str:
    """Where it is noted that a part or blob is broken."""
    return f"{SUSPECTS}{hash_in(name)}.json"


def is_suspect(name: str) -> bool:
    """Whether a file is such a note."""
    return re.fullmatch(SUSPECTS + r"[0-9a-f]{64}\.json", name) is not None


def is_file_name(step: str) -> bool:
    """Whether the last step of a name is one that only files of a bundle have."""
    return step == MARKER or re.fullmatch(r"[0-9a-f]{64}(\..*)?|.*\.json", step) is not None


def hash_in(name: str) -> str:
    """The SHA-256 that a part or blob is named by."""
    return name.rsplit("/", 1)[-1].split(".", 1)[0]
