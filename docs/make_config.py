"""Writes docs/config.md: the keys of `runsync.toml`, from its schema."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runsync.config import schema

PAGE = Path(__file__).with_name("config.md")
TYPES = {"boolean": "true or false", "string": "text", "array": "list of texts", "object": "table of texts"}


def page() -> str:
    """The whole page."""
    told = schema()
    head = [f"# {told['title']}", "", told["description"], ""]
    head += [
        "Editors that know JSON Schema check it as you type: point them at `schemas/config.schema.json`. This page is"
    ]
    head += ["made of that by `make docs`.", ""]
    return "\n".join([*head, *(line for name, kind in told["properties"].items() for line in _section(name, kind))])


def _section(name: str, kind: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"## `[{name}.NAME]`", "", kind["description"], "", "| key | | |", "|---|---|---|")
    of_one = kind["additionalProperties"]
    yield from (_row(key, rules, key in of_one["required"]) for key, rules in of_one["properties"].items())
    yield ""


def _row(key: str, rules: Mapping[str, Any], is_needed: bool) -> str:
    example = f" Such as `{_toml(rules['examples'][0])}`." if "examples" in rules else ""
    return f"| `{key}` | {TYPES[rules['type']]}{', needed' if is_needed else ''} | {rules['description']}{example} |"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(k)} = {json.dumps(v)}' for k, v in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is written\n")
