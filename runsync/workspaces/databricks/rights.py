"""What a workspace lets us do, as far as it tells: by groups and entitlements, by permissions, by folders."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runsync.errors import RequestRefused
from runsync.kinds.permissions import GROUP, SERVICE_PRINCIPAL, USER, Grant, Permissions
from runsync.model.experiment import Experiment
from runsync.model.finding import Finding, ok, warning
from runsync.model.wording import many
from runsync.workspaces.databricks.notebooks import API as TREE
from runsync.workspaces.databricks.permissions import read_permissions
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import listed
from runsync.workspaces.rest.rights import SEE_ALL, UNSEEN

ME = "/api/2.0/preview/scim/v2/Me"
LIST = f"{TREE}/list"
POLICIES = "/api/2.0/policies/clusters/list"
ADMINS, MAKES_CLUSTERS = "admins", "allow-cluster-create"
SHARED = "/Shared"
LOOKED_AT = 20
"""Experiments of which the permissions are read, the newest."""
MANAGE, EDIT = "CAN_MANAGE", "CAN_EDIT"
_LET_WRITE = (
    "for an import or a change, have someone who manages them give it “Can Edit”; deleting and --permissions need “Can "
    "Manage”; with --prefix an import makes experiments of its own, which it manages"
)
_NO_COMPUTE = (
    "runs reproduce: use --notebook-only, or have an administrator give the entitlement “Unrestricted cluster creation”"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who we are to a workspace. Of groups only those are told that we are in ourselves."""

    name: str
    groups: frozenset[str]
    entitlements: frozenset[str]

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Caller":
        """Of what SCIM tells of the caller (databricks-sdk)."""
        groups = frozenset(str(group.get("display") or "") for group in listed(told, "groups"))
        own = frozenset(str(entitlement.get("value") or "") for entitlement in listed(told, "entitlements"))
        return cls(str(told.get("userName", "")), groups, own)

    @property
    def is_admin(self) -> bool:
        """Whether all of the workspace is open to it."""
        return ADMINS in self.groups

    def has(self, grant: Grant) -> bool:
        """Whether a grant is one to it."""
        if grant.principal_type == GROUP:
            return grant.principal in self.groups
        return grant.principal_type in (USER, SERVICE_PRINCIPAL) and grant.principal == self.name


def rights(client: Client, home: str, experiments: Sequence[Experiment]) -> Iterator[Finding]:
    """Of these experiments, which are all the active ones that are shown to us."""
    caller = Caller.read(client.get(ME))
    own = ", ".join(sorted(caller.entitlements)) or "none of its own"
    if caller.is_admin:
        yield ok("rights", f"an administrator of the workspace: all (entitlements: {own})")
    else:
        groups = ", ".join(sorted(caller.groups)) or "none"
        yield ok("rights", f"in the groups: {groups}; entitlements: {own} (those of its groups are not told)")
        yield warning("rights", f"{caller.name} is no administrator: {UNSEEN}", SEE_ALL)
        yield from _on_experiments(client, caller, experiments)
    yield _home(client, home)
    yield _shared(client)
    yield _compute(client, caller)


def _on_experiments(client: Client, caller: Caller, experiments: Sequence[Experiment]) -> Iterator[Finding]:
    newest = experiments[-LOOKED_AT:]
    if not newest:
        return
    levels = [_levels(client, caller, experiment) for experiment in newest]
    manages = sum(MANAGE in found for found in levels if found is not None)
    edits = sum(bool({MANAGE, EDIT} & found) for found in levels if found is not None)
    untold = levels.count(None)
    told = "by its own name or those groups it may write to "
    told += f"{edits:,} of {many(len(newest), 'experiment')}, and manage {manages:,}"
    told += "; they are the newest" if len(experiments) > len(newest) else ""
    told += f"; of {untold:,} it may not see the permissions" if untold else ""
    yield ok("rights", told) if manages == len(newest) else warning("rights", told, _LET_WRITE)


def _levels(client: Client, caller: Caller, experiment: Experiment) -> set[str] | None:
    """None where they are not told."""
    try:
        found = read_permissions(client, Permissions(experiment.experiment_id, experiment.name))
    except RequestRefused:
        return None
    return {grant.level for grant in found.grants if caller.has(grant)}


def _home(client: Client, home: str) -> Finding:
    if why := _unlisted(client, home):
        told = f"there is no folder {home} that we may see ({why})"
        return warning("folder", told, "name a folder of yours with --prefix when importing")
    return ok("folder", f"{home}; imports of names that are no paths need --prefix {home}/imported")


def _shared(client: Client) -> Finding:
    if why := _unlisted(client, SHARED):
        return warning("folder", f"{SHARED} cannot be listed ({why})", "import to a folder of yours, with --prefix")
    return ok("folder", f"{SHARED} can be listed")


def _compute(client: Client, caller: Caller) -> Finding:
    """Without that entitlement clusters are made by policies (Databricks' documents), of which `reproduce` has none."""
    if caller.is_admin or MAKES_CLUSTERS in caller.entitlements:
        return ok("clusters", "it may make them, of any kind")
    try:
        policies = [str(policy.get("name") or "") for policy in listed(client.get(POLICIES), "policies")]
    except RequestRefused:
        policies = []
    if policies:
        few = ", ".join(sorted(policies)[:10])
        return warning("clusters", f"it may make them by policies only ({few}), as far as it is told", _NO_COMPUTE)
    return warning("clusters", "it may make none, as far as it is told", _NO_COMPUTE)


def _unlisted(client: Client, folder: str) -> str:
    """Why a folder cannot be listed; "" where it can."""
    try:
        client.get(LIST, path=folder)
    except RequestRefused as error:
        return error.code or str(error.status)
    return ""
