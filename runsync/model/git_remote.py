"""Addresses of Git repositories, as servers and people write them: what git may be given, and pages on the web."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from runsync.errors import WrongUsage

LONGEST = 2000
"""Characters of an address: longer ones would take long to judge."""
SCHEMES = ("https", "ssh", "git", "file")
COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")
_SHORT_SSH = re.compile(
    r"(?:([A-Za-z0-9_][\w.-]*)@)?([A-Za-z0-9][\w.-]*\.[\w.-]+|localhost):(?!/?/)([^:\s]+)", re.ASCII
)
_PORT = re.compile(r":\d+$")


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository that git may be given. `address` holds no secret; `host` is "" for one on this machine."""

    address: str
    host: str = ""
    path: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine."""
        return not self.host


def parse_remote(text: str) -> Remote:
    """The remote of a URL, of `user@host:path`, or of an absolute path. Raises WrongUsage for all else.

    Refused are schemes with which git runs commands (`ext::`), http, and what git would read as an option.
    """
    if len(text) > LONGEST:
        raise WrongUsage(f"the address of the Git repository has more than {LONGEST:,} characters")
    if not text or text.startswith("-") or not text.isprintable() or "::" in text:
        raise WrongUsage(f"{text!r} is no address of a Git repository that may be used")
    if text.startswith("/"):
        return Remote(text)
    if "://" not in text:
        found = _SHORT_SSH.fullmatch(text)
        if not found:
            raise WrongUsage(f"{text!r} is no address of a Git repository: write a URL or an absolute path")
        return Remote(text, found[2].lower(), found[3].strip("/"))
    return _parse_url(text)


def _parse_url(text: str) -> Remote:
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise WrongUsage("the address of the Git repository is no URL") from None
    if parts.scheme not in SCHEMES:
        raise WrongUsage(f"a Git repository by “{parts.scheme}:” is refused: only {', '.join(SCHEMES)} may be used")
    if parts.scheme == "file":
        if host not in ("", "localhost") or not parts.path.startswith("/"):
            raise WrongUsage("a file: address of a Git repository must be file:///path")
        return Remote(urlunsplit(("file", "", parts.path, "", "")))
    user = unquote(parts.username or "") if parts.scheme == "ssh" else ""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", host) or not re.fullmatch(r"([A-Za-z0-9_][\w.-]*)?", user, re.ASCII):
        raise WrongUsage("the address of the Git repository has no host that may be used")
    place = (f"{user}@" if user else "") + host + (f":{port}" if port else "")
    return Remote(urlunsplit((parts.scheme, place, parts.path, "", "")), host, unquote(parts.path).strip("/"))


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages of a repository on the web; `commit` is "" where it is not known which page shows it."""

    repository: str = ""
    commit: str = ""


def pages(remote: Remote, commit: str, provider: str = "") -> Pages:
    """The pages on GitHub, GitLab, Bitbucket or Azure DevOps, told by host or by `provider` as Databricks names it."""
    path = remote.path.removesuffix(".git").strip("/")
    if remote.is_local or not path:
        return Pages()
    kind = _kind(remote.host, provider)
    port = _port_of(remote)
    if kind == "azure":
        return _azure(remote.host, path, commit)
    if kind == "bitbucket server":
        return _bitbucket_server(remote.host + port, path, commit)
    repository = f"https://{remote.host}{port}/{quote(path)}"
    below = {"github": "/commit/", "gitlab": "/-/commit/", "bitbucket": "/commits/"}.get(kind, "")
    return Pages(repository, repository + below + commit if below and commit else "")


def _kind(host: str, provider: str) -> str:
    told = provider.lower()
    if host.endswith((".visualstudio.com", "dev.azure.com")) or "azure" in told:
        return "azure"
    if host == "bitbucket.org" or "bitbucketcloud" in told:
        return "bitbucket"
    if "bitbucket" in host or "bitbucket" in told:
        return "bitbucket server"
    return next((kind for kind in ("github", "gitlab") if kind in host or kind in told), "")


def _port_of(remote: Remote) -> str:
    """Of https only: the port of ssh shows no pages."""
    found = _PORT.search(urlsplit(remote.address).netloc) if remote.address.startswith("https:") else None
    return found[0] if found else ""


def _azure(host: str, path: str, commit: str) -> Pages:
    steps = path.split("/")
    if steps[0] == "v3" and len(steps) == 4:
        host, path = "dev.azure.com", f"{steps[1]}/{steps[2]}/_git/{steps[3]}"
    if "_git/" not in path:
        return Pages()
    repository = f"https://{host}/{quote(path)}"
    return Pages(repository, f"{repository}/commit/{commit}" if commit else "")


def _bitbucket_server(host: str, path: str, commit: str) -> Pages:
    steps = path.removeprefix("scm/").split("/")
    if len(steps) != 2:
        return Pages()
    owner = f"users/{quote(steps[0][1:])}" if steps[0].startswith("~") else f"projects/{quote(steps[0])}"
    repository = f"https://{host}/{owner}/repos/{quote(steps[1])}"
    return Pages(repository, f"{repository}/commits/{commit}" if commit else "")
