"""What must not leave: texts of traces and evaluation datasets that are replaced on their way (`--redact FILE`)."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

from runsync.errors import WrongUsage
from runsync.model.option import Option, group
from runsync.model.wording import many

MARKER = "[redacted]"
NAME = "redact"
"""Of the option."""
_STEP = re.compile(r'(?:"([^"]*)"|([^."]+))(?:\.|$)')
_KNOWN = {"marker", "patterns", "paths"}

Steps = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """`patterns` are looked for in each text, `paths` name whole values: `("records", "inputs", "email")`, of which `*`
    is any name. Lists are looked into."""

    patterns: tuple[re.Pattern[str], ...] = ()
    paths: frozenset[Steps] = frozenset()
    marker: str = MARKER

    def names(self, path: Steps) -> bool:
        """Whether a value is to be replaced as a whole."""
        return any(
            len(one) == len(path) and all(step in ("*", name) for step, name in zip(one, path, strict=True))
            for one in self.paths
        )


class Redactor:
    """Replaces what the rules mean of one entity, and counts the values in which there was any."""

    def __init__(self, rules: Rules) -> None:
        self.count = 0
        self._rules = rules

    def value(self, value: Any, *path: str, is_text: bool = True) -> Any:
        """The same value of JSON, redacted; only by paths, unless it `is_text`."""
        if value is None or value == self._rules.marker:
            return value
        if self._rules.names(path):
            self.count += 1
            return self._rules.marker
        if isinstance(value, str) and is_text:
            return self._text(value)
        if isinstance(value, Mapping):
            return {name: self.value(one, *path, name, is_text=is_text) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(one, *path, is_text=is_text) for one in value]
        return value

    def entries(self, entries: Mapping[str, Any], *path: str, own: Iterable[str] = ()) -> dict[str, Any]:
        """Likewise of entries by name, among which those of MLflow and runsync are no texts of users but for `own`."""
        return {
            name: self.value(value, *path, name, is_text=name in own or not name.startswith(("mlflow.", "runsync.")))
            for name, value in entries.items()
        }

    def _text(self, text: str) -> str:
        redacted = text
        for pattern in self._rules.patterns:
            redacted = pattern.sub(lambda _: self._rules.marker, redacted)
        self.count += redacted != text
        return redacted


class Redaction:
    """One transfer's: what was replaced, by entity, as each passes more than once."""

    def __init__(self, rules: Rules, file: str) -> None:
        self.rules = rules
        self._file = file
        self._counts: dict[int, int] = {}
        self._lock = Lock()

    def note(self, kind: str, key: Sequence[str], count: int) -> None:
        """So many values of an entity were replaced."""
        if count:
            with self._lock:
                known = hash((kind, *key))
                self._counts[known] = max(count, self._counts.get(known, 0))

    def notes(self) -> list[str]:
        """For a report."""
        found = f"{many(sum(self._counts.values()), 'value')} of {many(len(self._counts), 'object')}"
        return [f"redacted by {self._file}: {found}"]


def load(path: "str | Path | Redaction") -> Redaction:
    """The rules of a file; those that were read already as they are. Raises WrongUsage."""
    if isinstance(path, Redaction):
        return path
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUsage(f"--redact: cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise WrongUsage(f"--redact: {path} is no TOML: {error}") from None
    if unknown := sorted(document.keys() - _KNOWN):
        raise WrongUsage(f"--redact: {path} has “{unknown[0]}”, which is none of {', '.join(sorted(_KNOWN))}")
    texts = {name: document.get(name, []) for name in ("patterns", "paths")}
    for name, found in texts.items():
        if not isinstance(found, list) or not all(isinstance(text, str) and text for text in found):
            raise WrongUsage(f"--redact: {name} of {path} must be a list of texts")
    marker = document.get("marker", MARKER)
    if not isinstance(marker, str) or not marker:
        raise WrongUsage(f"--redact: marker of {path} must be a text")
    if not any(texts.values()):
        raise WrongUsage(f"--redact: {path} has neither patterns nor paths")
    rules = Rules(
        tuple(_pattern(text, marker) for text in texts["patterns"]), frozenset(map(_path, texts["paths"])), marker
    )
    return Redaction(rules, str(path))


def _pattern(text: str, marker: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise WrongUsage(f"--redact: the pattern “{text}” cannot be read: {error}") from None
    if pattern.search(marker) or pattern.search(""):
        raise WrongUsage(f"--redact: the pattern “{text}” matches the marker “{marker}” or nothing at all: narrow it")
    return pattern


def _path(text: str) -> Steps:
    steps, at = [], 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            raise WrongUsage(f'--redact: the path “{text}” cannot be read: write names with dots between, as a.b."c.d"')
        steps.append(step[1] if step[1] is not None else step[2])
        at = step.end()
    return tuple(steps)


@group
class OfTransfer:
    """An option of `export`, `import_`, `sync` and `verify`."""

    redact: Annotated[
        str | Path | None,
        Option(
            "Replace texts of traces and evaluation datasets as FILE says (see docs/redaction.md).", "FILE", parse=load
        ),
    ] = None
