"""rollback: an alias back to the version that it named before."""

import time
from dataclasses import replace

from runsync import threads
from runsync.bundle.address import Access
from runsync.contract.backend import NO_INIT
from runsync.errors import AliasTaken, NothingSelected, RequestRefused, WrongUsage
from runsync.kinds.model_versions import READY, ModelVersion
from runsync.promotion.digest import Hashes, digest_of, files_of, read_hashes
from runsync.promotion.history import DIGEST, DONE, OF, REFUSED, ROLLED_BACK, SOURCE, Record
from runsync.promotion.maker import Maker
from runsync.promotion.move import move
from runsync.promotion.options import check_alias
from runsync.promotion.report import ALREADY_THERE, Promotion, PromotionReport
from runsync.promotion.standing import Standing, look
from runsync.threads import WORKERS
from runsync.transfer.places import open_target
from runsync.transfer.registry import parted

MODEL_FILE = "MLmodel"


def rollback(
    target: str,
    model: str,
    *,
    to: int | None = None,
    dry_run: bool = False,
    workers: int = WORKERS,
    access: Access | None = None,
) -> PromotionReport:
    """Moves an alias (MODEL@ALIAS) back to the version that it named before its last promotion, or to version `to`.

    The files of that version are read first, and compared with the digest of its own promotion, where it has one. A
    rollback is recorded as a promotion is, and can be rolled back. Raises NothingSelected where there is no such alias,
    or nothing before it; RequestRefused where the files are not whole.
    """
    name, alias, number = parted(model)
    if not alias or number:
        raise WrongUsage(f"say which alias to roll back, as {name}@champion")
    check_alias(alias)
    begun = time.monotonic()
    workspace = open_target(target, access or Access(), workers, NO_INIT)
    try:
        standing = look(workspace, name, alias)
        version = _before(standing, to)
        hashes, size = _whole(standing, version, workers)
        report = PromotionReport(workspace.place, version.name, digest_of(hashes), len(hashes), size, dry_run)
        promotion = Promotion(workspace.place, name, alias, ROLLED_BACK, version.version, standing.holder)
        report.promotions.append(promotion)
        if standing.holder == version.version:
            promotion.action = ALREADY_THERE
            _end(standing, version, dry_run)
        elif not dry_run:
            _move(standing, version, report, promotion)
        promotion.notes += workspace.notes
        report.requests = workspace.requests
    finally:
        workspace.close()
    report.seconds = round(time.monotonic() - begun, 3)
    return report


def _move(standing: Standing, version: ModelVersion, report: PromotionReport, promotion: Promotion) -> None:
    maker = Maker.of(None)
    promotion.by, promotion.commit = maker.by, maker.commit
    record = Record(
        *standing.history.place(standing.alias, standing.holder, version.version),
        ROLLED_BACK,
        standing.alias,
        standing.holder,
        version.version,
        report.digest,
        version.tags.get(OF, version.name),
        version.tags.get(SOURCE, standing.workspace.place.address),
    )
    try:
        if not move(standing, version, replace(record, commit=maker.commit, by=maker.by, pipeline=maker.pipeline)):
            promotion.action = ALREADY_THERE
    except AliasTaken as error:
        promotion.action, promotion.error = REFUSED, str(error)


def _before(standing: Standing, to: int | None) -> ModelVersion:
    if standing.registered is None:
        raise NothingSelected(f"there is no registered model “{standing.name}” in {standing.workspace.place.address}")
    name, wanted = f"{standing.name}@{standing.alias}", to
    if wanted is None:
        last = standing.last
        if standing.holder is None:
            raise NothingSelected(f"there is no {name} that could be rolled back: say to which version with --to")
        if last is None or last.version != standing.holder:
            raise NothingSelected(
                f"{name} names version {standing.holder}, and no promotion set it: say to which version with --to"
            )
        wanted = last.version if _is_unended(standing, last) else last.holder
    if wanted is None:
        raise NothingSelected(
            f"{name} named no version before its promotion to {standing.holder}: say to which version with --to"
        )
    version = standing.registered.version(wanted)
    if version is None:
        raise NothingSelected(f"{standing.name}/{wanted} is not there: say to which version with --to")
    if version.status != READY:
        raise RequestRefused(f"{version.name} is {version.status}, not {READY}: say to which version with --to")
    return version


def _is_unended(standing: Standing, last: Record) -> bool:
    """Whether a rollback was killed once the alias had moved: it is ended, and not taken back."""
    return last.action == ROLLED_BACK and standing.history.states[last.id] != DONE


def _end(standing: Standing, version: ModelVersion, dry_run: bool) -> None:
    last = standing.last
    if last is not None and _is_unended(standing, last) and not dry_run:
        standing.registry.tag_version(version, {last.state_key: DONE})


def _whole(standing: Standing, version: ModelVersion, workers: int) -> tuple[Hashes, int]:
    """The files of a version and how many bytes they have, when they are what they were."""
    files = standing.registry.files(version)
    with threads.pool(workers, "runsync-request") as pool:
        hashes = read_hashes(files, pool)
    if MODEL_FILE not in hashes:
        raise RequestRefused(f"{version.name} is not whole, it has no {MODEL_FILE}: say to which version with --to")
    told = version.tags.get(DIGEST)
    if told is not None and told != digest_of(hashes):
        raise RequestRefused(
            f"{version.name} is not whole: its files are not those that were promoted ({told}). Say to which version "
            "with --to, or promote it again"
        )
    return hashes, sum(file.size for file in files_of(files))
