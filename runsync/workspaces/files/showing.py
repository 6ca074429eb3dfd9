"""What is written to a store under one lock, shows together, and is on the disk then."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from runsync.errors import AccessDenied, RunsyncError
from runsync.workspaces.files.draft import Draft, key_path, settle
from runsync.workspaces.files.layout import Broken, why


@contextlib.contextmanager
def shown_together(root: str) -> Iterator[list[Draft]]:
    """Drafts put in the list show at the end, once they are on the disk; when anything fails, none does."""
    drafts: list[Draft] = []
    try:
        yield drafts
        settle(root)
        while drafts:
            drafts[-1].commit()
            drafts.pop().close()
    finally:
        for draft in drafts:
            draft.drop()
            draft.close()
    settle(root)


def remove_texts(folder: str, kind: str, keys: Sequence[str]) -> None:
    """Takes tags (or another kind of texts) away from what lies in a folder; one that is not there is no fault."""
    for key in keys:
        with contextlib.suppress(Broken, FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path = Path(folder, key_path(kind, key))
            if path.parent.resolve() == path.parent:
                path.unlink()


@contextlib.contextmanager
def told(root: str) -> Iterator[None]:
    """What stops everything, a disk that takes no more, is told as such."""
    try:
        yield
    except PermissionError as error:
        raise AccessDenied(f"{root} cannot be written: {why(error)}") from error
    except OSError as error:
        raise RunsyncError(
            f"{root} cannot be written: {error.strerror or error}; make room or choose another place, then run it again"
        ) from error


@contextlib.contextmanager
def locked(root: str) -> Iterator[None]:
    """One import at a time makes experiments or writes models, where the file system has locks."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
