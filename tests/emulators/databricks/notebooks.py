"""Notebooks and files: exported, also as they were at a revision, and imported."""

import base64
import binascii
import email.parser
import email.policy
import html
import io
import json
import posixpath
import re
import secrets
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from emulators.databricks.errors import Refusal, absent, invalid
from emulators.databricks.fields import choice, flag, malformed, message, parse, text
from emulators.databricks.rights import check_folder
from emulators.databricks.routing import Call, Route
from emulators.databricks.tree import Node, Revision, plain
from emulators.server import Reply, Request

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks

SUFFIXES = {"PYTHON": "py", "SCALA": "scala", "SQL": "sql", "R": "r"}
MARKS = {"PYTHON": "#", "SCALA": "//", "SQL": "--", "R": "#"}
HEADER = "Databricks notebook source"
CELL = "COMMAND ----------"
FORMAT = choice("SOURCE", "HTML", "JUPYTER", "DBC", "AUTO", "RAW", "R_MARKDOWN")
LANGUAGE = choice("PYTHON", "SCALA", "SQL", "R")
HIDDEN = re.compile(rb"__DATABRICKS_NOTEBOOK_MODEL = '([A-Za-z0-9+/=]*)'")


def add_notebook(workspace: "Databricks", path: str, source: str, language: str = "PYTHON") -> Node:
    """A new notebook, for a test; its folders are made."""
    workspace.tree.make_folders(posixpath.dirname(path))
    revision = Revision(workspace.milliseconds(), source.encode())
    return workspace.tree.add(path, "NOTEBOOK", language=language, revisions=[revision])


def save(workspace: "Databricks", node: Node, source: str) -> str:
    """A new revision of a notebook, for a test; returns its id, as a run would name it."""
    at = max(workspace.milliseconds(), node.revisions[-1].at + 1)
    node.revisions.append(Revision(at, source.encode()))
    return str(at)


def export(workspace: "Databricks", call: Call) -> "dict[str, Any] | Reply":
    """An object in a format; with `revision` as it was then (a form that is not documented)."""
    node = workspace.tree.need(call.fields["path"])
    form = call.fields.get("format", "SOURCE")
    if node.kind not in {"NOTEBOOK", "FILE"}:
        if form != "DBC":
            raise invalid(f"Folders can be exported as DBC only, not {node.path} as {form}")
        raise Refusal("NOT_IMPLEMENTED", "Exports of folders are not part of this emulator")
    content = _revision(workspace, node, call.fields).content
    body, suffix = (content, "") if node.kind == "FILE" else rendered(node, content, form)
    if len(body) > workspace.limits.notebook_bytes:
        limit = workspace.limits.notebook_bytes
        raise Refusal("MAX_NOTEBOOK_SIZE_EXCEEDED", f"The exported object exceeds the maximum of {limit} bytes")
    if call.fields.get("direct_download"):
        return Reply(200, body, {"Content-Type": "application/octet-stream"})
    return {"content": base64.b64encode(body).decode(), "file_type": suffix}


def _revision(workspace: "Databricks", node: Node, fields: Any) -> Revision:
    wanted = fields.get("revision")
    if isinstance(wanted, str):
        wanted = message("revision_timestamp", revision_timestamp=text)(parse(wanted.encode()), "revision")
    if wanted is None or workspace.doubts.revision_exports == "ignored":
        return node.revisions[-1]
    if workspace.doubts.revision_exports == "refused":
        raise Refusal("MALFORMED_REQUEST", "Could not parse request object: unknown field revision")
    for revision in node.revisions:
        if str(revision.at) == wanted["revision_timestamp"]:
            return revision
    raise absent(f"Revision {wanted['revision_timestamp']} of {node.path} does not exist.")


def rendered(node: Node, source: bytes, form: str) -> tuple[bytes, str]:
    """A notebook in a format, and the suffix of a file of it. Raises Refusal."""
    language = node.language
    if form in {"SOURCE", "AUTO", "RAW"}:
        return source, SUFFIXES[language]
    if form == "JUPYTER":
        return json.dumps(_jupyter(node, source)).encode(), "ipynb"
    if form == "HTML":
        hidden = base64.b64encode(quote(json.dumps(_model(node, source))).encode())
        shown = html.escape(source.decode()).encode()
        return b"<html><script>__DATABRICKS_NOTEBOOK_MODEL = '%s'</script><pre>%s</pre></html>" % (
            hidden,
            shown,
        ), "html"
    if form == "DBC":
        return _archive(node, source), "dbc"
    raise invalid(f"A notebook of {language} cannot be exported as {form}")


def _jupyter(node: Node, source: bytes) -> dict[str, Any]:
    cells = [
        {"cell_type": "code", "execution_count": 0, "metadata": {}, "outputs": [], "source": [cell]}
        for cell in _cells(node.language, source.decode())
    ]
    about = {"notebookName": posixpath.basename(node.path), "language": node.language.lower()}
    metadata = {"application/vnd.databricks.v1+notebook": about, "language_info": {"name": node.language.lower()}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 0}


def _cells(language: str, source: str) -> list[str]:
    mark = MARKS[language]
    source = source.removeprefix(f"{mark} {HEADER}\n")
    return source.split(f"\n\n{mark} {CELL}\n\n")


def _archive(node: Node, source: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        entry = zipfile.ZipInfo(f"{posixpath.basename(node.path)}.{node.language.lower()}", (2025, 1, 1, 0, 0, 0))
        archive.writestr(entry, json.dumps(_model(node, source)))
    return made.getvalue()


def _model(node: Node, source: bytes) -> dict[str, Any]:
    """What HTML and DBC hold: other ids each time."""
    commands = [
        {"version": "CommandV1", "guid": secrets.token_hex(8), "position": float(position), "command": cell}
        for position, cell in enumerate(_cells(node.language, source.decode()), 1)
    ]
    about = {"version": "NotebookV1", "name": posixpath.basename(node.path), "language": node.language.lower()}
    return {**about, "guid": secrets.token_hex(8), "commands": commands}


def _from_model(model: dict[str, Any]) -> tuple[str, str, bytes]:
    language = model["language"].upper()
    return "NOTEBOOK", language, _joined(language, [command["command"] for command in model["commands"]])


def _joined(language: str, cells: list[str]) -> bytes:
    mark = MARKS.get(language, "#")
    joined = f"\n\n{mark} {CELL}\n\n".join(cells)
    return f"{mark} {HEADER}\n{joined}".encode()


def import_(workspace: "Databricks", call: Call) -> None:
    """Writes a notebook or a file; its folder must be there."""
    fields = _form(call.request) if "multipart/form-data" in call.request.headers.get("content-type", "") else None
    given = dict(call.fields) if fields is None else fields
    path = plain(given["path"])
    content = given["content"] if isinstance(given.get("content"), bytes) else _decoded(given.get("content", ""))
    if len(content) > workspace.limits.notebook_bytes:
        raise Refusal("MAX_NOTEBOOK_SIZE_EXCEEDED", "The imported object exceeds the maximum of 10 MB")
    kind, language, source = _understood(given, content)
    if kind == "NOTEBOOK" and given.get("format") == "AUTO":
        path = posixpath.splitext(path)[0]
    workspace.tree.need_parent(path)
    check_folder(workspace, call.user, path)
    revision = Revision(workspace.milliseconds(), source)
    there = workspace.tree.get(path)
    if there is None:
        workspace.tree.add(path, kind, language=language, revisions=[revision])
        return
    if not given.get("overwrite", False):
        raise Refusal("RESOURCE_ALREADY_EXISTS", f"Path ({path}) already exists.")
    if there.kind != kind or given.get("format") == "DBC":
        raise invalid(f"Cannot overwrite {path}: it is a {there.kind}")
    there.language = language
    there.revisions.append(revision)


def _understood(given: dict[str, Any], content: bytes) -> tuple[str, str, bytes]:
    """What is imported: its kind, its language, its source. Raises Refusal."""
    form = given.get("format", "SOURCE")
    if form == "SOURCE":
        if "language" not in given:
            raise invalid("The language field must be specified when the format is SOURCE")
        return "NOTEBOOK", given["language"], content
    if form == "JUPYTER":
        return _from_jupyter(content)
    if form == "HTML":
        found = HIDDEN.search(content)
        if found is None:
            raise invalid("The HTML is no exported notebook")
        return _from_model(json.loads(unquote(base64.b64decode(found[1]).decode())))
    if form == "DBC":
        return _from_archive(content)
    if form == "AUTO":
        return _guessed(given["path"], content)
    return "FILE", "", content


def _from_jupyter(content: bytes) -> tuple[str, str, bytes]:
    try:
        document = json.loads(content)
        cells = ["".join(cell["source"]) for cell in document["cells"]]
    except (ValueError, KeyError, TypeError):
        raise invalid("The content is no Jupyter notebook") from None
    metadata = document.get("metadata", {})
    language = metadata.get("language_info", {}).get("name", "python").upper()
    return "NOTEBOOK", language, _joined(language, cells)


def _from_archive(content: bytes) -> tuple[str, str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            (name,) = archive.namelist()
            return _from_model(json.loads(archive.read(name)))
    except (zipfile.BadZipFile, ValueError, KeyError):
        raise invalid("The content is no DBC archive of one notebook") from None


def _guessed(path: str, content: bytes) -> tuple[str, str, bytes]:
    for language, suffix in SUFFIXES.items():
        if path.endswith(f".{suffix}") and content.startswith(f"{MARKS[language]} {HEADER}".encode()):
            return "NOTEBOOK", language, content
    return _from_jupyter(content) if path.endswith(".ipynb") else ("FILE", "", content)


def _decoded(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error:
        raise malformed("content is not base64") from None


def _form(request: Request) -> dict[str, Any]:
    """The fields of a form with a file, as the SDK's `workspace.upload` sends it."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    parts = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    given: dict[str, Any] = {}
    for part in parts.iter_parts():
        name = part.get_param("name", header="content-disposition")
        body = bytes(part.get_payload(decode=True))
        given[str(name)] = body if name == "content" else body.decode()
    return IMPORT(given | {"content": "", "overwrite": given.get("overwrite", "false")}, "form") | {
        "content": given["content"]
    }


def _revision_field(value: Any, where: str) -> Any:
    if isinstance(value, str):
        return value
    return message("revision_timestamp", revision_timestamp=text)(value, where)


EXPORT = message("path", path=text, format=FORMAT, direct_download=flag, revision=_revision_field)
IMPORT = message("path", path=text, format=FORMAT, language=LANGUAGE, content=text, overwrite=flag)
ROUTES = (
    Route("GET", "/api/2.0/workspace/export", export, EXPORT, rate="workspace-export", reads="either"),
    Route("POST", "/api/2.0/workspace/import", import_, IMPORT, rate="workspace-import", reads="json or form"),
)
