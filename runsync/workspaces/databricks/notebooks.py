"""Notebooks of a workspace, as they were at the revision that a run names, and into a folder of another one.

That `workspace/export` takes a `revision` is not documented (mlflow-export-import uses it). Of a workspace that refuses
it, or passes over it, the last revision is taken, and that is said: a revision counts as exact when it is the last one
by its time, or when its code is another than the last one's.
"""

import base64
import posixpath
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import orjson

from runsync.contract.entities import EntitySource, OneByOne, WithoutFiles
from runsync.errors import ABSENT, ITEM_ERRORS, AccessDenied, RequestRefused, WrongUsage, may_pass
from runsync.kinds.notebooks import DBC, HTML, JUPYTER, NOTEBOOKS, SOURCE, Notebook, formats_of, pathless, wanted
from runsync.kinds.scope import Scope
from runsync.model.hashing import sha256_of
from runsync.model.named import plain_path
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, Outcome
from runsync.model.paths import unfit_for_folders
from runsync.model.progress import Progress
from runsync.workspaces.databricks.notebook_code import code_of, is_same
from runsync.workspaces.http import Client, fields

API = "/api/2.0/workspace"
TAKEN = ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS")
JSON = {"Content-Type": "application/json"}
Source = EntitySource[Notebook]
PREFERRED = (SOURCE, JUPYTER, HTML, DBC)
"""In which format a notebook is put into a workspace, when a bundle has several."""


class Notebooks:
    """Those of one workspace, to be read."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, Mapping[str, Any]] = {}
        self._last: dict[tuple[str, str], str] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def status(self, path: str) -> Mapping[str, Any] | None:
        """What is at a path; None where there is nothing. Raises RequestRefused."""
        try:
            return self._client.get(f"{API}/get-status", path=path)
        except RequestRefused as error:
            if error.code == ABSENT:
                return None
            raise

    def complete(self, item: Notebook) -> Notebook:
        """With its language, and what tells whether the last revision is the one wanted. Raises RequestRefused."""
        with self._locks[item.path]:
            if item.path not in self._known:
                self._known[item.path] = self._client.get(f"{API}/get-status", path=item.path)
        told = self._known[item.path]
        modified_at = fields.number(told, "modified_at") if "modified_at" in told else None
        known: dict[str, Any] = {
            "language": fields.text(told, "language", ""),
            "object_id": item.object_id or str(told.get("object_id") or ""),
        }
        if _is_last(item.revision, modified_at):
            return replace(item, **known, is_last=False, modified_at=None)
        return replace(item, **known, is_last=not item.revision, modified_at=modified_at)

    def read(self, item: Notebook) -> tuple[Notebook, bytes]:
        """Its text, and whether that is of the last revision. Raises RequestRefused."""
        if not item.revision or item.modified_at is None:
            return item, self.export(item.path, item.format)
        try:
            text = self.export(item.path, item.format, item.revision)
        except AccessDenied:
            raise
        except RequestRefused:
            return replace(item, is_last=True), self.export(item.path, item.format)
        if _hash(text, item.format) == self._hash_of_last(item.path, item.format):
            return replace(item, is_last=True), text
        return replace(item, is_last=False, modified_at=None), text

    def export(self, path: str, format: str, revision: str = "") -> bytes:
        """A notebook in a format, as it is, or as it was at a revision. Raises RequestRefused."""
        body: dict[str, Any] = {"path": path, "format": format, "direct_download": True}
        if not revision:
            return self._client.send("GET", f"{API}/export", parameters={**body, "direct_download": "true"}).content
        body["revision"] = {"revision_timestamp": revision}
        return self._client.send("GET", f"{API}/export", content=orjson.dumps(body), headers=JSON).content

    def put(self, places: Sequence[str], item: Notebook, text: bytes, writes: bool) -> tuple[str, bool]:
        """Puts a notebook at the first of some paths that is free, unless it lies at one before it.

        Gives where it is, and whether it is new there. Nothing is ever written over. Raises RequestRefused.
        """
        for place in places:
            if reason := unfit_for_folders(place[1:]):
                raise RequestRefused(f"the path “{place}” is refused: {reason}")
            there = self.status(place)
            if there is None:
                if writes:
                    self._write(place, item, text)
                return place, True
            if there.get("object_type") == "NOTEBOOK" and self._is_same(place, item.format, text):
                return place, False
        raise RequestRefused(f"something else lies at {places[-1]} already: name another folder")

    def _is_same(self, place: str, format: str, text: bytes) -> bool:
        """Whether the notebook there has that code. Raises RequestRefused where that cannot be told."""
        same = is_same(self.export(place, format), text, format)
        if same is None:
            raise RequestRefused(
                f"a notebook lies at {place} already, and whether it is the same cannot be told from {format}: name "
                "another folder, or export it as SOURCE too"
            )
        return same

    def _write(self, place: str, item: Notebook, text: bytes) -> None:
        self._client.post(f"{API}/mkdirs", {"path": posixpath.dirname(place)})
        body = {"path": place, "format": item.format, "content": base64.b64encode(text).decode(), "overwrite": False}
        if item.format == SOURCE:
            body["language"] = item.language or _language(text)
        try:
            self._client.post(f"{API}/import", body)
        except RequestRefused as error:
            is_there = error.code in TAKEN and self._is_same(place, item.format, text)
            if not is_there:  # the answer to an earlier try may have been lost
                raise

    def _hash_of_last(self, path: str, format: str) -> str:
        with self._locks[path]:
            if (path, format) not in self._last:
                self._last[path, format] = _hash(self.export(path, format), format)
            return self._last[path, format]


def _is_last(revision: str, modified_at: int | None) -> bool:
    """Whether the revision that is named is the last one, by its time."""
    return revision.isdigit() and modified_at is not None and modified_at <= int(revision)


class NotebookSource(OneByOne, WithoutFiles):
    """See `EntitySource`: those that runs name, in the formats asked for."""

    is_exact = False

    def __init__(self, client: Client) -> None:
        self._notebooks = Notebooks(client)

    def list(self, scope: Scope) -> Iterator[Notebook]:
        """None is looked at yet."""
        yield from wanted(scope)

    def complete(self, item: Notebook) -> Notebook:
        """See `Notebooks.complete`."""
        return self._notebooks.complete(item)

    def read(self, item: Notebook) -> tuple[Notebook, Iterator[bytes]]:
        """See `Notebooks.read`."""
        read, text = self._notebooks.read(item)
        return read, iter((text,))

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """Those that were not asked for, and those that a run names by nothing but an id."""
        left = []
        paths = [item.path for item in scope.mentioned(NOTEBOOKS) if item.path]
        if paths and not formats_of(scope):
            left.append(NOTEBOOKS.left(len(paths), "they were not asked for", tuple(sorted(set(paths))[:NAMED])))
        if runs := pathless(scope):
            left.append(NOTEBOOKS.left(len(runs), "the run does not tell its path", runs[:NAMED]))
        return left


class NotebookTarget:
    """Puts notebooks below a folder, each at the path that it had. What lies there already is never written over."""

    def __init__(self, client: Client, asked: Mapping[str, Any]) -> None:
        folder = asked.get("notebook_folder", "")
        self._client = client
        self._folder = checked_folder(folder) if folder else ""
        self._notebooks = Notebooks(client)
        self._left: list[str] = []

    def plan(self, items: Sequence[Notebook], source: Source, pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        return self._each(items, source, pool, None)

    def put(self, items: Sequence[Notebook], source: Source, pool: Executor, progress: Progress) -> list[Outcome]:
        """See `EntityTarget`."""
        return self._each(items, source, pool, progress)

    def finish(self, pool: Executor) -> list[Outcome]:
        """Nothing is left to do."""
        return []

    def left(self) -> list[NotCarried]:
        """Those that no folder was named for."""
        why = "--notebook-folder says where to put them"
        return [NOTEBOOKS.left(len(self._left), why, tuple(self._left[:NAMED]))] if self._left else []

    def _each(
        self, items: Sequence[Notebook], source: Source, pool: Executor, progress: Progress | None
    ) -> list[Outcome]:
        by_path = _by_path(items)
        if not self._folder:
            self._left += [f"{n.path}{f'@{n.revision}' if n.revision else ''}" for each in by_path for n in each]
            return []
        done = pool.map(lambda revisions: self._of_path(revisions, source, progress), by_path)
        return [outcome for outcomes in done for outcome in outcomes]

    def _of_path(self, revisions: Sequence[Notebook], source: Source, progress: Progress | None) -> list[Outcome]:
        """All revisions of one notebook; the newest first, which has the path as it was."""
        outcomes = []
        for item in revisions:
            try:
                path, action = self._one(item, item is revisions[0], source, progress)
                outcomes.append(Outcome(NOTEBOOKS.noun, item.path, item.name, action, path))
            except ITEM_ERRORS as error:
                told = (NOTEBOOKS.noun, item.path, item.name, FAILED)
                outcomes.append(Outcome(*told, error=str(error), retry=may_pass(error)))
        return outcomes

    def _one(self, item: Notebook, is_newest: bool, source: Source, progress: Progress | None) -> tuple[str, str]:
        """Where it lies, and whether it was put there; the path of an older one ends in its revision."""
        if not item.path.startswith("/"):
            raise RequestRefused("the path is refused: it is not absolute")
        told = source.complete(item)
        read, chunks = source.read(told)
        text = b"".join(chunks)
        path = self._folder + plain_path(item.path)
        apart = f"{path}@{item.revision or read.modified_at or 'last'}"
        places = (path, apart) if is_newest else (apart,)
        place, is_new = self._notebooks.put(places, read, text, writes=progress is not None)
        if is_new and progress is not None:
            progress.advance(bytes=len(text))
        return place, CREATE if is_new else UNCHANGED


def _by_path(items: Sequence[Notebook]) -> list[list[Notebook]]:
    """One of each revision, in the format that is best to import; the newest of each path first."""
    chosen: dict[tuple[str, str], Notebook] = {}
    for item in items:
        place = (item.path, item.revision)
        best = chosen.get(place)
        if best is None or PREFERRED.index(item.format) < PREFERRED.index(best.format):
            chosen[place] = item
    grouped: dict[str, list[Notebook]] = {}
    for item in chosen.values():
        grouped.setdefault(item.path, []).append(item)
    return [sorted(each, key=_age, reverse=True) for each in grouped.values()]


def _age(item: Notebook) -> tuple[bool, int, str]:
    """One that runs name without a revision is the last one there was."""
    number = int(item.revision) if item.revision.isdigit() else 0
    return not item.revision, number, item.revision


def _hash(text: bytes, format: str) -> str:
    """Of what was typed, where that can be made out; else of all."""
    code = code_of(text, format)
    return sha256_of((text if code is None else "\0".join(code).encode(),))


def _language(text: bytes) -> str:
    """By the first line that Databricks writes: “# Databricks notebook source” in the comment of the language."""
    return {b"//": "SCALA", b"--": "SQL"}.get(text[:2], "PYTHON")


def checked_folder(folder: str) -> str:
    """Without `/Workspace`, and a slash at its end. Raises WrongUsage where it is no absolute path."""
    path = plain_path(folder).rstrip("/")
    if not path.startswith("/") or unfit_for_folders(path[1:]):
        raise WrongUsage(f"--notebook-folder “{folder}” is no folder of a workspace: write /Users/NAME/imported")
    return path
