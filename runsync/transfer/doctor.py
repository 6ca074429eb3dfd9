"""doctor: who we are in a workspace, and what will and will not work there, before anything is carried."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from runsync.bundle.address import Access, is_bundle, locate
from runsync.contract.workspace import Workspace
from runsync.errors import WorkspaceError, WrongUsage
from runsync.model.finding import FAILURE, Finding, failure
from runsync.model.place import Place
from runsync.model.redact import without_credentials
from runsync.threads import WORKERS
from runsync.transfer.places import is_workspace, open_workspace
from runsync.workspaces import registry
from runsync.workspaces.http import Patience

PROMOTE = "promote"
SECONDS, TRIES = 5.0, 2
"""For a server that does not answer, unless it was said how long: a doctor tells, and does not wait."""


@dataclass(slots=True)
class DoctorReport:
    """`schemas/v1/doctor-report.schema.json`. Kind and version of the workspace are "" where it could not be opened."""

    workspace: Place
    findings: list[Finding] = field(default_factory=list)
    requests: int = 0
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """13 when something will not work, else 0: warnings do not stop anything."""
        return WorkspaceError.exit_code if any(f.state == FAILURE for f in self.findings) else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        document = {"format": "runsync-doctor-report", "version": 1, **asdict(self)}
        return document | {"exit_code": self.exit_code}


def doctor(
    where: str,
    *,
    purpose: str = "",
    access: Access | None = None,
    tell: Callable[[Finding], None] = lambda finding: None,
) -> DoctorReport:
    """Looks at a workspace of any kind, and writes nothing there. `tell` hears of each finding as soon as it is known.
    With `purpose` PROMOTE it also looks whether models can be promoted into it.

    What is wrong with the workspace is a finding, not an error. Raises WrongUsage for what is no workspace.
    """
    access = access or Access()
    if _is_bundle(where, access):
        named = without_credentials(where)
        raise WrongUsage(
            f"“{named}” is a bundle, and no workspace: runsync check {named} tells whether it is sound, and "
            f"runsync inspect {named} what is in it"
        )
    report = DoctorReport(Place("", without_credentials(where)))
    begun = time.monotonic()
    try:
        for finding in _findings(where, purpose, access, report):
            report.findings.append(finding)
            tell(finding)
    except WorkspaceError as error:
        report.findings.append(_told(error))
        tell(report.findings[-1])
    report.seconds = round(time.monotonic() - begun, 3)
    return report


def _findings(where: str, purpose: str, access: Access, report: DoctorReport) -> Iterator[Finding]:
    yield from _approach(where, access, report)
    patience = access.patience or Patience.from_environment()
    if not patience.is_asked:
        patience = replace(patience, seconds=SECONDS, tries=TRIES)
    workspace = open_workspace(
        where,
        config=access.config,
        workers=WORKERS,
        patience=patience,
        limits=access.limits,
        artifacts=access.artifacts,
    )
    try:
        report.workspace = workspace.place
        yield from workspace.examine()
        if purpose == PROMOTE:
            yield from _of_registry(workspace)
    finally:
        report.requests = workspace.requests
        workspace.close()


def _of_registry(workspace: Workspace) -> Iterator[Finding]:
    try:
        registry = workspace.registry()
    except WrongUsage as error:
        yield failure("registry", f"nothing can be promoted into it: {error}")
        return
    if registry is None:
        yield failure("registry", "it has no registered models with aliases: nothing can be promoted into it")
    else:
        yield from registry.examine()


def _approach(where: str, access: Access, report: DoctorReport) -> Iterator[Finding]:
    """What can be told before anything is asked, so that it stands beside a refusal."""
    backend = registry.find(where, access.config)
    if backend is not None and backend.approach is not None:
        report.workspace, findings = backend.approach(where, access.config)
        yield from findings


def _told(error: WorkspaceError) -> Finding:
    """What ended the examination; the message says what to do next."""
    return failure(error.topic, error.told, error.remedy("--init of runsync sync and import"))


def _is_bundle(where: str, access: Access) -> bool:
    """Nothing is asked over the network: at an S3 address can be nothing else."""
    if is_workspace(where, access.config) or ("://" in where and not where.startswith("s3://")):
        return False
    folder = locate(where, access).store.folder
    return folder is None or is_bundle(str(folder))
