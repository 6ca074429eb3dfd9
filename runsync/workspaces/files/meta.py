"""`meta.yaml` in and out.

MLflow mostly writes flat mappings of plain values. Those are read and written without a YAML library, fifty times as
fast; a test proves both ways equal to it. All else goes through PyYAML's safe loader, once it is known to be small,
not deep and without aliases.
"""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runsync.workspaces.files.layout import Broken, read_bytes

LARGEST = 2**20
"""Bytes of a meta.yaml of a run or experiment that are believed."""

_DEEPEST = 8
_LOOKS = 3
_PAUSE = 0.1
_YOUNG = 5
"""Seconds."""
_WORDS = frozenset(["y", "n", "yes", "no", "true", "false", "on", "off", "null"])
"""What YAML 1.1 does not take for a string, in any case of letters."""
_KEYS_ELSE = frozenset(word.encode() for word in _WORDS)
_WORD = r"[A-Za-z/](?:[A-Za-z0-9_./@+%=-]|:(?=[A-Za-z0-9_/])){0,500}|(?!0b)[0-9]+[a-f][0-9a-f]{0,64}"
"""Words that need no quotes: paths and URIs, and hexadecimal ids that are no number to YAML."""
_LINE = re.compile(
    rb"([a-z][a-z_]*):(?: (?:(null)|(0|-?[1-9][0-9]{0,17})|(\[\]|\{\})|'([ -&(-~]*)'|(%b))|)\n" % _WORD.encode()
)
_INNER = re.compile(rb"  ([A-Za-z][A-Za-z0-9_.]*): (?:'([ -&(-~]*)'|(%b))\n" % _WORD.encode())
_PLAIN = re.compile(_WORD)
_NAME = re.compile(r"[a-z][a-z_]*")


def read_meta(path: str, most: int = LARGEST) -> dict[str, Any]:
    """The mapping in a YAML file of at most so many bytes. Raises Broken where it is none or not safe to read, OSError.

    MLflow empties such a file before it writes it anew: one that is empty and young is looked at again.
    """
    data = read_bytes(path, most)
    for _ in range(_LOOKS):
        if data or time.time() - Path(path).lstat().st_mtime > _YOUNG:
            break
        time.sleep(_PAUSE)
        data = read_bytes(path, most)
    return parse(data)


def parse(data: bytes) -> dict[str, Any]:
    """The mapping in the bytes of a YAML file. Raises Broken."""
    plain = _plain(data)
    return plain if plain is not None else _by_yaml(data)


def dump(values: Mapping[str, Any]) -> bytes:
    """A mapping as MLflow writes it: keys sorted, block style, UTF-8. Raises Broken for what UTF-8 cannot hold."""
    try:
        return "".join(_entry(key, values[key]) for key in sorted(values)).encode()
    except UnicodeEncodeError as error:
        raise Broken("it has characters that UTF-8 cannot hold") from error


def text(meta: Mapping[str, Any], name: str) -> str:
    """A text in a meta.yaml; "" where there is none. Old MLflow wrote ids as numbers. Raises Broken."""
    value = meta.get(name)
    if value is None:
        return ""
    if isinstance(value, list | dict | set | bytes | tuple):
        raise Broken(f"{str(name)[:40]} in meta.yaml is no text")
    return str(value)


def integer(meta: Mapping[str, Any], name: str) -> int | None:
    """A number in a meta.yaml. Raises Broken."""
    value = meta.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63):
        return value
    raise Broken(f"{name} in meta.yaml is no whole number of 64 bits")


def _plain(data: bytes) -> dict[str, Any] | None:
    """What a file of plain values says, in which a value may be a mapping of texts; None where it has anything else."""
    values: dict[str, Any] = {}
    at = 0
    while match := _LINE.match(data, at):
        key, null, number, empty, quoted, word = match.groups()
        at = match.end()
        if key in _KEYS_ELSE:
            return None
        value: Any = None
        if number is not None:
            value = int(number)
        elif quoted is not None:
            value = quoted.decode()
        elif word is not None:
            value = word.decode()
            if value.lower() in _WORDS:
                return None
        elif empty is not None:
            value = [] if empty == b"[]" else {}
        elif null is None:
            value, at = _inner(data, at)
            if not value:
                return None
        values[key.decode()] = value
    return values if at == len(data) and values else None


def _inner(data: bytes, at: int) -> tuple[dict[str, str], int]:
    """A mapping of texts below a key, and where it ends; an empty one where it has anything else."""
    values: dict[str, str] = {}
    while match := _INNER.match(data, at):
        key, quoted, word = match.groups()
        if key.lower() in _KEYS_ELSE or (word is not None and word.decode().lower() in _WORDS):
            return {}, at
        values[key.decode()] = (quoted if quoted is not None else word).decode()
        at = match.end()
    return values, at


def _by_yaml(data: bytes) -> dict[str, Any]:
    import yaml

    if not data.strip():
        raise Broken("it is empty")
    try:
        _check_shape(data)
        values = _loader()(data).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Broken(f"it is no YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(values, dict):
        raise Broken("it is no mapping")
    return values


def _check_shape(data: bytes) -> None:
    """Aliases can stand for a thousand times their size, and depth can overflow the stack of a parser in C."""
    import yaml

    depth = 0
    for event in yaml.parse(data, Loader=_loader()):
        if isinstance(event, yaml.AliasEvent):
            raise Broken("it has YAML aliases, which MLflow never writes")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise Broken("it is nested deeper than anything MLflow writes")


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _entry(key: str, value: Any) -> str:
    if _NAME.fullmatch(key) and key not in _WORDS:
        if value is None:
            return f"{key}: null\n"
        if type(value) is int:
            return f"{key}: {value}\n"
        if value == "":
            return f"{key}: ''\n"
        if value == []:
            return f"{key}: []\n"
        if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return f"{key}: {value}\n"
    return _by_dumper(key, value)


def _by_dumper(key: str, value: Any) -> str:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump({key: value}, Dumper=dumper, default_flow_style=False, allow_unicode=True)
    return text
