"""runsync runs show"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.artifact_tree import tree
from runsync.cli.finish import finish
from runsync.cli.pairs import INDENT, pairs, section
from runsync.cli.tables import bold, folded, table, terminal_width
from runsync.cli.text import many, size
from runsync.model.printable import shortened
from runsync.model.redact import tags_without_credentials

if TYPE_CHECKING:
    from runsync.model.run import Problem
    from runsync.runs.show import Relative, RunReport

SHOWN_APART = "mlflow.note.content"


@click.command(epilog="Example: runsync runs show prod 0f2b9c4d --json | jq .metrics")
@click.argument("where")
@click.argument("run")
@options.artifacts
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, where: str, run: str, artifacts: bool, workers: int, as_json: bool) -> int:
    """Show everything about a run.

    RUN is an id or its beginning, a name, or EXPERIMENT/NAME. Shows its source and version, times, params, metrics with
    their history (lowest and highest value, and a sparkline), tags, notes, inputs, models, nested runs and files. Exits
    with 3 if some of it could not be read.
    """
    from runsync.runs.show import show_run

    report = show_run(where, run, artifacts=artifacts, workers=workers, access=options.access(ctx))
    return finish(report, as_json, _lines(report), is_data=True)


def _lines(report: "RunReport") -> Iterator[str]:
    run = report.run
    yield bold(f"run {run.name or run.run_id}")
    yield from pairs(_head(report))
    yield from section("Notes", folded(report.notes, terminal_width(), INDENT) if report.notes else ())
    yield from section("Source", pairs({k.replace("_", " "): v for k, v in report.launched.items() if v}))
    yield from section(f"Params ({len(run.params)})", pairs(dict(sorted(run.params.items()))))
    yield from section(f"Metrics ({len(report.metrics)})", _metrics(report))
    tags = {key: value for key, value in sorted(tags_without_credentials(run.tags).items()) if key != SHOWN_APART}
    yield from section(f"Tags ({len(tags)})", pairs(tags))
    yield from section("Inputs and models", _links(report))
    yield from section("Nested runs", _relatives(report))
    total = sum(file.size for file in report.artifacts)
    files = f"Artifacts ({many(len(report.artifacts), 'file')}, {size(total)})"
    yield from section(files, [INDENT + line for line in tree(report.artifacts)])
    yield from section("Could not be read", [f"{INDENT}{_what(p)}: {p.reason}" for p in report.problems])


def _what(problem: "Problem") -> str:
    return f"{problem.kind} “{problem.name}”" if problem.kind == "artifact" else problem.kind


def _head(report: "RunReport") -> dict[str, str]:
    from runsync.model.times import duration, iso

    run, home = report.run, report.experiment
    known = run.start_time is not None and run.end_time is not None
    return {
        "id": run.run_id,
        "experiment": f"{shortened(home.name)} (id {home.experiment_id})" if home is not None else run.experiment_id,
        "status": run.status if run.lifecycle_stage == "active" else f"{run.status} ({run.lifecycle_stage})",
        "user": shortened(run.user_id or run.tags.get("mlflow.user", "–")),
        "started": iso(run.start_time),
        "ended": iso(run.end_time),
        "duration": duration((run.end_time or 0) - (run.start_time or 0)) if known else "–",
        "artifacts": run.artifact_uri,
    }


def _metrics(report: "RunReport") -> Iterator[str]:
    from runsync.runs.history import sparkline

    if not report.metrics:
        return
    rows = [("name", "last", "lowest", "highest", "steps", "points", "history")]
    for curve in report.metrics:
        steps = (
            f"{curve.first_step}" if curve.first_step == curve.last_step else f"{curve.first_step}…{curve.last_step}"
        )
        low, high = ("–" if value is None else f"{value:.6g}" for value in (curve.lowest, curve.highest))
        bars = sparkline(curve.trend) if curve.points > 1 else ""
        rows.append((curve.key, f"{curve.last:.6g}", low, high, steps, f"{curve.points:,}", bars))
    width = terminal_width()
    yield from (INDENT + line for line in table(rows, None if width is None else width - len(INDENT)))


def _links(report: "RunReport") -> Iterator[str]:
    run = report.run
    for dataset in run.dataset_inputs:
        context = dataset.tags.get("mlflow.data.context", "")
        told = ", ".join(part for part in (f"digest {dataset.digest}", context, dataset.source_type) if part)
        yield f"{INDENT}dataset {dataset.name} ({told})"
    yield from (f"{INDENT}model {link.model_id} (input, step {link.step})" for link in run.model_inputs)
    for model in report.logged_models:
        told = ", ".join(part for part in ("output", f"step {model.step}", model.model_type, model.status) if part)
        yield f"{INDENT}model {model.model_id}{f' “{model.name}”' if model.name else ''} ({told})"
    for version in report.model_versions:
        stage = f", {version.stage}" if version.stage else ""
        yield f"{INDENT}registered as {version.name}, version {version.version}{stage}"


def _relatives(report: "RunReport") -> Iterator[str]:
    if report.parent is not None:
        yield f"{INDENT}parent {_relative(report.parent)}"
    yield from (f"{INDENT}child {_relative(child)}" for child in report.children)


def _relative(run: "Relative") -> str:
    return f"{run.run_id} “{run.name}” {run.status}" if run.status else f"{run.run_id} (gone)"
