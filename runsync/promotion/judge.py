"""What is to be done with a model at a target, before anything is written there."""

from collections.abc import Mapping
from typing import Any

from runsync.errors import WrongUsage
from runsync.kinds.model_versions import ModelVersion
from runsync.promotion.candidate import Candidate
from runsync.promotion.gates import Gate, require
from runsync.promotion.history import PROMOTED, REFUSED
from runsync.promotion.maker import Maker
from runsync.promotion.options import PromoteOptions
from runsync.promotion.plan import change
from runsync.promotion.report import ALREADY_THERE, Promotion
from runsync.promotion.standing import Standing


def judged(
    candidate: Candidate,
    standing: Standing,
    options: PromoteOptions,
    same: ModelVersion | None,
    signature: Gate | None = None,
) -> Promotion:
    """What is to be done: nothing where the alias names the very same, else what the gates say. No reason opens that of
    its signature."""
    maker = Maker.of(candidate.run)
    promotion = Promotion(standing.workspace.place, standing.name, standing.alias, holder=standing.holder)
    promotion.by, promotion.commit = maker.by, maker.commit
    promotion.version = same.version if same is not None else None
    if signature is not None and not signature.passed:
        promotion.action, promotion.gates = REFUSED, (signature,)
        return promotion
    if same is not None and standing.holder == same.version:
        promotion.action = ALREADY_THERE
        return promotion
    by_signature = (signature,) if signature is not None else ()
    promotion.gates = (*by_signature, *look_at_gates(candidate, standing, options))
    if not options.take_over and (why := standing.why_not_ours):
        promotion.action, promotion.error = REFUSED, why
    elif not all(gate.passed for gate in promotion.gates):
        promotion.action = PROMOTED if options.force else REFUSED
        promotion.forced = options.force
    return promotion


def look_at_gates(candidate: Candidate, standing: Standing, options: PromoteOptions) -> tuple[Gate, ...]:
    """All of them, in the order in which they were asked for."""
    gates = [require(text, candidate.evidence) for text in options.require]
    for comparison in options.comparisons:
        number = standing.registered.aliases.get(comparison.alias) if standing.registered is not None else None
        if number is None:
            gates.append(comparison.look(candidate.evidence.run, None))
            continue
        theirs = standing.told_of(number)
        name = f"{comparison.alias} ({standing.name}/{number})"
        if theirs is None:
            gates.append(Gate(comparison.expression, False, f"{name} is not there"))
        else:
            gates.append(comparison.look(candidate.evidence.run, theirs, name))
    return tuple(gates)


def itself_in(candidate: Candidate, standing: Standing, home: tuple[str, ...]) -> ModelVersion | None:
    """The version of the target that is the candidate: it itself (`home` tells whether that is where it comes from), or
    one that was made of it before. Raises WrongUsage where it would go onto itself under another name."""
    if home and home == standing.workspace.whereabouts:
        itself = next((v for v in standing.versions if v.name == candidate.version.name), None)
        if itself is None:
            raise WrongUsage(
                f"source and target are the same workspace: {candidate.name} is promoted there under its own name only"
            )
        return itself
    return standing.made_of(candidate.name, candidate.digest)


def compare(promotion: Promotion, planned: Mapping[str, Any]) -> None:
    """Refuses what is not as it was planned; what is done already is."""
    told = change(planned, promotion.to_document())
    if told and promotion.action != ALREADY_THERE:
        promotion.action, promotion.error = REFUSED, f"it is not as it was planned: {told}. Make another plan"
