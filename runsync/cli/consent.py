"""Whether a command may delete: who sits at a terminal is asked, a script says --yes. Never a prompt in a pipe."""

import sys

import click

from runsync.cli import say
from runsync.errors import WrongUsage

yes = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def must_ask(given: bool, what: str) -> bool:
    """Whether to ask first. Raises WrongUsage where nobody can be asked and --yes was not given."""
    if given:
        return False
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise WrongUsage(f"{what}: without a terminal to ask at it needs --yes (--dry-run shows what it would do)")
    return True


def ask(question: str) -> None:
    """Goes on after a yes; ends the command after anything else."""
    if not say.ask(f"{question}?"):
        raise click.Abort
