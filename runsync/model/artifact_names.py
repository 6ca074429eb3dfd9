"""Artifacts that have another name where they were brought, because the server there does not keep theirs.

The other name follows from the original by a rule. Tags of the run list the originals, so whoever reads the run gets
them back: `runsync.artifact_names`, then `runsync.artifact_names.2` and so on, each a JSON list of paths.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from runsync.model.identity import ARTIFACT_NAMES
from runsync.model.paths import unsafe
from runsync.model.run import ArtifactFile

LONGEST = 4000
"""Characters of one such tag, all of them ASCII: every kind of server takes as many."""
MOST = 50
"""Such tags of a run: searches tell all tags of each run."""
_LONGEST_NAME = 240
"""Bytes of a name; with the hash after it file systems take it."""
_ODD_STEP = re.compile(r"[%#\x00-\x1f\x7f]|[?;]$|;\?")
_ODD_BEGINNING = re.compile(r" |\\|[A-Za-z][A-Za-z0-9+.-]*:")
_REPLACED = re.compile(r"[%#?;:\\\x00-\x20\x7f]")
_IMAGE = re.compile(r"images/[^/%+#?;:\\\x00-\x20\x7f]+%step%\d+%timestamp%\d+%[0-9a-f-]{36}(%compressed)?\.\w+")
"""As `log_image` of MLflow 2 has it. MLflow 3 writes `+` for `%`, and its pages show both."""


def sent_name(path: str) -> str:
    """The other name of an artifact, the same each time.

    Only steps that servers change are others, so that what lies in one folder stays together. Empty steps are left out.
    """
    if _IMAGE.fullmatch(path):
        return path.replace("%", "+")
    whole = path.split("/")
    steps = [step for step in whole if step not in ("", ".")]
    if len(steps) < len(whole):
        return "/".join([*steps[:-1], _other(steps[-1], path)]) if steps else _other("file", path)
    odd = {number for number, step in enumerate(steps) if _ODD_STEP.search(step)}
    odd |= {0} if _ODD_BEGINNING.match(path) else set()
    odd = odd or {len(steps) - 1}
    return "/".join(_other(step) if number in odd else step for number, step in enumerate(steps))


def _other(step: str, of: str = "") -> str:
    """The step with eight digits of the hash of what it stands for."""
    plain = _REPLACED.sub("+", step)
    stem, dot, ending = plain.rpartition(".") if "." in plain[1:] else (plain, "", "")
    stem = stem.encode()[: max(1, _LONGEST_NAME - len(ending.encode()))].decode(errors="ignore")
    return f"{stem}~{hashlib.sha256((of or step).encode()).hexdigest()[:8]}{dot}{ending}"


def sent_names(tags: Mapping[str, str]) -> dict[str, str]:
    """The other names that a run's tags tell of, by the originals."""
    return {path: sent_name(path) for chunk in _chunks(tags) for path in chunk}


def as_sent(tags: Mapping[str, str], file: ArtifactFile) -> ArtifactFile:
    """The file as the place has it that holds the run with these tags."""
    sent = sent_names(tags).get(file.path) if ARTIFACT_NAMES in tags else None
    return file if sent is None else replace(file, path=sent)


def restored(tags: Mapping[str, str], files: tuple[ArtifactFile, ...]) -> tuple[ArtifactFile, ...]:
    """Files as they are listed there, under their original names, sorted by path."""
    if ARTIFACT_NAMES not in tags:
        return files
    listed = {file.path for file in files}
    names = {sent: path for path, sent in sent_names(tags).items() if path not in listed}
    given = (replace(f, path=names[f.path]) if f.path in names and not f.fault else f for f in files)
    return tuple(sorted(given, key=lambda file: file.path))


def tags_with(tags: Mapping[str, str], further: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The tags that change when these originals are added, and the originals for which there is no room."""
    chunks, changed, left = [list(chunk) for chunk in _chunks(tags)], dict[int, str](), []
    for path in further:
        if not chunks or len(_text([*chunks[-1], path])) > LONGEST:
            if len(chunks) == MOST or len(_text([path])) > LONGEST:
                left.append(path)
                continue
            chunks.append([])
        chunks[-1].append(path)
        changed[len(chunks)] = _text(chunks[-1])
    return {_key(number): value for number, value in changed.items()}, left


def _chunks(tags: Mapping[str, str]) -> Iterable[Sequence[str]]:
    """The paths of each tag. Anybody may have written them: what is no path there stands for nothing."""
    for number in range(1, MOST + 1):
        if _key(number) not in tags:
            return
        try:
            told = json.loads(tags[_key(number)])
        except (ValueError, RecursionError):
            told = None
        paths = told if isinstance(told, list) else []
        yield [path for path in paths if isinstance(path, str) and unsafe(path) is None]


def _text(paths: Sequence[str]) -> str:
    return json.dumps(paths, separators=(",", ":"))


def _key(number: int) -> str:
    return ARTIFACT_NAMES if number == 1 else f"{ARTIFACT_NAMES}.{number}"
