"""What was typed in a notebook, by the format that it comes in.

Two exports of one and the same notebook differ, unless they are of SOURCE: the other formats hold ids, times and
results. What was typed is the same in each. HTML holds a notebook as JSON, quoted for an address and then in base64,
DBC (a zip) as a file of JSON: that is not documented, and how exports have long been.
"""

import base64
import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from runsync.kinds.notebooks import DBC, HTML, JUPYTER

_MODEL = re.compile(rb"__DATABRICKS_NOTEBOOK_MODEL = '([A-Za-z0-9+/=]+)'")
_MOST = 64 << 20
"""Bytes of a notebook in an archive; a workspace takes and gives 10 MB."""
_BROKEN = (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, NotImplementedError, RuntimeError)

Code = tuple[str, ...]


def code_of(text: bytes, format: str) -> Code | None:
    """The cells that were typed; None where they cannot be made out."""
    try:
        if format == JUPYTER:
            return tuple(f"{cell['cell_type']} {''.join(cell['source'])}" for cell in json.loads(text)["cells"])
        if format == HTML:
            found = _MODEL.search(text)
            return None if found is None else _typed(json.loads(unquote(base64.b64decode(found[1]).decode())))
        if format == DBC:
            return _in_archive(text)
        return (text.replace(b"\r\n", b"\n").strip().decode(),)
    except _BROKEN:
        return None


def is_same(one: bytes, other: bytes, format: str) -> bool | None:
    """Whether two notebooks have the same code; None where that cannot be told."""
    if one == other:
        return True
    code, others = code_of(one, format), code_of(other, format)
    return None if code is None or others is None else code == others


def _in_archive(text: bytes) -> Code | None:
    with zipfile.ZipFile(io.BytesIO(text)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(entries) != 1 or entries[0].file_size > _MOST:
            return None
        return _typed(json.loads(archive.read(entries[0])))


def _typed(notebook: Mapping[str, Any]) -> Code:
    commands = sorted(notebook["commands"], key=lambda command: float(command["position"]))
    return tuple(str(command["command"]) for command in commands)
