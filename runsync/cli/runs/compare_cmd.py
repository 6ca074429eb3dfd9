"""runsync runs compare"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import options, say
from runsync.cli.finish import finish
from runsync.cli.output import csv_safe, format_of, opened
from runsync.cli.progress import shown
from runsync.cli.text import many, size
from runsync.errors import WrongUsage
from runsync.runs.options import CompareOptions

if TYPE_CHECKING:
    from runsync.runs.compare import CompareReport

FORMATS = ("table", "csv", "json", "html")


_diff_only = click.option(
    "--diff-only", is_flag=True, help="Show only the rows that differ (in html, as the initial view)."
)
_output = options.together(
    click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        help="Output format. Default: from the name of --output, otherwise a table.",
    ),
    click.option("--output", metavar="FILE", help="Write to this file instead of stdout."),
    csv_safe,
    click.option("--x", metavar="FIELD", help="html: initial x axis, such as params.lr, metrics.auc or duration."),
    click.option("--y", metavar="FIELD", help="html: initial y axis."),
    click.option("--color", metavar="FIELD", help="html: initial colour of points and height of contours."),
    options.artifact_root,
)


@click.command(epilog="Example: runsync runs compare backup churn-1 churn-2 --with http://localhost:5000 churn-3")
@click.argument("where")
@click.argument("run", nargs=-1)
@options.selecting("active")
@options.of(CompareOptions, lower_is_better=_diff_only, artifacts=_output, workers=options.s3)
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    where: str,
    run: tuple[str, ...],
    diff_only: bool,
    form: str | None,
    output: str | None,
    csv_safe: bool,
    x: str | None,
    y: str | None,
    color: str | None,
    as_json: bool,
    **asked: Any,
) -> int:
    """Compare runs side by side.

    RUN is an id or its beginning, a name, or EXPERIMENT/NAME; or select runs with the options. WHERE is a workspace or
    a bundle; add runs from other places with --with and --also-in. Comparing two runs also compares their metric curves
    and artifacts.

    The best value of a metric is the highest, or the lowest if its key has a word such as loss, error, rmse or time in
    it; --lower-is-better and --higher-is-better override this. Params are text: 0.1 and 0.10 differ.

    html is a single page that works offline (needs the extra plot), with parallel coordinates, scatter and contour
    plots, metric curves and sortable tables.
    """
    form = _form(form, as_json, output)
    if form == "html":
        from runsync.runs.compare_page import page

        page.require_plotly()
    report = _compare(ctx, where, run, curves=form == "html", **asked)
    if form == "json" and output is None:
        return finish(report, True, (), is_data=True)
    if form == "csv" and output is None:
        return _print_csv(report, diff_only, csv_safe)
    if form == "csv":
        from runsync.runs.compare_csv import to_csv

        text: Iterable[str] = [to_csv(report, diff_only, csv_safe).removesuffix("\n")]
    else:
        text = _text(report, form, diff_only, {"x": x, "y": y, "color": color}, to_file=output is not None)
    told = _written(output, text, report) if output else text
    return finish(report, False, () if as_json else told, is_data=not output)


def _form(form: str | None, as_json: bool, output: str | None) -> str:
    if as_json and form not in (None, "json"):
        raise WrongUsage(f"--json and --format {form} are two wishes: give one")
    if form == "html" and output is None:
        raise WrongUsage("--format html writes a page: give --output FILE")
    return "json" if as_json else form or format_of(output, FORMATS)


def _compare(ctx: click.Context, where: str, run: tuple[str, ...], **asked: Any) -> "CompareReport":
    from runsync.model.selection import Selection
    from runsync.runs.compare import compare_runs

    selection = options.selected(asked)
    with shown("compare", False) as progress:
        return compare_runs(
            where,
            run,
            selection=None if run and selection == Selection(state="active") else selection,
            access=options.access(ctx),
            progress=progress,
            **asked,
        )


def _text(
    report: "CompareReport", form: str, diff_only: bool, axes: dict[str, str | None], to_file: bool
) -> Iterable[str]:
    if form == "html":
        from runsync.runs.compare_page import page

        return [page.to_html(report, diff_only=diff_only, **axes)]
    if form == "json":
        from runsync.cli.text import json_text

        return [json_text(report.to_document())]
    from runsync.cli.runs.compare_text import lines

    return lines(report, diff_only, plain=to_file)


def _print_csv(report: "CompareReport", diff_only: bool, csv_safe: bool) -> int:
    from runsync.cli.runs.compare_text import not_read
    from runsync.runs.compare_csv import to_csv

    say.all_err(not_read(report))
    with opened(None) as file:
        file.write(to_csv(report, diff_only, csv_safe).encode(errors="backslashreplace"))
    return finish(report, False, ())


def _written(output: str, text: Iterable[str], report: "CompareReport") -> list[str]:
    """Writes the file; gives what is told instead."""
    from runsync.cli.runs.compare_text import not_read

    content = ("\n".join(text) + "\n").encode(errors="backslashreplace")
    with opened(output) as file:
        file.write(content)
    told = [f"{many(len(report.subjects), 'run')} compared: {output} ({size(len(content))})"]
    return told + list(not_read(report))
