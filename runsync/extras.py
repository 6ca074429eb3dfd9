"""The one command that installs a part of runsync that is not there: one of its extras (see pyproject.toml)."""

import json
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

NAME = "runsync"


def how_to_install(extra: str) -> str:
    """A command for a shell, such as `pip install 'runsync[sql]'`: with the installer of this environment, and from
    where runsync was installed (a checkout, a wheel, a repository, or an index)."""
    return f"{_installer()} {shlex.quote(_requirement(extra))}"


def _installer() -> str:
    if (Path(sys.prefix) / "uv-receipt.toml").exists():
        return "uv tool install"
    if (Path(sys.prefix) / "pipx_metadata.json").exists():
        return "pipx install --force"
    python = Path(sys.executable)
    if find_spec("pip") is None and shutil.which("uv"):
        return f"uv pip install --python {shlex.quote(str(python))}"
    found = shutil.which("pip")
    is_of_here = found is not None and Path(found).parent == python.parent
    return "pip install" if is_of_here else f"{shlex.quote(str(python))} -m pip install"


def _requirement(extra: str) -> str:
    checkout, url = _origin()
    if checkout is not None:
        return f".[{extra}]" if checkout == Path.cwd() else f"{checkout}[{extra}]"
    return f"{NAME}[{extra}] @ {url}" if url else f"{NAME}[{extra}]"


def _origin() -> tuple[Path | None, str]:
    """The folder that runsync was installed from, or else the URL; neither where an index had it. See PEP 610."""
    try:
        told = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        above = Path(__file__).parent.parent
        return (above, "") if (above / "pyproject.toml").exists() else (None, "")
    if told is None:
        return None, ""
    recorded = json.loads(told)
    url = recorded["url"]
    if "dir_info" in recorded:
        return Path(url2pathname(urlsplit(url).path)), ""
    repository = recorded.get("vcs_info")
    return None, f"{repository['vcs']}+{url}@{repository['commit_id']}" if repository else url
