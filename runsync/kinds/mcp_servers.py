"""MCP servers that are registered with MLflow, with their versions, tags, aliases and access endpoints."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runsync.kinds.changed import changed_fields, lacking_entries
from runsync.kinds.document import Document, DocumentKind
from runsync.kinds.kind import Key
from runsync.model.identity import own_tags_removed

if TYPE_CHECKING:
    from runsync.model.comparison import FieldChange

DELETED = "deleted"
"""The status of a version that was deleted: nobody sees it, and its number is not given again."""


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """`server_json` is what it is; `tools` is None where none were told. Times are in epoch milliseconds."""

    version: str
    server_json: Mapping[str, Any] = field(default_factory=dict)
    status: str = "draft"
    tools: tuple[Mapping[str, Any], ...] | None = None
    source: str = ""
    connect_options: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    created_by: str = ""
    updated_by: str = ""
    created_at: int | None = None
    updated_at: int | None = None

    @property
    def told(self) -> tuple[Any, ...]:
        """All but who made it and when. A server does not tell no tools from an empty list of them."""
        tags = own_tags_removed(self.tags)
        return (self.server_json, self.status, self.tools or (), self.source, dict(self.connect_options), tags)


@dataclass(frozen=True, slots=True)
class AccessEndpoint:
    """Where one version of a server, or that of an alias, is reached."""

    id: str
    url: str
    transport: str = "streamable-http"
    version: str = ""
    alias: str = ""
    created_by: str = ""
    updated_by: str = ""
    created_at: int | None = None
    updated_at: int | None = None

    @property
    def told(self) -> tuple[str, ...]:
        """All but its id, who made it and when."""
        return (self.url, self.transport, self.version, self.alias)


@dataclass(frozen=True, slots=True)
class MCPServer(Document):
    """`aliases` name versions. Times are in epoch milliseconds."""

    name: str
    display_name: str = ""
    description: str = ""
    icons: tuple[Mapping[str, Any], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[ServerVersion, ...] = ()
    endpoints: tuple[AccessEndpoint, ...] = ()
    created_by: str = ""
    updated_by: str = ""
    created_at: int | None = None
    updated_at: int | None = None

    @property
    def key(self) -> Key:
        """Names are unique within a workspace."""
        return (self.name,)

    @property
    def by_version(self) -> dict[str, ServerVersion]:
        """Its versions, without those that were deleted."""
        return {each.version: each for each in self.versions if each.status != DELETED}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "MCPServer":
        """See `Entity`."""

        def version(told: Mapping[str, Any]) -> ServerVersion:
            tools = told["tools"]
            return ServerVersion(**{**told, "tools": None if tools is None else tuple(tools)})

        versions = tuple(map(version, document["versions"]))
        endpoints = tuple(AccessEndpoint(**endpoint) for endpoint in document["endpoints"])
        icons = tuple(document["icons"])
        return cls(**{**document, "icons": icons, "versions": versions, "endpoints": endpoints})


class _MCPServers(DocumentKind[MCPServer]):
    name = "mcp-servers"
    noun = "MCP server"
    entity = MCPServer
    id_field = "name"
    set_by_servers = ("created_by", "updated_by", "created_at", "updated_at")

    @property
    def schema(self) -> str:
        """In lower case, as all files of schemas."""
        return "mcp-server"

    def place(self, item: MCPServer) -> Key:
        """A workspace has each name once."""
        return (item.name,)

    def changes(self, old: MCPServer, new: MCPServer) -> Iterator["FieldChange"]:
        """Versions and endpoints one by one."""
        yield from super().changes(_bare(old), _bare(new))
        before, after = ({each.version: each for each in item.versions} for item in (old, new))
        for number in sorted(before.keys() | after.keys()):
            if before.get(number) != after.get(number):
                yield _changed(f"versions.{number}", before.get(number), after.get(number))
        yield from changed_fields(_Endpoints(old.endpoints), _Endpoints(new.endpoints), ("endpoints",))

    def lacks(self, wanted: MCPServer, there: MCPServer) -> Iterator["FieldChange"]:
        """A workspace may have more versions, tags, aliases and endpoints."""
        yield from changed_fields(wanted, there, ("display_name", "description", "icons"))
        yield from lacking_entries("tags", own_tags_removed(wanted.tags), there.tags)
        has = there.by_version
        for number, version in wanted.by_version.items():
            if number not in has or has[number].told != version.told:
                yield _changed(f"versions.{number}", version, has.get(number))
        yield from lacking_entries("aliases", wanted.aliases, there.aliases)
        known = {endpoint.told for endpoint in there.endpoints}
        for endpoint in wanted.endpoints:
            if endpoint.told not in known:
                yield _changed(f"endpoints.{endpoint.url}", endpoint, None)


@dataclass(frozen=True, slots=True)
class _Endpoints:
    endpoints: tuple[AccessEndpoint, ...]


def _bare(item: MCPServer) -> MCPServer:
    return replace(item, versions=(), endpoints=())


def _changed(name: str, old: object, new: object) -> "FieldChange":
    from runsync.model.comparison import FieldChange

    return FieldChange(name, "missing" if old is None else str(old), "missing" if new is None else str(new))


MCP_SERVERS = _MCPServers()
