"""A Git repository at one commit, by the git command: no hooks, no questions, no transports that run commands."""

import os
import shutil
import subprocess
from pathlib import Path

from runsync.errors import RunsyncError
from runsync.model.git_remote import SCHEMES, Remote
from runsync.model.redact import without_credentials

_QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false")


class NoCheckout(RunsyncError):
    """The code could not be had; the message tells why."""


def check_out(remote: Remote, commit: str, into: Path) -> list[str]:
    """Clones a repository and puts its work tree at a commit, submodules too; what is there already is kept.

    Gives what of the submodules could not be had. Raises NoCheckout.
    """
    if shutil.which("git") is None:
        raise NoCheckout("there is no git command here: install git")
    if not into.exists():
        partial = into.with_name(f".{into.name}-partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _git(remote, "clone", "--quiet", "--no-checkout", "--template=", "--", remote.address, str(partial))
            _move_to(remote, commit, partial)
            partial.rename(into)
        finally:  # nothing is left of a clone that failed or was interrupted
            shutil.rmtree(partial, ignore_errors=True)
    elif not (into / ".git").is_dir() or not _git(remote, "rev-parse", "HEAD", at=into).startswith(commit.lower()):
        raise NoCheckout(f"{into} is there, but not at commit {commit}: delete it, and run this again")
    try:
        _git(remote, "submodule", "--quiet", "update", "--init", "--recursive", at=into)
    except NoCheckout as error:
        return [f"submodules: {error}"]
    return []


def _move_to(remote: Remote, commit: str, folder: Path) -> None:
    try:
        _git(remote, "rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}", at=folder)
    except NoCheckout:
        try:
            _git(remote, "fetch", "--quiet", "--no-tags", "origin", commit, at=folder)
        except NoCheckout as error:
            raise NoCheckout(f"commit {commit} is not in {remote.address} (never pushed, or gone): {error}") from None
    _git(remote, "checkout", "--quiet", "--detach", commit, at=folder)


def _git(remote: Remote, *arguments: str, at: Path | None = None) -> str:
    place = ("-C", str(at)) if at else ()
    done = subprocess.run(  # noqa: S603
        ["git", *_QUIET, *place, *arguments],  # noqa: S607
        env=_environment(remote),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason told"]
        reason = next((line for line in told if line.startswith(("fatal:", "error:"))), told[-1])
        raise NoCheckout(f"git {arguments[0]}: {without_credentials(reason)}")
    return done.stdout


def _environment(remote: Remote) -> dict[str, str]:
    """Without what points git at another repository; submodules of a remote repository may not be local."""
    kept = ("GIT_SSL", "GIT_SSH", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_TRACE")
    environment = {n: v for n, v in os.environ.items() if not n.startswith("GIT_") or n.startswith(kept)}
    protocols = SCHEMES if remote.is_local else tuple(scheme for scheme in SCHEMES if scheme != "file")
    environment.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
    return environment | {
        "GIT_ALLOW_PROTOCOL": ":".join(protocols),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "LC_ALL": "C",
    }
