"""Writes docs/python.md: the keywords of the verbs, from where they are declared."""

import re
import sys
from collections.abc import Iterator
from inspect import formatannotation
from pathlib import Path

from runsync.model.option import Keyword, keywords
from runsync.model.selection import Selection
from runsync.options import CopyOptions
from runsync.promotion.options import PromoteOptions
from runsync.runs.options import CompareOptions, GetOptions, ReproduceOptions
from runsync.transfer import options

PAGE = Path(__file__).with_name("python.md")
TABLES = {
    "export(source, bundle, …)": options.ExportOptions,
    "import_(bundle, target, …)": options.BundleImportOptions,
    "sync(source, target, …)": options.SyncOptions,
    "verify(source, target, …)": options.VerifyOptions,
    "diff(old, new, …)": options.DiffOptions,
    "copy(bundle, target, …)": CopyOptions,
    "repair(bundle, source=None, …)": options.RepairOptions,
    "compare_runs(where, runs=(), …)": CompareOptions,
    "get_artifacts(where, run, paths=(), …)": GetOptions,
    "reproduce(where, run, into=None, …)": ReproduceOptions,
    "promote(source, target, …)": PromoteOptions,
    "Selection(…)": Selection,
}
HEAD = """# Options in Python

The keywords of the verbs, beside the options of the command line. This page is made by `make docs`; a test tells when
it is out of date.

Every verb also takes `selection`, a `runsync.Selection`; `access`, a `runsync.Access` that says how to reach bundles
and workspaces (S3, `runsync.toml`, rates, where artifacts are); and `progress`, which hears how far it is.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for verb, group in TABLES.items() for line in _section(verb, group))])


def _section(verb: str, group: type) -> Iterator[str]:
    yield from (f"## `runsync.{verb}`\n", "| keyword | type | command line | |", "|---|---|---|---|")
    yield from (_row(each, each.option.help) for each in keywords(group) if each.option)
    yield ""


def _row(keyword: Keyword, told: str) -> str:
    """A type without the modules that it is from."""
    kind = re.sub(r"\w+\.", "", formatannotation(keyword.annotation)).replace("|", "\\|")
    return f"| `{keyword.name}={keyword.default!r}` | `{kind}` | `{keyword.flag}` | {told} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} has {len(TABLES)} tables\n")
