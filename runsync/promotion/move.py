"""The alias, last of all: a record of the move first, then the move, then a look whether it holds."""

from dataclasses import replace

from runsync.errors import AliasTaken
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import ModelVersion
from runsync.promotion.history import BEGUN, DONE, MOVES, OVERTAKEN, Record
from runsync.promotion.standing import Standing
from runsync.promotion.turns import take_turn


def move(standing: Standing, version: ModelVersion, record: Record) -> bool:
    """Moves the alias to a version that is whole. False where another one has moved it there at the same time. Raises
    AliasTaken where another one has moved it elsewhere."""
    registry, last = standing.registry, standing.last
    record = replace(record, after=last.id if last is not None else "")
    begun = {record.state_key: BEGUN} if standing.history.states.get(record.id) else {}
    registry.tag_version(version, begun | record.to_tags())
    alias = ModelAlias(standing.name, standing.alias, version.version)
    is_ours = registry.swaps or take_turn(standing, version, record)
    if not (is_ours and registry.move_alias(alias, standing.holder) and _holds(standing, version, record)):
        return _overtaken(standing, version, record)
    registry.tag_version(version, {record.state_key: DONE})
    return True


def _holds(standing: Standing, version: ModelVersion, record: Record) -> bool:
    """Whether this one has moved the alias: the next one may have moved it on already."""
    now = standing.again()
    return now.holder == version.version or any(r.after == record.id for r in now.history.records)


def _overtaken(standing: Standing, version: ModelVersion, record: Record) -> bool:
    """The record of a move that does not hold says so, unless two of the very same share it. Raises AliasTaken."""
    now = standing.again()
    has_held = any(r.id == record.id and r.action in MOVES for r in now.history.records)
    if not has_held:
        standing.registry.tag_version(version, {record.state_key: OVERTAKEN})
    if now.holder == version.version:
        return False
    names = f"version {now.holder}" if now.holder is not None else "no version"
    before = f"version {standing.holder}" if standing.holder is not None else "no version"
    raise AliasTaken(
        f"{standing.name}@{standing.alias} named {before} when this began, and names {names} now: another one moved it "
        f"meanwhile, and it stays so. See runsync promotions {standing.workspace.place.address} {standing.name}"
    )
