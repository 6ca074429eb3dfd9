"""What a user typed for a workspace.

A server is `http(s)://[user:password@]host[:port][/prefix][?workspace=NAME]`, a database `sqlite:///FILE`,
`postgresql://…` or `mysql://…` as MLflow has it, a file store its folder or a `file:` URI.
"""

import dataclasses
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

from runsync import config
from runsync.errors import WrongUsage
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.files.layout import is_file_store, is_part_of_store
from runsync.workspaces.sql import address as database


@dataclass(frozen=True, slots=True)
class Address:
    """`url` has no credentials, query or trailing slash: it may be printed and stored.

    `s3_endpoint` and `s3_profile` are for the S3 that its artifacts lie in; "" leaves that to the environment. With
    `aws_sigv4` the profile signs requests too.
    """

    url: str
    workspace: str
    credentials: Credentials
    s3_endpoint: str = ""
    s3_profile: str = ""

    @property
    def printable(self) -> str:
        """As it stands in reports and manifests."""
        return self.url + (f"?workspace={self.workspace}" if self.workspace else "")


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A store that is reached without a server: the `url` of a database (it may hold a password), or a folder.

    `artifacts` is where the root of its artifacts really is, "" where it is recorded; the rest is as for `Address`.
    """

    url: str = field(default="", repr=False)
    folder: Path | None = None
    artifacts: str = ""
    s3_endpoint: str = ""
    s3_profile: str = ""

    @property
    def printable(self) -> str:
        """As it stands in reports. Raises WrongUsage for what is no address of a database."""
        return str(self.folder) if self.folder is not None else database.parse(self.url).printable


def is_url(where: str) -> bool:
    """Whether it is spelled as the address of a server."""
    return where.startswith(("http://", "https://"))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    number = ip_of(host)
    return host == "localhost" if number is None else number.is_loopback or number.is_unspecified


def ip_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a host is written as, in whatever way the resolver takes (`127.1`, `0x7f000001`,
    `::ffff:127.0.0.1`); None for a name."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def parse(url: str, credentials: Credentials) -> Address:
    """Splits an address; user and password in it win over `credentials`. Raises WrongUsage."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise WrongUsage("that address is no URL: write http://host:port or https://host/prefix") from None
    if not parts.hostname:
        raise WrongUsage("that address names no host: write http://host:port or https://host/prefix")
    if parts.username is not None and "@" in parts.path + parts.query + parts.fragment:
        raise WrongUsage("a password in an address takes no @, / or : as such: write %40, %2F or %3A")
    query = parse_qs(parts.query)
    if set(query) - {"workspace"}:
        raise WrongUsage(f"an address takes only ?workspace=NAME, not “{min(set(query) - {'workspace'})}”")
    if parts.username:
        credentials = credentials.as_user(unquote(parts.username), unquote(parts.password or ""))
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    bare = urlunsplit((parts.scheme, host + port, parts.path.rstrip("/"), "", ""))
    return Address(bare, query.get("workspace", [""])[0], credentials)


def resolve(where: str, config_path: str | None = None) -> Address | StoreAddress | None:
    """What an address, a name of `runsync.toml` or a folder means; None when that is no workspace.

    A folder is one when it looks like a file store, or a part of one (which is refused when it is opened). Raises
    WrongUsage.
    """
    section = config.workspaces(config_path).get(where)
    if section is not None:
        return _of_section(section, where)
    if is_url(where):
        return parse(where, Credentials.from_environment())
    return _store(where)


def folder_of(where: str) -> Path | None:
    """The folder that is typed as a path or a `file:` URI; None for a bare word, which may be a slip."""
    if where.startswith("file:"):
        path = urlsplit(where).path
        return Path(unquote(path)) if path else None
    if "://" in where or not ("/" in where or where.startswith((".", "~"))):
        return None
    return Path(where).expanduser()


def _store(where: str) -> StoreAddress | None:
    if database.is_database(where):
        return StoreAddress(where)
    if where.startswith("file:"):
        return StoreAddress(folder=folder_of(where))
    folder = Path(where).expanduser()
    is_meant = "://" not in where and (is_file_store(folder) or is_part_of_store(folder))
    return StoreAddress(folder=folder) if is_meant else None


def _of_section(section: Mapping[str, Any], name: str) -> Address | StoreAddress:
    """Of what `runsync.toml` says."""
    uri = section["uri"]
    endpoint, profile = str(section.get("s3_endpoint", "")), str(section.get("s3_profile", ""))
    given = Credentials.from_config(section, name)
    if is_url(uri):
        login = dataclasses.replace(given or Credentials.from_environment(), aws_profile=profile)
        address = parse(uri, login)
        workspace = section.get("workspace", address.workspace)
        return dataclasses.replace(address, workspace=workspace, s3_endpoint=endpoint, s3_profile=profile)
    store = StoreAddress(folder=folder) if (folder := folder_of(uri)) else _store(uri)
    if store is None:
        raise WrongUsage(
            f"workspace “{name}”: its uri is neither http(s)://…, nor a database (sqlite:///…, postgresql://…, "
            "mysql://…), nor the folder of a file store"
        )
    if given is not None and store.url:
        store = dataclasses.replace(store, url=_with_credentials(store.url, given))
    artifacts = str(section.get("artifacts", ""))
    return dataclasses.replace(store, artifacts=artifacts, s3_endpoint=endpoint, s3_profile=profile)


def _with_credentials(url: str, given: Credentials) -> str:
    """A user, a password or both take the place of those in the URL."""
    parts = urlsplit(url)
    user = quote(given.username, safe="") if given.username else parts.username or ""
    password = f":{quote(given.password, safe='')}" if given.password else ""
    return urlunsplit(parts._replace(netloc=f"{user}{password}@{parts.netloc.rpartition('@')[2]}"))
