"""MCP servers of a server of MLflow 3.15 or later."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.mcp_servers import MCP_SERVERS, AccessEndpoint, MCPServer, ServerVersion
from runsync.model.experiment import Experiment
from runsync.model.identity import own_tags_removed
from runsync.model.run import Problem
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, identifier, listed, part, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.documents import ServerDocuments

SERVERS = "mcp-servers"
PAGE = 100
INITIAL = frozenset({"draft", "active"})
"""The status that a new version may have; another one is reached by way of active."""
ACTIVE = "active"


@wire.strict
def mcp_server(document: Json) -> MCPServer:
    """One of mcp-servers, without its versions. An icon that it shows may be one of its last version. Raises
    OddAnswer."""
    icons = (one for one in listed(document, "icons") if one.get("source") != "version")
    return MCPServer(
        name=identifier(document, "name"),
        display_name=text(document, "display_name", ""),
        description=text(document, "description", ""),
        icons=tuple({name: value for name, value in one.items() if name != "source"} for one in icons),
        tags=_texts(document, "tags"),
        aliases={text(one, "alias"): text(one, "version") for one in listed(document, "aliases")},
        endpoints=tuple(access_endpoint(one) for one in listed(document, "access_endpoints")),
        **_times(document),
    )


@wire.strict
def server_version(document: Json) -> ServerVersion:
    """One of mcp-servers/NAME/versions. Raises OddAnswer."""
    return ServerVersion(
        version=identifier(document, "version"),
        server_json=part(document, "server_json"),
        status=text(document, "status", "draft"),
        tools=tuple(_without_nulls(one) for one in listed(document, "tools")) or None,
        source=text(document, "source", ""),
        connect_options=part(document, "connect_options"),
        tags=_texts(document, "tags"),
        **_times(document),
    )


@wire.strict
def access_endpoint(document: Json) -> AccessEndpoint:
    """One of those of a server. Raises OddAnswer."""
    return AccessEndpoint(
        id=identifier(document, "id"),
        url=text(document, "url"),
        transport=text(document, "transport_type", ""),
        version=text(document, "server_version", ""),
        alias=text(document, "server_alias", ""),
        **_times(document),
    )


class ServerMCPServers(ServerDocuments[MCPServer]):
    """See `DocumentStore`. Of a version that is there a server changes its status, tools and options."""

    def __init__(self, client: Client) -> None:
        super().__init__(MCP_SERVERS, client)

    def listed(self, experiments: Sequence[Experiment], is_asked: bool) -> Iterator[MCPServer]:
        """See `DocumentStore`. Without their versions."""
        return self.told(self._search())

    def complete(self, item: MCPServer) -> MCPServer:
        """See `DocumentStore`. With its versions. What it shows as its description may be that of the last one."""

        def ask(page: Json) -> dict[str, Any]:
            return self.get(f"{_path(item.name)}/versions", max_results=PAGE, **page)

        versions = sorted(self.each("mcp_server_versions", ask, server_version), key=lambda one: one.version)
        shown = {one.server_json.get("description") for one in versions}
        description = "" if item.description in shown else item.description
        return replace(item, description=description, versions=tuple(versions))

    def find(self, wanted: Sequence[MCPServer]) -> Iterable[MCPServer]:
        """See `DocumentStore`."""
        names = {item.name for item in wanted}
        return [self.complete(one) for one in self._search() if one.name in names]

    def create(self, wanted: MCPServer) -> tuple[str, Sequence[Problem]]:
        """See `DocumentStore`."""
        body: dict[str, Any] = {"name": wanted.name}
        body |= {"description": wanted.description} if wanted.description else {}
        body |= {"icons": list(wanted.icons)} if wanted.icons else {}
        self.send("POST", SERVERS, body, once=True)
        there = MCPServer(wanted.name, description=wanted.description, icons=wanted.icons)
        return wanted.name, self.change(wanted, there)

    def change(self, wanted: MCPServer, there: MCPServer) -> Sequence[Problem]:
        """See `DocumentStore`."""
        path = _path(wanted.name)
        names = ("display_name", "description", "icons")
        body = {name: getattr(wanted, name) or None for name in names if getattr(wanted, name) != getattr(there, name)}
        if body:
            self.send("PATCH", path, body)
        problems = self._set_tags(path, wanted.tags, there.tags)
        has = there.by_version
        for version in wanted.by_version.values():
            problems += self._put_version(path, version, has.get(version.version))
        for alias, number in wanted.aliases.items():
            if there.aliases.get(alias) != number:
                send = {"alias": alias, "version": number}
                problems += self._tried("alias of MCP server", alias, "POST", f"{path}/aliases", send)
        known = {endpoint.told for endpoint in there.endpoints}
        for endpoint in wanted.endpoints:
            if endpoint.told not in known:
                problems += self._add_endpoint(path, endpoint)
        return problems

    def delete(self, experiment_id: str, id: str) -> None:
        """See `DocumentStore`."""
        try:
            self.send("DELETE", _path(id), {})
        except RequestRefused as error:
            if error.code != ABSENT:
                raise

    def _search(self) -> Iterator[MCPServer]:
        return self.each("mcp_servers", lambda page: self.get(SERVERS, max_results=PAGE, **page), mcp_server)

    def _put_version(self, path: str, version: ServerVersion, there: ServerVersion | None) -> list[Problem]:
        of, what = f"{path}/versions/{quote(version.version, safe='')}", "version of MCP server"
        problems: list[Problem] = []
        if there is None:
            status = version.status if version.status in INITIAL else ACTIVE
            body: dict[str, Any] = {"server_json": dict(version.server_json), "status": status}
            body |= {"source": version.source} if version.source else {}
            body |= {} if version.tools is None else {"tools": list(version.tools)}
            body |= {"connect_options": dict(version.connect_options)} if version.connect_options else {}
            if problems := self._tried(what, version.version, "POST", f"{path}/versions", body, once=True):
                return problems
            there = replace(version, status=status, tags={})
        elif (there.server_json, there.source) != (version.server_json, version.source):
            why = "another one has this number there, which cannot be changed"
            problems.append(Problem(what, version.version, why))
        changed: dict[str, Any] = {}
        if (version.tools or ()) != (there.tools or ()):
            changed["tools"] = None if version.tools is None else list(version.tools)
        if version.connect_options != there.connect_options:
            changed["connect_options"] = dict(version.connect_options)
        if version.status != there.status:
            changed["status"] = version.status
        if changed:
            problems += self._tried(what, version.version, "PATCH", of, changed)
        return problems + self._set_tags(of, version.tags, there.tags)

    def _add_endpoint(self, path: str, endpoint: AccessEndpoint) -> list[Problem]:
        body = {"url": endpoint.url, "transport_type": endpoint.transport}
        body |= {"server_version": endpoint.version} if endpoint.version else {"server_alias": endpoint.alias}
        return self._tried("endpoint of MCP server", endpoint.url, "POST", f"{path}/endpoints", body, once=True)

    def _set_tags(self, path: str, wanted: Mapping[str, str], there: Mapping[str, str]) -> list[Problem]:
        problems = []
        for key, value in own_tags_removed(wanted).items():
            if there.get(key) != value:
                problems += self._tried("tag", key, "POST", f"{path}/tags", {"key": key, "value": value})
        return problems

    def _tried(self, what: str, name: str, method: str, path: str, body: Json, *, once: bool = False) -> list[Problem]:
        """What a server refuses is named, and the rest arrives."""
        try:
            self.send(method, path, body, once=once)
        except RequestRefused as error:
            if error.may_pass:
                raise
            return [Problem(what, name, str(error))]
        return []


def _path(name: str) -> str:
    return f"{SERVERS}/{quote(name)}"


def _texts(document: Json, name: str) -> dict[str, str]:
    return {key: str(value) for key, value in part(document, name).items()}


def _times(document: Json) -> dict[str, Any]:
    return {
        "created_by": text(document, "created_by", ""),
        "updated_by": text(document, "last_updated_by", ""),
        "created_at": wire.moment(document, "creation_timestamp"),
        "updated_at": wire.moment(document, "last_updated_timestamp"),
    }


def _without_nulls(document: Json) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}
