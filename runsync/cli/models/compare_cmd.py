"""runsync models compare"""

import click

from runsync.cli import options
from runsync.cli.finish import finish


@click.command(epilog="Example: runsync models compare prod churn@champion churn@challenger --diff-only")
@click.argument("where")
@click.argument("versions", nargs=-1, required=True, metavar="VERSION...")
@click.option("--diff-only", is_flag=True, help="Show only the rows that differ.")
@click.option(
    "--lower-is-better", multiple=True, metavar="KEY", help="The lowest value of this metric is the best. Repeatable."
)
@click.option(
    "--higher-is-better", multiple=True, metavar="KEY", help="The highest value of this metric is the best. Repeatable."
)
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    where: str,
    versions: tuple[str, ...],
    diff_only: bool,
    lower_is_better: tuple[str, ...],
    higher_is_better: tuple[str, ...],
    workers: int,
    as_json: bool,
) -> int:
    """Compare versions of models side by side.

    VERSION is NAME/VERSION or NAME@ALIAS, of one model or of several; NAME alone is all versions of it. Shows aliases,
    stage and run of each, and the params, metrics and tags of their runs and logged models.
    """
    from runsync.cli.runs.compare_text import lines_of_models
    from runsync.models.compare import compare_models

    report = compare_models(
        where,
        versions,
        lower_is_better=lower_is_better,
        higher_is_better=higher_is_better,
        workers=workers,
        access=options.access(ctx),
    )
    return finish(report, as_json, lines_of_models(report, diff_only), is_data=True)
