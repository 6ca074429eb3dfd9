"""Promotions that have a name: `[promotions.NAME]` in `runsync.toml` holds source, targets, model, gates and names."""

from collections.abc import Sequence
from typing import Any

from runsync import config
from runsync.bundle.address import Access
from runsync.errors import WrongUsage
from runsync.model.nearest import nearest
from runsync.promotion.promote import promote
from runsync.promotion.report import PromotionReport


def promote_named(
    name: str, to: str | Sequence[str] = (), *, access: Access | None = None, **options: Any
) -> PromotionReport:
    """`promote` as a section of `runsync.toml` says, to those of its targets that are named (default: all of them).
    `options` are those of `promote`, and go before the section. Raises WrongUsage for a name that is not there."""
    sections = config.promotions((access or Access()).config)
    if name not in sections:
        near = nearest(name, sections)
        hint = f": did you mean “{near}”?" if near else "; write runsync promote SOURCE TARGET MODEL, or such a section"
        raise WrongUsage(f"runsync.toml has no [promotions.{name}]{hint}")
    section = dict(sections[name])
    source, targets = section.pop("source"), section.pop("targets")
    wanted = [to] if isinstance(to, str) else list(to)
    for each in wanted:
        if each not in targets:
            raise WrongUsage(f"[promotions.{name}] of runsync.toml has no target “{each}”: it has {', '.join(targets)}")
    return promote(source, wanted or targets, access=access, **{**section, **options})
