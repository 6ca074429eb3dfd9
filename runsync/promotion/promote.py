"""promote: a model of one registry becomes the champion of another."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runsync.bundle.address import Access
from runsync.contract.backend import NO_INIT
from runsync.contract.source import Source
from runsync.errors import AliasTaken, Interrupted, PlanOutdated, RunsyncError, WrongUsage
from runsync.model.option import takes
from runsync.model.place import Place
from runsync.model.progress import Progress, Silent
from runsync.model.redact import without_credentials
from runsync.promotion.candidate import Candidate, candidate_of
from runsync.promotion.carry import Carried, carry
from runsync.promotion.digest import SIGNATURE
from runsync.promotion.gates import Gate
from runsync.promotion.history import PROMOTED, REFUSED, Record, now
from runsync.promotion.judge import compare, itself_in, judged
from runsync.promotion.maker import Maker
from runsync.promotion.move import move
from runsync.promotion.options import PromoteOptions, check_alias
from runsync.promotion.plan import Plan, check_places, options_of, plan_of, read_plan, write_plan
from runsync.promotion.report import ALREADY_THERE, FAILED, PARTLY_DONE, Promotion, PromotionReport
from runsync.promotion.spool import spooled
from runsync.promotion.standing import Standing, look
from runsync.promotion.wanted import name_of, selection_of
from runsync.threads import WORKERS
from runsync.transfer.places import open_source, open_target


@takes(PromoteOptions)
def promote(source: str, target: str | Sequence[str], options: PromoteOptions) -> PromotionReport:
    """Brings a model of a workspace or bundle into the registry of a target, or of several, and moves an alias there to
    it.

    Gates are looked at first. Then its run, its files and a new version are made, every file is read back as the
    registry serves it, and compared; only then the alias moves. The same promotion again writes nothing. What was
    refused is no error: the report's `action` tells, and `exit_code` is 4.

    Raises RunsyncError (see `errors`) for what fails; of several targets, what fails at one is told in the report.
    """
    targets = [target] if isinstance(target, str) else list(target)
    asked = options.asked
    options.check()
    check_alias(options.alias)
    if not targets:
        raise WrongUsage("name a target")
    if options.plan is not None:
        check_places([source, *targets])
    report = _run(source, targets, lambda place: name_of(place, asked), options)
    if options.plan is not None:
        write_plan(plan_of(source, targets, report, options, now()), options.plan)
    return report


def apply_plan(
    plan: str | Path,
    *,
    dry_run: bool = False,
    sign: str = "",
    certificate: str = "",
    workers: int = WORKERS,
    access: Access | None = None,
    progress: Progress | None = None,
) -> PromotionReport:
    """Does exactly what a plan tells that `promote(…, plan=FILE)` wrote. Once it is done, it does nothing. `sign` and
    `certificate` are as there: a plan keeps no key.

    Raises PlanOutdated where the plan was refused, or the files of the model are others now. Where the gates find other
    values at a target, or the alias there names another version, the report's `action` is refused.
    """
    known = read_plan(plan)
    refused = [one for one in known.promotions if one["action"] in (REFUSED, FAILED)]
    if refused:
        raise PlanOutdated(f"{plan} tells of a promotion that was {refused[0]['action']}: make another plan")
    options = options_of(known, workers, access, progress, dry_run)
    options = replace(options, sign=sign, certificate=certificate)
    options.check()
    return _run(known.source, known.targets, lambda place: known.model, options, known)


def _run(
    source: str,
    targets: Sequence[str],
    name: Callable[[Source], str],
    options: PromoteOptions,
    plan: Plan | None = None,
) -> PromotionReport:
    begun = time.monotonic()
    with opened(source, name, options) as offered:
        report = offered.report
        if plan is not None and plan.digest != report.digest:
            raise PlanOutdated(
                f"{plan.model} has other files than when the plan was made ({plan.digest}, now {report.digest}): make "
                "another plan"
            )
        if options.sign and offered.candidate.is_signed:
            raise WrongUsage(f"{report.model} is signed already: without --sign its {SIGNATURE} goes with it")
        if trust := options.trust:
            offered.signature = trust.gate(offered.candidate.files)
        for number, where in enumerate(targets):
            planned = plan.promotions[number] if plan is not None else None
            report.promotions.append(_guarded(offered, where, options, planned, alone=len(targets) == 1))
            report.requests += offered.requests
    report.seconds = round(time.monotonic() - begun, 3)
    return report


@dataclass(slots=True)
class Offered:
    """A candidate that waits to be promoted. `home` is where it comes from, to tell whether that is the target;
    `signature` what was found of that, if it was looked for."""

    candidate: Candidate
    report: PromotionReport
    home: tuple[str, ...] = ()
    requests: int = 0
    signature: Gate | None = None


@contextmanager
def opened(where: str, name: Callable[[Source], str], options: PromoteOptions) -> Iterator[Offered]:
    """The model that is meant, fetched and hashed."""
    access = replace(options.access or Access(), artifacts=options.source_artifacts)
    with open_source(where, "promote", access=access, workers=options.workers) as source:
        exact = name(source)
        selection = selection_of(source, exact, options.lineage)
        progress = options.progress or Silent()
        with spooled(source, where, selection, access, options.workers, progress) as (snapshot, fetched):
            candidate = candidate_of(snapshot, exact, options.lineage)
            report = PromotionReport(source.place, exact, candidate.digest, len(candidate.hashes), candidate.size)
            report.dry_run = options.only_looks
            report.requests = source.requests + (fetched.requests if fetched else 0)
            yield Offered(candidate, report, getattr(source, "whereabouts", ()))


def _guarded(
    offered: Offered, where: str, options: PromoteOptions, planned: Mapping[str, Any] | None, alone: bool
) -> Promotion:
    """What fails at one of several targets stops none of the others."""
    try:
        return _to_one(offered, where, options, planned)
    except RunsyncError as error:
        if alone or isinstance(error, Interrupted):
            raise
        place = Place("", without_credentials(where))
        told = Promotion(place, options.to_model or offered.candidate.version.model, options.alias, FAILED)
        told.error, told.error_code = str(error), error.exit_code
        return told


def _to_one(offered: Offered, where: str, options: PromoteOptions, planned: Mapping[str, Any] | None) -> Promotion:
    candidate = offered.candidate
    to_model = options.to_model or candidate.version.model
    if not to_model:
        raise WrongUsage(f"{candidate.name} is no registered model: say what it is to be called with --to-model")
    workspace = open_target(where, options.access or Access(), options.workers, NO_INIT)
    try:
        standing = look(workspace, to_model, options.alias)
        same = itself_in(candidate, standing, offered.home)
        if options.sign and offered.home and offered.home == workspace.whereabouts:
            raise WrongUsage("source and target are the same workspace: --sign adds a signature on the way to another")
        promotion = judged(candidate, standing, options, same, offered.signature)
        if planned is not None:
            compare(promotion, planned)
        if promotion.action == PROMOTED:
            standing.require_permission()
        if promotion.action == PROMOTED and not options.only_looks:
            _promote(offered, standing, promotion, options)
        elif promotion.action == REFUSED and options.record_refusals and not options.only_looks:
            _record_refusal(candidate, standing, promotion)
        promotion.notes += workspace.notes
    finally:
        offered.requests = workspace.requests
        workspace.close()
    return promotion


def _promote(offered: Offered, standing: Standing, promotion: Promotion, options: PromoteOptions) -> None:
    candidate, maker = offered.candidate, Maker.of(offered.candidate.run)
    is_at_home = offered.home != () and offered.home == standing.workspace.whereabouts
    if is_at_home:
        version = itself_in(candidate, standing, offered.home)
        assert version is not None
        carried = Carried(version)
    else:
        candidate = _signed(candidate, standing, options)
        carried = carry(candidate, standing, promotion.gates, maker, options)
    promotion.version, promotion.lost = carried.version.version, carried.lost
    promotion.notes += carried.notes
    if carried.may_pass:
        promotion.action, promotion.error_code = FAILED, PARTLY_DONE
        promotion.error = "not all of its run has arrived, so the alias stays: run it again"
        return
    try:
        record = _record(candidate, standing, promotion, maker, carried.version.version)
        if not move(standing, carried.version, record):
            promotion.action = ALREADY_THERE
    except AliasTaken as error:
        promotion.action, promotion.error = REFUSED, str(error)


def _signed(candidate: Candidate, standing: Standing, options: PromoteOptions) -> Candidate:
    """Signed, where that is asked for. A version that was made before keeps the signature that it has."""
    signer = options.signer
    if signer is None:
        return candidate
    made = standing.made_of(candidate.name, candidate.digest)
    files = standing.registry.files(made) if made is not None else None
    found = next((file for file in files.list() if file.path == SIGNATURE), None) if files is not None else None
    return candidate.signed(b"".join(files.read(found)) if files and found else signer.sign(candidate.files))


def _record(
    candidate: Candidate, standing: Standing, promotion: Promotion, maker: Maker, version: int | None
) -> Record:
    return Record(
        *standing.history.place(standing.alias, standing.holder, version),
        promotion.action,
        standing.alias,
        standing.holder,
        version,
        candidate.digest,
        candidate.name,
        candidate.source,
        maker.commit,
        maker.by,
        maker.pipeline,
        promotion.gates,
        promotion.forced,
    )


def _record_refusal(candidate: Candidate, standing: Standing, promotion: Promotion) -> None:
    if standing.registered is None:
        promotion.notes.append(f"the refusal is not recorded: there is no {standing.name} in the target yet")
        return
    record = _record(candidate, standing, promotion, Maker.of(candidate.run), None)
    standing.registry.tag_model(standing.name, record.to_tags())
