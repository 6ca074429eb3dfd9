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
HEAD = """# Use runsync from Python
```python
import runsync

churn = runsync.Selection(experiments=("churn*",))
report = runsync.export("http://localhost:5000", "backup", selection=churn, accept=["traces"])
if report.exit_code:
    print(report.failed, report.problems, report.left_behind)
report = runsync.import_("backup", "http://localhost:5001", prefix="old-")
print(report.runs.created, report.id_map["runs"])
for difference in runsync.verify("backup", "http://localhost:5001", prefix="old-").differences:
    print(difference)
```
Every command is a function of that name: also `sync`, `diff`, `doctor`, `check`, `repair`, `inspect`, `snapshots`,
`forget`, `prune`, `copy`, `unlock`; `list_runs` (with `.to_pandas()`, where pandas is installed), `show_run`,
`compare_runs`, `get_artifacts`, `list_models`, `get_model`, `delete_runs`,
`reproduce` and their like; and `open_bundle`, `open_workspace`. Everything is typed. Errors are `runsync.RunsyncError`s
with an `exit_code`; `runsync/errors.py` shows the tree.

The tables below show the keywords of each function beside the options of the command line. This page is made by
`make docs`; a test fails when it is out of date.

Most functions also take `selection`, a `runsync.Selection`; `access`, a `runsync.Access` that says how to reach bundles
and workspaces (S3, `runsync.toml`, rates, where artifacts are); and `progress`, which is called as the work proceeds.
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
