"""What we may do with models in Unity Catalog, as far as it tells: only an owner sets their aliases, descriptions and
tags, and adds versions."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from runsync.errors import RequestRefused
from runsync.model.finding import Finding, failure, ok, warning
from runsync.model.wording import many
from runsync.workspaces.databricks.rights import ME, Caller
from runsync.workspaces.databricks.unity.registry import Catalog
from runsync.workspaces.http import OPTIONAL, Client
from runsync.workspaces.http.fields import listed, pages, text

MODEL = "/api/2.1/unity-catalog/models/{}"
METASTORE = "/api/2.1/unity-catalog/metastore_summary"
SCHEMA = "/api/2.1/unity-catalog/schemas/{}"
CATALOG = "/api/2.1/unity-catalog/catalogs/{}"
ON_SCHEMA = "/api/2.1/unity-catalog/effective-permissions/schema/{}"
"""What is granted on a schema, by its catalog too (Databricks' reference of "Get Effective Permissions")."""
EVERYBODY = "account users"
_MAKES_MODELS = {"CREATE_MODEL", "ALL_PRIVILEGES"}
LOOKED_AT = 20
_IS_GROUP = re.compile(r"(?!.*@)(?![0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$).+")
"""A user owns by an e-mail address, a service principal by its application id."""
_LET_OWN = (
    "for an import into these, have their owner or a metastore admin make a group the owner that this identity is in; "
    "a model that an import makes is its own, which takes CREATE MODEL on the schema"
)


def rights_in_catalog(client: Client) -> Iterator[Finding]:
    """Nothing where no models are shown to us."""
    names = Catalog(client).names()
    some = names[:LOOKED_AT]
    if not some:
        return
    caller = Caller.read(client.get(ME))
    owned = sum(_is(caller, _owner(client, MODEL.format(quote(name, safe="")))) for name in some)
    told = f"Unity Catalog: {many(len(names), 'model')} to be seen"
    told += f"; of {len(some)} that were looked at" if len(names) > len(some) else ""
    told += f"; it owns {owned} of them by its own name or those groups"
    is_fine = owned == len(some)
    yield ok("rights", told) if is_fine else warning("rights", f"{told}, and only an owner sets aliases", _LET_OWN)


def rights_on_model(client: Client, name: str) -> Iterator[Finding]:
    """Whether its aliases may be moved, which its owner may, and the admins of the metastore (Databricks' reference of
    "Set Registered Model Alias"). Groups within groups are not told: of a model that a group owns nothing is sure."""
    caller = Caller.read(client.get(ME))
    owner = _owner(client, MODEL.format(quote(name, safe="")))
    if not owner or caller.is_admin or _is(caller, owner) or _is(caller, _owner(client, METASTORE)):
        return
    told = f"{name} is owned by {owner}, and not by {caller.name}; only an owner sets its aliases"
    yield warning("rights", told, _LET_OWN) if _IS_GROUP.fullmatch(owner) else failure("rights", told, _LET_OWN)


def rights_to_make(client: Client, name: str) -> Iterator[Finding]:
    """Whether a model may be made in its schema, as far as its grants are told: nothing where they are not."""
    caller, schema = Caller.read(client.get(ME)), name.rpartition(".")[0]
    makers = _makers(client, schema)
    if makers is None or caller.is_admin or any(_is(caller, maker) for maker in (*makers, *_owners(client, schema))):
        return
    told = f"{name} is not there yet, and {caller.name} is not granted CREATE MODEL on {schema}"
    remedy = f"have CREATE MODEL granted on {schema}, or promote into a model that is there"
    is_sure = not any(map(_IS_GROUP.fullmatch, makers))
    yield failure("rights", told, remedy) if is_sure else warning("rights", told, remedy)


def _makers(client: Client, schema: str) -> list[str] | None:
    """Who is granted to make models in a schema; None where that is not told, or everybody is."""

    def ask(token: str) -> Mapping[str, Any]:
        asked = {"max_results": 0} | ({"page_token": token} if token else {})
        return client.get(ON_SCHEMA.format(quote(schema, safe="")), care=OPTIONAL, **asked)

    try:
        found = [grant for page in pages(ask, "privilege_assignments") for grant in page]
        makers = [text(grant, "principal") for grant in found if _MAKES_MODELS & _privileges(grant)]
    except RequestRefused:
        return None
    return None if EVERYBODY in makers else makers


def _privileges(grant: Mapping[str, Any]) -> set[str]:
    return {text(each, "privilege", "") for each in listed(grant, "privileges")}


def _owners(client: Client, schema: str) -> Iterator[str]:
    """Who may do all in a schema: its owner, that of its catalog, and that of the metastore."""
    yield _owner(client, SCHEMA.format(quote(schema, safe="")))
    yield _owner(client, CATALOG.format(quote(schema.partition(".")[0], safe="")))
    yield _owner(client, METASTORE)


def _is(caller: Caller, owner: str) -> bool:
    """By its own name, or by the groups that are told."""
    return owner == caller.name or owner in caller.groups


def _owner(client: Client, path: str) -> str:
    """ "" where it is not told."""
    try:
        return text(client.get(path, care=OPTIONAL), "owner", "")
    except RequestRefused:
        return ""
