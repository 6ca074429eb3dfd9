"""MCP servers in the database."""

import json
import re
from typing import Any

from runsync.kinds.mcp_servers import AccessEndpoint, MCPServer, ServerVersion
from runsync.workspaces.sql.documents import Child, Row, Rows, Shape

_VERSIONS, _TAGS, _VERSION_TAGS = "mcp_server_versions", "mcp_server_tags", "mcp_server_version_tags"
_ALIASES, _ENDPOINTS = "mcp_server_aliases", "mcp_access_endpoints"
_NUMBER = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?")


class MCPServers(Shape[MCPServer]):
    """See `Shape`."""

    table = "mcp_servers"
    id = "name"
    children = (
        Child(_VERSIONS, "name", ("version",)),
        Child(_TAGS, "name", ("key",)),
        Child(_VERSION_TAGS, "name", ("version", "key")),
        Child(_ALIASES, "name", ("alias",)),
        Child(_ENDPOINTS, "server_name", ("id",)),
    )

    def item(self, row: Row, children: Rows) -> MCPServer:
        """See `Shape`."""
        tags: dict[str, dict[str, str]] = {}
        for one in children[_VERSION_TAGS]:
            tags.setdefault(one["version"], {})[one["key"]] = one["value"] or ""
        return MCPServer(
            name=row["name"],
            display_name=row["display_name"] or "",
            description=row["description"] or "",
            icons=tuple(_read(row["icons"]) or ()),
            tags={one["key"]: one["value"] or "" for one in children[_TAGS]},
            aliases={one["alias"]: one["version"] for one in children[_ALIASES]},
            versions=tuple(_version(one, tags.get(one["version"], {})) for one in children[_VERSIONS]),
            endpoints=tuple(_endpoint(one) for one in children[_ENDPOINTS]),
            **_told_times(row),
        )

    def rows(self, item: MCPServer) -> Rows:
        """See `Shape`."""
        of: Row = {"name": item.name}
        server = of | {
            "display_name": item.display_name or None,
            "description": item.description or None,
            "icons": list(item.icons) or None,
            **_times(item),
        }
        return {
            self.table: [server],
            _VERSIONS: [of | _version_row(each) for each in item.versions],
            _TAGS: [of | {"key": key, "value": value} for key, value in item.tags.items()],
            _VERSION_TAGS: [
                of | {"version": each.version, "key": key, "value": value}
                for each in item.versions
                for key, value in each.tags.items()
            ],
            _ALIASES: [of | {"alias": alias, "version": version} for alias, version in item.aliases.items()],
            _ENDPOINTS: [
                {
                    "id": each.id,
                    "server_name": item.name,
                    "server_version": each.version or None,
                    "server_alias": each.alias or None,
                    "url": each.url,
                    "transport_type": each.transport,
                    **_times(each),
                }
                for each in item.endpoints
            ],
        }


def _version(row: Row, tags: dict[str, str]) -> ServerVersion:
    tools = _read(row["tools"])
    return ServerVersion(
        version=row["version"],
        server_json=_read(row["server_json"]) or {},
        status=row["status"],
        tools=None if tools is None else tuple(tools),
        source=row["source"] or "",
        connect_options=_read(row["connect_options"]) or {},
        tags=tags,
        **_told_times(row),
    )


def _version_row(item: ServerVersion) -> Row:
    return {
        "version": item.version,
        **_sorted_by(item.version),
        "server_json": dict(item.server_json),
        "status": item.status,
        "tools": None if item.tools is None else [dict(tool) for tool in item.tools],
        "source": item.source or None,
        "connect_options": dict(item.connect_options) or None,
        **_times(item),
    }


def _endpoint(row: Row) -> AccessEndpoint:
    return AccessEndpoint(
        id=row["id"],
        url=row["url"],
        transport=row["transport_type"],
        version=row["server_version"] or "",
        alias=row["server_alias"] or "",
        **_told_times(row),
    )


def _told_times(row: Row) -> dict[str, Any]:
    return {
        "created_by": row["created_by"] or "",
        "updated_by": row["last_updated_by"] or "",
        "created_at": row["created_at"],
        "updated_at": row["last_updated_at"],
    }


def _times(item: MCPServer | ServerVersion | AccessEndpoint) -> Row:
    return {
        "created_by": item.created_by or None,
        "last_updated_by": item.updated_by or None,
        "created_at": item.created_at or 0,
        "last_updated_at": item.updated_at or 0,
    }


def _sorted_by(version: str) -> Row:
    """What MLflow sorts versions by (mlflow/utils/semver_utils.py): a release comes after all that lead to it, and of
    those a number counts as one."""
    found = _NUMBER.match(version)
    numbers = [int(part) for part in found.groups()[:3]] if found else [0, 0, 0]
    parts = found[4].split(".") if found and found[4] else []
    key = "".join(
        f"0{len(part):03d}{part}" if part.isdigit() else f"1{''.join(f'{ord(c):03d}' for c in part)}000"
        for part in parts
    )
    major, minor, patch = numbers
    return {
        "version_major": major,
        "version_minor": minor,
        "version_patch": patch,
        "version_prerelease_sort_key": key or "2",
    }


def _read(value: Any) -> Any:
    """JSON, which MariaDB gives as text."""
    return json.loads(value) if isinstance(value, str) else value
