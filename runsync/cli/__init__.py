"""The command line: parse, call one verb, print. A file a command; each is imported when it is asked for."""

import os
import sys
from importlib import import_module

import click

COMMANDS = {
    "export": "Export a workspace into a bundle.",
    "import": "Import a bundle into a workspace.",
    "sync": "Bring a workspace up to date with another.",
    "verify": "Is everything of the one in the other?",
    "diff": "What has changed between two snapshots or workspaces?",
    "check": "Is a bundle sound?",
    "inspect": "What is in a bundle?",
    "snapshots": "List the snapshots of a bundle.",
    "forget": "Forget snapshots by a policy.",
    "prune": "Free what no snapshot needs.",
    "copy": "Copy a bundle, or one snapshot of it, into another.",
    "unlock": "Remove stale locks.",
}
MODULES = {name: f"runsync.cli.{name}_cmd" for name in COMMANDS}


class Commands(click.Group):
    """Knows its commands by name, so that --help loads none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Loads one."""
        if cmd_name not in MODULES:
            return None
        command: click.Command = import_module(MODULES[cmd_name]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _show_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from runsync.version import VERSION

        click.echo(f"runsync {VERSION}")
        ctx.exit()


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partly done, 4 differences, 10 no bundle there, "
    "11 bundle locked, 12 bundle damaged, 13 workspace unreachable or refused us, 130 interrupted.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show it.")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.option("--config", metavar="FILE", help="Read this instead of ./runsync.toml (also: RUNSYNC_CONFIG).")
@click.pass_context
def cli(ctx: click.Context, debug: bool, config: str | None) -> None:
    """Move and back up MLflow workspaces, and prove that nothing was lost.

    \b
    runsync export http://localhost:5000 backup      everything into a bundle
    runsync import backup http://localhost:5001      and from there into another server
    runsync verify backup http://localhost:5001      is it all there?
    """
    ctx.ensure_object(dict).update(debug=debug, config=config)


def main() -> None:
    """The console script: runs a command, and turns errors into one line and an exit code."""
    from runsync.cli.run import INTERRUPTED, run

    code = run(cli, sys.argv[1:])
    if code == INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # requests under way are not waited for
    sys.exit(code)
