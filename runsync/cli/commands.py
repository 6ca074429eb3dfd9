"""Which commands there are, by name, so that help and completion load none of them."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

TREE: Mapping[str, str | Mapping[str, str]] = {
    "export": "Export a workspace into a bundle.",
    "import": "Import a bundle into a workspace.",
    "sync": "Bring a workspace up to date with another.",
    "verify": "Is everything of the one in the other?",
    "diff": "What has changed between two snapshots or workspaces?",
    "doctor": "Who are we in a workspace, and what will not work there?",
    "check": "Is a bundle sound?",
    "inspect": "What is in a bundle?",
    "snapshots": "List the snapshots of a bundle.",
    "forget": "Forget snapshots by a policy.",
    "prune": "Free what no snapshot needs.",
    "copy": "Copy a bundle, or one snapshot of it, into another.",
    "unlock": "Remove locks of processes that are gone.",
    "runs": {
        "list": "List runs.",
        "show": "Show all that is known of a run.",
        "compare": "Put runs beside each other.",
        "csv": "Runs as the runs page downloads them.",
        "snippet": "Code that predicts with the model of a run.",
        "source": "Where does the code of a run lie?",
        "reproduce": "The code and environment of a run, to run again.",
        "rename": "Rename a run.",
        "tag": "Set tags of runs.",
        "untag": "Take tags away from runs.",
        "delete": "Delete runs.",
        "restore": "Restore deleted runs.",
    },
    "experiments": {
        "list": "List experiments.",
        "show": "Show an experiment.",
        "rename": "Rename an experiment.",
        "tag": "Set tags of experiments.",
        "untag": "Take tags away from experiments.",
        "delete": "Delete experiments and their runs.",
        "restore": "Restore deleted experiments.",
    },
    "artifacts": {
        "list": "List the files of a run.",
        "get": "Fetch files of a run.",
    },
}
"""A line a command; a group of commands has a mapping of its own."""

GROUPS: Mapping[str, str] = {
    "runs": "Find, look at, compare and tidy runs.",
    "experiments": "Find, look at and tidy experiments.",
    "artifacts": "List and fetch the files of a run.",
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
