"""What is secret in the tests, and the search of everything they write for it.

Every secret carries `MARK`, so that one look finds all of them, also in part, percent-encoded, escaped or as base64,
and never anything else. Only the signatures that botocore computes cannot: those are known by their shape.

What runsync prints, returns, raises and sends to emulators is looked at on the spot. In a module in which a secret was
kept, what a test printed, logged and wrote into files is searched when it ends (see `conftest`).
"""

import base64
import json
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import wraps
from inspect import isfunction
from pathlib import Path
from typing import Any
from urllib.parse import quote

import runsync
from runsync.errors import RunsyncError
from support.contents import contents

MARK = "5ec2e75afe5ec2e7"
"""Digits of a hexadecimal number: they fit into tokens and signatures of any kind."""

AROUND = 30
"""Characters that are shown on each side of what was found."""

_SIGNATURE = re.compile(rb"Signature(?:=|%3D)[0-9a-f]{64}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+=*")
_SLACK = 0.05
"""Seconds that the times of files may be behind the clock."""


def _in_base64() -> Iterator[bytes]:
    """The mark as base64, once for each place at which it can begin, without what its neighbours have a part in."""
    for shift in range(3):
        packed = base64.b64encode(bytes(shift) + MARK.encode())
        yield packed[-(-8 * shift // 6) : 8 * (shift + len(MARK)) // 6]


FORMS = (MARK.encode(), *_in_base64())


class Search:
    """Of this process. It has found what stands in `found`, since the last test ended."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._roles: dict[str, str] = {}
        self._declared: set[Path] = set()
        self._lasting: set[Path] = set()
        self._base = Path()
        self._older: set[Path] = set()
        self._since = 0.0
        self._seen: dict[str, float] = {}

    def begin(self, base: Path) -> None:
        """A module begins: nothing is secret yet. `base` is where pytest makes the folders of tests."""
        self.found.clear()
        self._roles.clear()
        self._declared.clear()
        self._base = base
        self._older = set(base.iterdir())
        self._since = time.time() - _SLACK
        self._seen.clear()
        logging.getLogger("runsync").setLevel(logging.DEBUG)

    @property
    def is_on(self) -> bool:
        """Whether anything is secret."""
        return bool(self._roles)

    def end(self, sections: Iterable[tuple[str, str]]) -> list[str]:
        """What was found since the last test; `sections` is what this one printed and logged."""
        if self.is_on:
            for name, text in sections:
                self.look(name, text)
            self._look_at_files()
        found, self.found = self.found, []
        return found

    def keep(self, secret: str, role: str) -> str:
        """From now on this text is secret; `role` is what a failing test calls it. It must carry the mark."""
        assert MARK in secret, f"{role} cannot be told from other texts: put MARK into it"
        self._roles[secret] = role
        return secret

    def holds_secrets(self, file: Path) -> Path:
        """Declares a file that is there to hold secrets, as settings are; returns it."""
        self._declared.add(file.absolute())
        return file

    def watch(self, folder: Path) -> None:
        """Declares a folder that tests share."""
        self._lasting.add(folder)

    def look(self, where: str, content: str | bytes) -> None:
        """Notes the secrets in what was written."""
        raw = content.encode(errors="surrogatepass") if isinstance(content, str) else content
        for readable in contents(raw):
            for start, end in _places(readable):
                told = f"{where}: {self._told(readable, start, end)}"
                if told not in self.found:
                    self.found.append(told)

    def _look_at_files(self) -> None:
        """Names and contents of all that was made or changed since the last look, in this module."""
        made = {folder for folder in self._base.iterdir() if folder not in self._older and not folder.is_symlink()}
        for top in sorted(made | self._lasting):
            for folder, folders, files in os.walk(top):
                for place in (f"{folder}/{name}" for name in (*folders, *files)):
                    with suppress(OSError):  # a server may take it away meanwhile
                        self._look_at_file(place, os.lstat(place))

    def _look_at_file(self, place: str, state: os.stat_result) -> None:
        if state.st_ctime < self._since or self._seen.get(place) == state.st_ctime:
            return
        self._seen[place] = state.st_ctime
        file = Path(place)
        self.look(f"a name in {file.parent.relative_to(self._base)}", file.name)
        if stat.S_ISREG(state.st_mode) and file not in self._declared:
            self.look(str(file.relative_to(self._base)), file.read_bytes())

    def _told(self, content: bytes, start: int, end: int) -> str:
        """The role of a secret and its surroundings, without the secret itself."""
        begin, finish, role = self._whole(content, start, end)
        before = content[max(0, begin - AROUND) : begin].decode(errors="replace")
        after = content[finish : finish + AROUND].decode(errors="replace")
        shown = "".join(c if c.isprintable() else "·" for c in f"{before}‹secret›{after}")
        return f"{role}, in “{shown}”"

    def _whole(self, content: bytes, start: int, end: int) -> tuple[int, int, str]:
        """Where the secret begins and ends of which a part was found, and what it is."""
        if content.startswith(b"Signature", start):
            return start, end, "a signature of AWS"
        for form, role in self._forms():
            begin = content.find(form, max(0, end - len(form)), start + len(form))
            if begin >= 0:
                return begin, begin + len(form), role
        for run in _BASE64.finditer(content, max(0, start - 400), end + 400):
            if run.start() <= start < run.end():
                return run.start(), run.end(), self._packed(run[0])
        return start, end, "a secret"

    def _packed(self, run: bytes) -> str:
        """The role of a secret that stands in base64, or a part of one."""
        digits = run.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
        raw = base64.b64decode(digits[: len(digits) - (len(digits) % 4 == 1)] + b"==")
        roles = [role for form, role in self._forms() if form in raw]
        return f"{roles[0]} in base64" if roles else "a part of a secret"

    def _forms(self) -> Iterator[tuple[bytes, str]]:
        for secret, role in list(self._roles.items()):
            for form in {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]}:
                yield form.encode(), role


def _places(content: bytes) -> Iterator[tuple[int, int]]:
    """The first place of each form in which a secret may stand."""
    for form in FORMS:
        start = content.find(form)
        if start >= 0:
            yield start, start + len(form)
    if b"Signature" in content:
        signature = _SIGNATURE.search(content)
        if signature:
            yield signature.span()


SEARCH = Search()


def new_secret(role: str, before: str = "", digits: int = 32) -> str:
    """A new secret: `before` and as many hexadecimal digits."""
    return SEARCH.keep(before + MARK + secrets.token_hex((digits - len(MARK)) // 2), role)


def look_at_runsync() -> None:
    """From now on looks at each error that runsync makes in this process, and at what its calls return."""
    make, find = RunsyncError.__init__, runsync.__getattr__

    def make_and_look(self: RunsyncError, *arguments: object) -> None:
        make(self, *arguments)
        SEARCH.look(f"the error {type(self).__name__}", str(self))

    def find_looking(name: str) -> Any:
        found = find(name)
        return _looking(found) if isfunction(found) else found

    RunsyncError.__init__ = make_and_look  # type: ignore[method-assign]
    runsync.__getattr__ = find_looking


def _looking(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same, but what it returns is looked at."""

    @wraps(call)
    def call_and_look(*arguments: Any, **options: Any) -> Any:
        returned = call(*arguments, **options)
        SEARCH.look(f"what runsync.{call.__name__} returns", repr(returned))
        return returned

    return call_and_look
