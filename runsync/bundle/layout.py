"""What lies where in a bundle. `docs/format.md` tells the whole format."""

import hashlib
import re
import secrets
from datetime import UTC, datetime

from runsync.kinds import KINDS as ENTITY_KINDS

FORMAT = "runsync"
VERSION = 1
ORDERED = "history"
"""The required feature of a bundle that records its snapshots under `history/`."""
GROWING = "growing"
"""The feature of run documents that name files which were still growing."""
SUPERSEDED = "superseded-objects"
"""The feature of a manifest of which a part of entities has lines that are not of its snapshot."""
FEATURES: frozenset[str] = frozenset((*(kind.name for kind in ENTITY_KINDS), ORDERED, GROWING, SUPERSEDED))
"""Required features this runsync knows: a bundle that names another is refused. Each kind of entity is one."""

MARKER = "runsync.json"
SNAPSHOTS = "snapshots/"
HISTORY = "history/"
PARTS = "parts/"
BLOBS = "blobs/"
LOCKS = "locks/"
CLAIMS = "claims/"
QUARANTINE = "quarantine/"
SUSPECTS = "suspects/"
WITH_DATA = frozenset(name.rstrip("/") for name in (SNAPSHOTS, HISTORY, PARTS, BLOBS))
"""Folders without which snapshots are lost."""
MOVABLE = (PARTS, BLOBS)
"""Folders that may be moved to another disk and linked."""
OF_NO_SNAPSHOT = (LOCKS, CLAIMS, SUSPECTS, QUARANTINE)
"""Folders of what processes tell each other, and of what was set aside."""

# Runs and experiments have parts of their own; a part of runs is a pair, with their points beside them.
RUNS = ".runs.jsonl.gz"
METRICS = ".metrics.parquet"
EXPERIMENTS = ".experiments.jsonl.gz"
ENTITIES = {kind.name: f".{kind.name}.jsonl.gz" for kind in ENTITY_KINDS}
"""By the name of the kind."""
ROWS = {kind.name: f".{kind.rows_name}.parquet" for kind in ENTITY_KINDS if kind.rows_name}
"""Likewise, of kinds whose entities have rows."""
SUFFIXES = (RUNS, METRICS, EXPERIMENTS, *ENTITIES.values(), *ROWS.values())
_ID = r"([0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[0-9a-f]{6})"


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
    """Tells when the export finished: 20261101T120000.123Z-1a2b3c."""
    moment = now.astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z-{secrets.token_hex(3)}"


def snapshot_id(name: str) -> str:
    """The id of the snapshot whose manifest has this name; "" for any other file."""
    found = re.fullmatch(SNAPSHOTS + _ID + r"\.json", name)
    return found[1] if found and _is_date(found[1]) else ""


def id_in(name: str) -> str:
    """The id that the name of a manifest states: also of one that is claimed, or in quarantine."""
    return name.rpartition("/")[2].removesuffix(".json").partition("_")[0]


def time_of(snapshot_id: str) -> int:
    """When the snapshot of that id was finished, in epoch milliseconds."""
    return round(date_of(snapshot_id).timestamp() * 1000)


def date_of(snapshot_id: str) -> datetime:
    """When the snapshot of that id was finished, by the clock of the machine that made it."""
    return datetime.fromisoformat(snapshot_id.rpartition("-")[0])


def record(order: int, snapshot_id: str) -> str:
    """Where the record of a snapshot lies. The last 8 digits vouch for the rest: a renamed file is no record."""
    return _in_history(order, snapshot_id, "json")


def forgotten(order: int, snapshot_id: str) -> str:
    """Where the mark lies that says a snapshot is being forgotten."""
    return _in_history(order, snapshot_id, "forgotten")


def recorded(name: str) -> tuple[int, str] | None:
    """Order and id of the snapshot whose record has this name; None for any other file."""
    return _position(name, "json")


def marked(name: str) -> tuple[int, str] | None:
    """Likewise for a mark."""
    return _position(name, "forgotten")


def _in_history(order: int, snapshot_id: str, ending: str) -> str:
    name = f"{order:015d}-{snapshot_id}"
    return f"{HISTORY}{name}-{hashlib.sha256(f'{name}.{ending}'.encode()).hexdigest()[:8]}.{ending}"


def _position(name: str, ending: str) -> tuple[int, str] | None:
    found = re.fullmatch(HISTORY + r"(\d{15})-" + _ID + r"-[0-9a-f]{8}\." + ending, name)
    if not found or not _is_date(found[2]) or name != _in_history(int(found[1]), found[2], ending):
        return None
    return int(found[1]), found[2]


def _is_date(snapshot_id: str) -> bool:
    try:
        return date_of(snapshot_id).year >= 1970
    except ValueError:
        return False


def is_named_by_hash(name: str) -> bool:
    """Whether a file under `parts/` or `blobs/` is one of ours, and not a foreign one."""
    return name.startswith((PARTS, BLOBS)) and re.fullmatch("[0-9a-f]{64}", hash_in(name)) is not None


def is_ours(name: str) -> bool:
    """Whether a file is a part or a blob, exactly as runsync calls one: only such may be deleted as unneeded."""
    sha256 = hash_in(name)
    return is_named_by_hash(name) and name in (blob(sha256), *(part(sha256, kind) for kind in SUFFIXES))


def is_of_a_bundle(name: str) -> bool:
    """Whether only a bundle has a file of that name: a manifest, a record, a part or a blob."""
    return bool(snapshot_id(name)) or recorded(name) is not None or is_ours(name)


def suspect(name: str) -> str:
    """Where it is noted that a part or blob is broken."""
    return f"{SUSPECTS}{hash_in(name)}.json"


def is_suspect(name: str) -> bool:
    """Whether a file is such a note."""
    return re.fullmatch(SUSPECTS + r"[0-9a-f]{64}\.json", name) is not None


def is_folder_of_blobs(step: str) -> bool:
    """Whether a folder of `blobs/` is one of ours, by its name."""
    return re.fullmatch("[0-9a-f]{2}", step) is not None


def is_file_name(step: str) -> bool:
    """Whether the last step of a name is one that only files of a bundle have."""
    return step == MARKER or re.fullmatch(r"[0-9a-f]{64}(\..*)?|.*\.json", step) is not None


def hash_in(name: str) -> str:
    """The SHA-256 that a part or blob is named by."""
    return name.rsplit("/", 1)[-1].split(".", 1)[0]
