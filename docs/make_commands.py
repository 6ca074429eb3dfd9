"""Writes docs/commands.md: the help of every command, as the command line prints it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from runsync.cli.commands import paths
from runsync.cli.root import cli

PAGE = Path(__file__).with_name("commands.md")
WIDTH = 100
_SETTINGS: dict[str, Any] = {"terminal_width": WIDTH, "max_content_width": WIDTH, "help_option_names": ["-h", "--help"]}
HEAD = """# Commands

Every command with its help. This page is made from it by `make docs`; a test tells when it is out of date.
"""


def page() -> str:
    """The whole page."""
    names = paths()
    links = "\n".join(f"- [`runsync {name}`](#runsync-{name.replace(' ', '-')})" for name in names)
    parts = [HEAD, links, "", *_section("runsync", _help([]))]
    for name in names:
        parts += _section(f"runsync {name}", _help(name.split()))
    return "\n".join(parts)


def _section(title: str, text: str) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"```text\n{text}\n```\n"


def _help(steps: list[str]) -> str:
    command: click.Command = cli
    context = click.Context(cli, info_name="runsync", **_SETTINGS)
    for step in steps:
        assert isinstance(command, click.Group)
        below = command.get_command(context, step)
        assert below is not None
        command = below
        context = click.Context(command, parent=context, info_name=step, **_SETTINGS)
    lines = command.get_help(context).splitlines()
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} has {len(paths())} commands\n")
