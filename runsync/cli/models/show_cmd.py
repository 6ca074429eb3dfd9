"""runsync models show"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.artifact_tree import tree
from runsync.cli.finish import finish
from runsync.cli.pairs import INDENT, pairs, section
from runsync.cli.tables import NOTHING, bold, folded, table, terminal_width
from runsync.cli.text import many, size
from runsync.kinds.model_versions import NO_STAGE
from runsync.model.redact import without_credentials
from runsync.model.times import iso

if TYPE_CHECKING:
    from runsync.kinds.model_versions import ModelVersion
    from runsync.models.show import ModelReport


@click.command(epilog="Example: runsync models show prod churn@champion")
@click.argument("where")
@click.argument("model")
@options.artifact_root
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, where: str, model: str, workers: int, as_json: bool) -> int:
    """Show a registered model, or one version of it.

    MODEL is NAME: shows its description, tags, aliases and versions. Or it is NAME/VERSION or NAME@ALIAS: shows all
    about that version, where its files are, the run that it was made of, and its files. Exits with 3 if some of it
    could not be read.
    """
    from runsync.models.show import show_model

    report = show_model(where, model, workers=workers, access=options.access(ctx))
    told = _version_lines(report) if report.is_of_version else _model_lines(report)
    return finish(report, as_json, told, is_data=True)


def _model_lines(report: "ModelReport") -> Iterator[str]:
    model = report.model
    yield bold(f"registered model {model.name}")
    yield from pairs({"created": iso(model.created_at), "updated": iso(model.updated_at)})
    yield from _described(model.description)
    aliases = {alias: f"version {number}" for alias, number in report.aliases.items()}
    yield from section(f"Aliases ({len(aliases)})", pairs(aliases))
    yield from section(f"Tags ({len(model.tags)})", pairs(dict(sorted(model.tags.items()))))
    width = terminal_width()
    rows = [("version", "aliases", "stage", "status", "run", "created")]
    rows += [
        (
            str(version.version),
            ", ".join(report.aliases_of(version)) or NOTHING,
            _stage(version),
            version.status,
            version.run_id or NOTHING,
            iso(version.created_at),
        )
        for version in reversed(report.versions)
    ]
    lines = [INDENT + line for line in table(rows, None if width is None else width - len(INDENT))]
    yield from section(f"Versions ({len(report.versions):,})", lines if report.versions else ())


def _version_lines(report: "ModelReport") -> Iterator[str]:
    (version,) = report.versions
    yield bold(f"model version {version.name}")
    yield from pairs(_head(report, version))
    yield from _described(version.description)
    yield from section(f"Tags ({len(version.tags)})", pairs(dict(sorted(version.tags.items()))))
    total = sum(file.size for file in report.files)
    yield from section(
        f"Files ({many(len(report.files), 'file')}, {size(total)})", [INDENT + line for line in tree(report.files)]
    )
    problems = [f"{INDENT}{p.kind} “{p.name}”: {p.reason}" for p in report.problems]
    yield from section("Could not be read", problems)


def _head(report: "ModelReport", version: "ModelVersion") -> dict[str, str]:
    told = {
        "aliases": ", ".join(report.aliases_of(version)) or NOTHING,
        "stage": _stage(version),
        "status": f"{version.status}: {version.status_message}" if version.status_message else version.status,
        "user": version.user_id or NOTHING,
        "created": iso(version.created_at),
        "updated": iso(version.updated_at),
        "run": _run(report, version),
        "source": without_credentials(version.source) or NOTHING,
        "files": _home(report),
    }
    return told | ({"run link": version.run_link} if version.run_link else {})


def _stage(version: "ModelVersion") -> str:
    return NOTHING if version.stage == NO_STAGE else version.stage


def _run(report: "ModelReport", version: "ModelVersion") -> str:
    if not version.run_id:
        return NOTHING
    if report.run is None:
        return f"{version.run_id} (gone)"
    state = "" if report.run.lifecycle_stage == "active" else f" ({report.run.lifecycle_stage})"
    return f"{version.run_id} “{report.run.name}”{state}"


def _home(report: "ModelReport") -> str:
    home = report.home
    if home is None or not home.kind:
        return "of its own" if report.files else "where its source says"
    told = f"{home.kind.replace('-', ' ').removesuffix('s')} {home.id}"
    told += f" “{report.logged.name}”" if report.logged is not None else ""
    return told + (f", below {home.path}" if home.path else "")


def _described(text: str) -> Iterator[str]:
    yield from section("Description", folded(text, terminal_width(), INDENT) if text else ())
