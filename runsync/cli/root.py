"""The root of the commands, and the options that go before them."""

import click

from runsync.cli.commands import Commands


def _show_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from runsync.cli import say
        from runsync.version import VERSION

        say.out(f"runsync {VERSION}")
        ctx.exit()


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partly done, 4 differences, 10 no such bundle, "
    "11 bundle locked, 12 bundle damaged, 13 workspace unreachable or access denied, 130 interrupted (Ctrl-C, SIGTERM, "
    "SIGHUP).",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
@click.option(
    "--config", metavar="FILE", help="Configuration file to use instead of ./runsync.toml (or set RUNSYNC_CONFIG)."
)
@click.pass_context
def cli(ctx: click.Context, debug: bool, config: str | None) -> None:
    """Move and back up MLflow workspaces, and prove that nothing was lost.

    \b
    runsync export http://localhost:5000 backup      back up everything into a bundle
    runsync import backup http://localhost:5001      restore it into another server
    runsync verify backup http://localhost:5001      check that everything arrived
    """
    ctx.ensure_object(dict).update(debug=debug, config=config)
