"""runsync prompts show"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.pairs import INDENT, pairs, section
from runsync.cli.tables import NOTHING, bold, folded, table, terminal_width
from runsync.model.times import iso

if TYPE_CHECKING:
    from runsync.prompts.show import PromptReport, PromptVersion


@click.command(epilog="Example: runsync prompts show prod greeting@production")
@click.argument("where")
@click.argument("prompt")
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, where: str, prompt: str, workers: int, as_json: bool) -> int:
    """Show a prompt, or one version of it.

    PROMPT is NAME: shows its tags, aliases and versions. Or it is NAME/VERSION or NAME@ALIAS: shows the text of that
    version, or its messages, with its model config, response format and tags.
    """
    from runsync.prompts.show import show_prompt

    report = show_prompt(where, prompt, workers=workers, access=options.access(ctx))
    told = _version_lines(report) if report.is_of_version else _prompt_lines(report)
    return finish(report, as_json, told, is_data=True)


def _prompt_lines(report: "PromptReport") -> Iterator[str]:
    prompt = report.prompt
    yield bold(f"prompt {prompt.name}")
    yield from pairs({"created": iso(prompt.created_at), "updated": iso(prompt.updated_at)})
    aliases = {alias: f"version {number}" for alias, number in report.aliases.items()}
    yield from section(f"Aliases ({len(aliases)})", pairs(aliases))
    yield from section(f"Tags ({len(prompt.tags)})", pairs(dict(sorted(prompt.tags.items()))))
    rows = [("version", "aliases", "created", "commit message")]
    rows += [
        (
            str(each.version.version),
            ", ".join(each.aliases) or NOTHING,
            iso(each.version.created_at),
            each.version.description.partition("\n")[0] or NOTHING,
        )
        for each in reversed(report.versions)
    ]
    width = terminal_width()
    lines = [INDENT + line for line in table(rows, None if width is None else width - len(INDENT))]
    yield from section(f"Versions ({len(report.versions):,})", lines if report.versions else ())


def _version_lines(report: "PromptReport") -> Iterator[str]:
    (each,) = report.versions
    version, told = each.version, each.to_document()
    yield bold(f"prompt version {version.name}")
    head = {"aliases": ", ".join(each.aliases) or NOTHING, "user": version.user_id or NOTHING}
    yield from pairs(head | {"created": iso(version.created_at), "updated": iso(version.updated_at)})
    yield from section("Commit message", _folded(version.description))
    for role, text in _texts(each):
        yield from section(role, _folded(text))
    for title, name in (("Model config", "model_config"), ("Response format", "response_format")):
        yield from section(title, _as_json(told[name]))
    yield from section(f"Tags ({len(each.tags)})", pairs(dict(sorted(each.tags.items()))))


def _texts(each: "PromptVersion") -> Iterator[tuple[str, str]]:
    if each.messages is None:
        yield "Text", each.text
    for message in each.messages or ():
        content = message.get("content")
        yield str(message.get("role", "?")), content if isinstance(content, str) else json.dumps(content)


def _folded(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from folded(line, terminal_width(), INDENT) if line else [""]


def _as_json(value: Any) -> Iterator[str]:
    if value is not None:
        yield from (INDENT + line for line in json.dumps(value, indent=2, ensure_ascii=False).splitlines())
