"""What a user typed for a workspace: `http(s)://[user:password@]host[:port][/prefix][?workspace=NAME]`."""

import dataclasses
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from runsync import config
from runsync.errors import WrongUsage
from runsync.workspaces.credentials import Credentials


@dataclass(frozen=True, slots=True)
class Address:
    """`url` has no credentials, query or trailing slash: it may be printed and stored.

    `s3_endpoint` and `s3_profile` are for the S3 that its artifacts lie in; "" leaves that to the environment.
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


def is_url(where: str) -> bool:
    """Whether it is spelled as the address of a server."""
    return where.startswith(("http://", "https://"))


def parse(url: str, credentials: Credentials) -> Address:
    """Splits an address; user and password in it win over `credentials`. Raises WrongUsage."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise WrongUsage("that address is no URL: write http://host:port or https://host/prefix") from None
    if not parts.hostname:
        raise WrongUsage("that address names no host: write http://host:port or https://host/prefix")
    query = parse_qs(parts.query)
    if set(query) - {"workspace"}:
        raise WrongUsage(f"an address takes only ?workspace=NAME, not “{min(set(query) - {'workspace'})}”")
    if parts.username:
        credentials = dataclasses.replace(
            credentials, username=unquote(parts.username), password=unquote(parts.password or ""), token=""
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    bare = urlunsplit((parts.scheme, host + port, parts.path.rstrip("/"), "", ""))
    return Address(bare, query.get("workspace", [""])[0], credentials)


def resolve(where: str, config_path: str | None = None) -> Address | None:
    """The address that a URL or a name of `runsync.toml` means; None when it is neither. Raises WrongUsage."""
    if is_url(where):
        return parse(where, Credentials.from_environment())
    section = config.workspaces(config_path).get(where)
    if section is None:
        return None
    if not is_url(section["uri"]):
        raise WrongUsage(f"workspace “{where}”: its uri must start with http:// or https://")
    credentials = Credentials.from_config(section, where) or Credentials.from_environment()
    address = parse(section["uri"], credentials)
    return dataclasses.replace(
        address,
        workspace=section.get("workspace", address.workspace),
        s3_endpoint=str(section.get("s3_endpoint", "")),
        s3_profile=str(section.get("s3_profile", "")),
    )
