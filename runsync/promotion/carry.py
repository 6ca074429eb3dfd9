"""A model into a target: the engine carries its run, its files and its version; then every file is read back."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from runsync import threads
from runsync.errors import RequestRefused, RunsyncError
from runsync.kinds.model_versions import MODEL_VERSIONS, NEXT, PENDING, READY, ModelVersion
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.model.import_options import ImportOptions
from runsync.model.naming import Naming
from runsync.model.progress import Silent
from runsync.promotion.candidate import Candidate
from runsync.promotion.digest import Hashes, difference, read_hashes
from runsync.promotion.gates import Gate
from runsync.promotion.history import BY, DIGEST, LONGEST, OF, PREFIX, SOURCE, made_of
from runsync.promotion.maker import Maker
from runsync.promotion.options import PromoteOptions
from runsync.promotion.signed_offer import offer_of
from runsync.promotion.standing import Standing
from runsync.transfer.engine import transfer
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted

TRIES = 5
"""For the number of a version that others take in the same moment."""
PATIENCE, PAUSE = 300.0, 1.0
"""Seconds for a version to be READY, and between two looks."""


@dataclass(slots=True)
class Carried:
    """`version` is the one in the target, whole. `lost` are pieces of its run that are not there, `notes` what else is
    worth knowing; with `may_pass` another try may bring what is lost."""

    version: ModelVersion
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    may_pass: bool = False


def carry(
    candidate: Candidate, standing: Standing, gates: Sequence[Gate], maker: Maker, options: PromoteOptions
) -> Carried:
    """Makes what is not there yet of the version and its run, and finishes what is. Raises RequestRefused, where its
    files are not all there to the byte at the end."""
    tags = _tags(candidate, gates, maker)
    for _ in range(TRIES):
        report = _import(candidate, standing, tags, options)
        standing = standing.again()
        made = standing.made_of(candidate.name, candidate.digest)
        if made is None:
            continue  # another one took its number
        if report.failed or report.problems:  # another one may have made the same at the same time
            report = _import(candidate, standing, tags, options)
        made = _ready(standing, made, report)
        if fault_of(candidate.hashes, standing, made, options.workers):
            report = _import(candidate, standing, tags, options, thorough=True)
            _require_whole(candidate, standing, made, report, options.workers)
        return _told(made, report, made_of(standing.versions, candidate.name, candidate.digest))
    raise RequestRefused(f"no version was made in the target: {next(_failures(report), 'nobody knows why')}")


def _import(
    candidate: Candidate, standing: Standing, tags: dict[str, str], options: PromoteOptions, thorough: bool = False
) -> TransferReport:
    """Without a version, where it is there; one that was begun is finished."""
    made = standing.made_of(candidate.name, candidate.digest)
    is_there = made is not None and made.status != PENDING
    kinds = tuple(kind for kind in candidate.selection.kinds if not (is_there and kind == MODEL_VERSIONS.name))
    offer = offer_of(candidate, _model(candidate, standing), tags, made.version if made is not None else NEXT)
    wanted = Wanted(offer, replace(candidate.selection, kinds=kinds))
    how = ImportOptions(_naming(candidate, options.to_experiment), thorough=thorough, keep_mlmodel=True)
    sink = standing.workspace.target(how)
    report = TransferReport("promote", wanted.source.place, sink.place)
    transfer(report, wanted, sink, options.workers, options.progress or Silent())
    if report.stopped:
        error = RunsyncError(report.stopped)
        error.exit_code = report.stop_code
        raise error
    return report


def _require_whole(
    candidate: Candidate, standing: Standing, made: ModelVersion, report: TransferReport, workers: int
) -> None:
    if fault := fault_of(candidate.hashes, standing, made, workers):
        why = "; ".join((fault, *_failures(report)))
        raise RequestRefused(
            f"the files that {standing.workspace.place.address} serves for {made.name} are not those of "
            f"{candidate.name} ({why}): delete that version there, with what it was made of, and promote it again"
        )


def _told(made: ModelVersion, report: TransferReport, same: Sequence[ModelVersion]) -> Carried:
    lost = [*_failures(report), *(f"{one['kind']} “{one['name']}”: {one['reason']}" for one in report.problems)]
    notes = [f"{left.what}: {left.why}" for left in report.left_behind]
    others = [one.name for one in same if one.version != made.version]
    notes += [f"{name} is the same, made by another promotion at the same time: nothing names it" for name in others]
    may_pass = any(one["retry"] for one in (*report.failed, *report.problems))
    return Carried(made, lost, notes, may_pass)


def _ready(standing: Standing, version: ModelVersion, report: TransferReport) -> ModelVersion:
    """It, once it is READY: some registries take their time. It will not be, where its files have not arrived."""
    own = (one for one in report.problems if one["run_id"] == version.name)
    lost = [*_failures(report), *(f"{one['name']}: {one['reason']}" for one in own)]
    if lost:
        now = standing.again().registered
        version = (now.version(version.version) if now is not None else None) or version
        if version.status == PENDING:
            raise RequestRefused(f"{version.name} is not whole: {lost[0]}; run this again")
    end = time.monotonic() + PATIENCE
    while version.status == PENDING and time.monotonic() < end:
        time.sleep(PAUSE)
        now = standing.again().registered
        version = (now.version(version.version) if now is not None else None) or version
    if version.status != READY:
        raise RequestRefused(f"{version.name} is {version.status} in the target, not {READY}: {version.status_message}")
    return version


def fault_of(hashes: Hashes, standing: Standing, version: ModelVersion, workers: int) -> str:
    """What is wrong with the files that the registry serves for a version; "" for nothing."""
    with threads.pool(workers, "runsync-request") as pool:
        try:
            return difference(hashes, read_hashes(standing.registry.files(version), pool))
        except RequestRefused as error:
            return str(error)


def _model(candidate: Candidate, standing: Standing) -> RegisteredModel:
    """As it is in the target; where it is not there yet, as at the source."""
    if standing.registered is not None:
        return standing.registered.model
    of_source = candidate.registered
    return (
        RegisteredModel(standing.name, of_source.description, of_source.tags)
        if of_source
        else RegisteredModel(standing.name)
    )


def _naming(candidate: Candidate, to_experiment: str) -> Naming:
    if not to_experiment:
        return Naming()
    home = next(
        (e for e in candidate.evidence.experiments if e.experiment_id == candidate.evidence.run.experiment_id), None
    )
    homes = [home] if home is not None else candidate.evidence.experiments[:1]
    return Naming({e.name: to_experiment for e in homes})


def _tags(candidate: Candidate, gates: Sequence[Gate], maker: Maker) -> dict[str, str]:
    """Of the version: by DIGEST and OF it is found again."""
    told = "; ".join(f"{'passed' if gate.passed else 'refused'}: {gate.expression} ({gate.told})" for gate in gates)
    tags = {
        DIGEST: candidate.digest,
        OF: candidate.name,
        SOURCE: candidate.source,
        f"{PREFIX}commit": maker.commit,
        BY: maker.by,
        f"{PREFIX}gates": told if len(told) <= LONGEST else f"{told[: LONGEST - 1]}…",
    }
    return {key: value for key, value in tags.items() if value}


def _failures(report: TransferReport) -> Iterator[str]:
    """The version's own first."""
    nouns = (MODEL_VERSIONS.noun, REGISTERED_MODELS.noun)
    for one in sorted(report.failed, key=lambda one: one["kind"] not in nouns):
        yield f"{one['kind']} “{one['name'] or one['id']}”: {one['error']}"
