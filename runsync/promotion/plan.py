"""A promotion that is planned in one place, approved in another, and then done exactly so."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from runsync.bundle import schemas
from runsync.bundle.address import Access
from runsync.errors import BundleDamaged, RunsyncError, WrongUsage
from runsync.model.option import keywords
from runsync.model.progress import Progress
from runsync.model.redact import without_credentials
from runsync.promotion.options import Arriving, Gating, PromoteOptions, Trusting
from runsync.promotion.report import PromotionReport
from runsync.transfer.options import SourceArtifacts
from runsync.whole_file import whole_file

KIND = "promotion-plan"
LONGEST = 16 << 20
"""Bytes of a plan: it holds a few hundred for each target and gate."""
_KEPT = (Arriving, Gating, Trusting, SourceArtifacts)
"""The groups of options that a plan keeps. Which model was chosen stands in it by its own name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`source` and `targets` are as they were typed, `promotions` what was to be done at each target."""

    source: str
    targets: tuple[str, ...]
    model: str
    digest: str
    made_at: str
    options: Mapping[str, Any] = field(default_factory=dict)
    promotions: tuple[Mapping[str, Any], ...] = ()

    def to_document(self) -> dict[str, Any]:
        """`schemas/v1/promotion-plan.schema.json`."""
        return {
            "format": f"runsync-{KIND}",
            "version": 1,
            "made_at": self.made_at,
            "source": self.source,
            "targets": list(self.targets),
            "model": self.model,
            "digest": self.digest,
            "options": dict(self.options),
            "promotions": list(self.promotions),
        }


def plan_of(
    source: str, targets: Sequence[str], report: PromotionReport, options: PromoteOptions, made_at: str
) -> Plan:
    """What a dry run found."""
    kept = {each.name: _plain(getattr(options, each.name)) for group in _KEPT for each in keywords(group)}
    promotions = tuple(one.to_document() for one in report.promotions)
    return Plan(source, tuple(targets), report.model, report.digest, made_at, kept, promotions)


def check_places(places: Sequence[str]) -> None:
    """Raises WrongUsage for an address that a plan must not hold."""
    for place in places:
        if _may_hold_secret(place):
            raise WrongUsage(
                f"a plan would hold the password of {without_credentials(place)}: give it a name in runsync.toml"
            )


def _may_hold_secret(place: str) -> bool:
    """A user of a database is none; before the address of a server a token may stand alone."""
    try:
        address = urlsplit(place)
    except ValueError:
        return without_credentials(place) != place
    if address.scheme.startswith(("postgres", "mysql")):
        return address.password is not None or "password" in address.query.lower()
    return without_credentials(place) != place


def write_plan(plan: Plan, file: str | Path) -> None:
    """Whole or not at all. Raises RunsyncError."""
    text = json.dumps(plan.to_document(), indent=2, allow_nan=False) + "\n"
    try:
        with whole_file(Path(file)) as stream:
            stream.write(text.encode())
    except OSError as error:
        raise RunsyncError(f"cannot write {os.fspath(file)}: {error.strerror or error}") from None


def read_plan(file: str | Path) -> Plan:
    """Raises WrongUsage for what is no plan."""
    try:
        with Path(file).open("rb") as stream:
            content = stream.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise WrongUsage(f"{os.fspath(file)} is no plan of a promotion: it is larger than {LONGEST >> 20} MiB")
        document = orjson.loads(content)
        schemas.check(KIND, document, os.fspath(file))
        if len(document["targets"]) != len(document["promotions"]):
            raise ValueError("it has not one promotion for each target")
    except OSError as error:
        raise WrongUsage(f"cannot read {os.fspath(file)}: {error.strerror or error}") from None
    except (ValueError, BundleDamaged) as error:
        raise WrongUsage(f"{os.fspath(file)} is no plan of a promotion: {error}") from None
    names = ("source", "model", "digest", "made_at", "options")
    given = {name: document[name] for name in names}
    return Plan(**given, targets=tuple(document["targets"]), promotions=tuple(document["promotions"]))


def options_of(
    plan: Plan, workers: int, access: Access | None, progress: Progress | None, dry_run: bool
) -> PromoteOptions:
    """As they were when the plan was made."""
    known = {each.name for group in _KEPT for each in keywords(group)}
    given = {name: value for name, value in plan.options.items() if name in known}
    return PromoteOptions(**given, model=plan.model, workers=workers, access=access, progress=progress, dry_run=dry_run)


def change(planned: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What is not any more as it was planned; "" for nothing."""
    if planned["holder"] != now["holder"]:
        return f"the alias named {_version(planned['holder'])} then, and names {_version(now['holder'])} now"
    if planned["gates"] != now["gates"]:
        pairs = zip(planned["gates"], now["gates"], strict=False)
        then, other = next(((a, b) for a, b in pairs if a != b), ({"told": "no gate"}, {"told": "no gate"}))
        return f"a gate found “{then['told']}” then, and finds “{other['told']}” now"
    return ""


def _version(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value
