"""What a run's tags tell of where it was copied from, and of what it was made.

A copy with a new id, as on servers, needs several tags for that: the id it was born with must be found by a search. A
copy that kept its id is known by that, and has one tag: `runsync.copy`, as `MARK FROM HOME ID` with `-` for what is
not there; on a run that is at home and was only brought up to date, `MARK` alone.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from runsync.model.identity import (
    ARRIVES,
    COMPLETE,
    COPY,
    COPY_PARTS,
    FROM,
    LINK_TAGS,
    MODEL_HISTORY,
    ORIGIN,
    ORIGIN_EXPERIMENT,
    SESSION,
    SOURCE,
    origin_of,
)
from runsync.model.mark import Mark
from runsync.model.redact import without_credentials
from runsync.model.run import Run

_NOTHING = "-"
_KEY = re.compile(r"[0-9a-f]{16}")
_PUBLIC = ("http://", "https://", "databricks", "azureml://", "arn:")


@lru_cache
def key_of(address: str) -> str:
    """16 hex digits that stand for the address of a workspace; "" for "". A key stands for itself."""
    if not address or _KEY.fullmatch(address):
        return address
    return hashlib.sha256(address.encode(errors="surrogatepass")).hexdigest()[:16]


def shown_address(address: str) -> str:
    """The address as it may stand in a tag for all to see: that of a server, of others the key."""
    return address if address.startswith(_PUBLIC) else key_of(address)


@dataclass(frozen=True, slots=True)
class Provenance:
    """`complete` is the mark (see `model.mark`) as a text, "" while the run is not whole. Of a copy, `came_from` is the
    key of the workspace that it was last brought from, `home` the id of the experiment where it was born, and `origin`
    the id that it had there."""

    complete: str = ""
    is_copy: bool = False
    came_from: str = ""
    home: str = ""
    origin: str = ""

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "Provenance":
        """Of tags of either kind; those of earlier versions are understood everywhere."""
        if COPY in tags:
            complete, *rest = (part if part != _NOTHING else "" for part in tags[COPY].split(" "))
            return cls(complete, True, *rest) if len(rest) == COPY_PARTS - 1 else cls(complete)
        if ORIGIN in tags:
            told = key_of(tags.get(FROM, "")), tags.get(ORIGIN_EXPERIMENT, ""), tags[ORIGIN]
            return cls(tags.get(COMPLETE, ""), True, *told)
        return cls(tags.get(COMPLETE, ""))

    @property
    def mark(self) -> Mark | None:
        """What the run was made from, once it is whole."""
        return Mark.parse(self.complete)

    def __str__(self) -> str:
        if not self.is_copy:
            return self.complete
        return " ".join(part or _NOTHING for part in (self.complete, self.came_from, self.home, self.origin))


def originals(run: Run) -> dict[str, str]:
    """`runsync.source.*` tags: the values that change on the way, as they were where the run was born."""
    kept = {key: value for key, value in run.tags.items() if key.startswith(SOURCE)}
    if ORIGIN in kept and COPY not in run.tags:
        return kept
    told = {
        ORIGIN: origin_of(run),
        ORIGIN_EXPERIMENT: Provenance.of(run.tags).home or run.experiment_id,
        SOURCE + "artifact_uri": without_credentials(run.artifact_uri),
    }
    told |= {SOURCE + tag: run.tags[tag] for tag in LINK_TAGS if tag in run.tags}
    if MODEL_HISTORY in run.tags:
        told[SOURCE + MODEL_HISTORY] = run.tags[MODEL_HISTORY].replace(run.run_id, origin_of(run))
    return told | kept


def kept_originals(run: Run, target_id: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Of `originals` those that a copy of the id `target_id` with these tags does not tell by itself: the id of a run
    that was born under another one, and links that could not stay."""
    there = {ORIGIN: target_id, **{SOURCE + tag: tags.get(tag) for tag in LINK_TAGS}}
    return {key: value for key, value in originals(run).items() if key in there and there[key] != value}


def surplus(tags: Mapping[str, str], wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Those of the tags of a copy that kept its id which an earlier version, or a server, wrote, and it needs not."""
    ours = {COPY, COMPLETE, FROM, SESSION, ARRIVES}
    return tuple(key for key in tags if (key in ours or key.startswith(SOURCE)) and key not in wanted)
