"""Which commands there are, by name, so that help and completion load none of them."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

TREE: Mapping[str, str | Mapping[str, str]] = {
    "export": "Export a workspace into a bundle.",
    "import": "Import a bundle into a workspace.",
    "sync": "Copy what is new or changed from one workspace to another.",
    "promote": "Promote a model into another registry.",
    "promotions": "List what was promoted to a model, and rolled back.",
    "verify": "Compare a source with a target, field by field.",
    "diff": "Show what changed between two snapshots or workspaces.",
    "doctor": "Check access to a workspace and report problems.",
    "check": "Check a bundle for damage, and repair it.",
    "inspect": "Show what is in a bundle.",
    "snapshots": "List the snapshots of a bundle.",
    "forget": "Remove snapshots according to a policy.",
    "prune": "Delete data that no snapshot needs.",
    "copy": "Copy a bundle, or one snapshot of it, into another.",
    "unlock": "Remove stale locks from a bundle.",
    "runs": {
        "list": "List runs.",
        "show": "Show everything about a run.",
        "compare": "Compare runs side by side.",
        "csv": "Write runs as CSV, as MLflow's runs page does.",
        "snippet": "Print code that loads a run's model and predicts.",
        "source": "Show where a run's code is.",
        "reproduce": "Get a run's code and environment, ready to run again.",
        "rename": "Rename a run.",
        "tag": "Set tags on runs.",
        "untag": "Remove tags from runs.",
        "delete": "Delete runs.",
        "restore": "Restore deleted runs.",
    },
    "experiments": {
        "list": "List experiments.",
        "show": "Show an experiment.",
        "rename": "Rename an experiment.",
        "tag": "Set tags on experiments.",
        "untag": "Remove tags from experiments.",
        "delete": "Delete experiments and their runs.",
        "restore": "Restore deleted experiments.",
    },
    "models": {
        "list": "List registered models.",
        "show": "Show a registered model, or one version of it.",
        "get": "Download a model's files.",
        "compare": "Compare versions of models side by side.",
    },
    "prompts": {
        "list": "List prompts.",
        "show": "Show a prompt, or one version of it.",
    },
    "traces": {
        "list": "List traces.",
        "show": "Show a trace, with its spans and assessments.",
        "delete": "Delete traces for good.",
    },
    "datasets": {
        "list": "List evaluation datasets.",
        "show": "Show an evaluation dataset.",
        "get": "Write the records of an evaluation dataset to a file.",
    },
    "artifacts": {
        "list": "List a run's files.",
        "get": "Download a run's files.",
    },
}
"""A line a command; a group of commands has a mapping of its own."""

GROUPS: Mapping[str, str] = {
    "runs": "List, show, compare, tag, delete and restore runs.",
    "experiments": "List, show, rename, tag, delete and restore experiments.",
    "models": "List, show, compare and download registered models.",
    "prompts": "List and show prompts.",
    "traces": "List, show and delete traces.",
    "datasets": "List, show and download evaluation datasets.",
    "artifacts": "List and download a run's files.",
}


def paths() -> list[str]:
    """Every command that does something, as it is typed: `export`, `runs list`."""
    found: list[str] = []
    for name, below in TREE.items():
        found += [name] if isinstance(below, str) else [f"{name} {inner}" for inner in below]
    return found


class Commands(click.Group):
    """Commands of one level of TREE. The module of `runs list` is `runsync.cli.runs.list_cmd`."""

    def __init__(self, *args: Any, tree: Mapping[str, str | Mapping[str, str]] = TREE, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tree = tree
        self._within = "runsync.cli" if tree is TREE else f"runsync.cli.{self.name}"

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use."""
        return list(self._tree)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Loads one."""
        if cmd_name not in self._tree:
            return None
        below = self._tree[cmd_name]
        if not isinstance(below, str):
            return Commands(cmd_name, tree=below, help=GROUPS[cmd_name], no_args_is_help=True)
        command: click.Command = import_module(f"{self._within}.{cmd_name.replace('-', '_')}_cmd").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list, without loading any."""
        with formatter.section("Commands"):
            lines = [(name, line if isinstance(line, str) else GROUPS[name]) for name, line in self._tree.items()]
            formatter.write_dl(lines)
