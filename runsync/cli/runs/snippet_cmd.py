"""runsync runs snippet"""

import click

from runsync.cli import options
from runsync.cli.finish import finish


@click.command(epilog="Example: runsync runs snippet http://localhost:5000 amazing-gull-42 > predict.py")
@click.argument("where")
@click.argument("run")
@click.option("--pandas", "library", flag_value="pandas", default="pandas", help="Use pandas (the default).")
@click.option("--spark", "library", flag_value="spark", help="Use Spark.")
@click.option("--model", metavar="PATH", help="Which model, if the run has several.")
@options.artifact_root
@options.s3
@options.workers
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context, /, where: str, run: str, library: str, model: str | None, workers: int, as_json: bool
) -> int:
    """Print code that loads a run's model and predicts.

    RUN is an id or its beginning, a name, or EXPERIMENT/NAME, in a workspace or bundle; or the model itself, as
    models:/churn@champion, models:/churn/3 or models:/m-… . The code predicts on an example that fits the model's
    signature.
    """
    from runsync.runs.snippet import snippet

    report = snippet(
        where,
        run,
        library="spark" if library == "spark" else "pandas",
        model=model,
        access=options.access(ctx),
        workers=workers,
    )
    return finish(report, as_json, report.code.rstrip("\n").split("\n"), is_data=True)
