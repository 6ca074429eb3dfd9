"""runsync promote"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.progress import shown
from runsync.cli.promote_text import lines
from runsync.errors import RunsyncError, WrongUsage
from runsync.model.option import keywords
from runsync.promotion.options import PromoteOptions

if TYPE_CHECKING:
    from runsync.promotion.report import PromotionReport

_WITH_APPLY = ("dry_run", "sign", "certificate", "workers")
_WITH_ROLLBACK = ("to", "dry_run", "workers")


@click.command(
    epilog='Example: runsync promote dev prod churn@candidate --require "metrics.auc > 0.9" --better-than champion '
    '--on "metrics.loss down"'
)
@click.argument("places", nargs=-1, metavar="[SOURCE TARGET [MODEL] | NAME]")
@options.of(PromoteOptions, source_artifacts=options.artifact_root)
@click.option("--apply", "plan_file", metavar="FILE", help="Do what a plan says, if nothing has changed since.")
@click.option("--rollback", is_flag=True, help="Move an alias back: promote --rollback TARGET MODEL@ALIAS.")
@click.option(
    "--to",
    multiple=True,
    metavar="TARGET|VERSION",
    help="Which targets of NAME, or to which version to roll back (default: all, and the one before). Repeatable.",
)
@click.option("--summary", metavar="FILE", help="Append a summary in Markdown to FILE, such as $GITHUB_STEP_SUMMARY.")
@options.s3
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, places: tuple[str, ...], summary: str | None, as_json: bool, **given: Any) -> int:
    """Promote a model into another registry, or roll it back.

    MODEL is NAME@ALIAS or NAME/VERSION; with --run, --best or --filter it is the model that a run logged. Gates are
    looked at first. Then the model goes to TARGET with its run, unchanged to the byte, as a new version; every file is
    read back and compared; and last the alias moves to it. Running it again, even after it was killed, never makes a
    second version.

    NAME is a section [promotions.NAME] of runsync.toml, which holds source, targets, model and gates. --plan writes
    what would be done, and promote --apply FILE does exactly that.

    Exits with 4 if a gate refuses, or a plan or an alias is not any more what it was; and with 3 if pieces of the run
    (not of the model) did not arrive.
    """
    try:
        with shown("promote", as_json) as progress:
            report = _run(ctx, places, given, {"access": options.access(ctx), "progress": progress})
    except RunsyncError as error:
        _append(summary, f"### Failed: promotion\n\n{' '.join(str(error).split())}\n")
        raise
    _append(summary, report.markdown())
    return finish(report, as_json, lines(report))


def _run(
    ctx: click.Context, places: tuple[str, ...], given: dict[str, Any], common: Mapping[str, Any]
) -> "PromotionReport":
    """The verb that is meant. Raises WrongUsage for what goes together with none."""
    from runsync.promotion.named import promote_named
    from runsync.promotion.promote import apply_plan, promote
    from runsync.promotion.rollback import rollback

    typed = {name for name in given if ctx.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE}
    plan_file, is_rollback, to = given.pop("plan_file"), given.pop("rollback"), given.pop("to")
    chosen = {name: given[name] for name in typed & given.keys()}
    if plan_file is not None:
        _refuse_others(typed - {"plan_file"}, _WITH_APPLY, "--apply")
        if places:
            raise WrongUsage("a plan says what is promoted where: --apply FILE stands alone")
        return apply_plan(plan_file, **chosen, **common)
    if is_rollback:
        _refuse_others(typed - {"rollback"}, _WITH_ROLLBACK, "--rollback")
        if len(places) != 2:
            raise WrongUsage("--rollback takes TARGET and MODEL@ALIAS")
        return rollback(*places, to=_version(to), **chosen, access=common["access"])
    if len(places) == 1:
        return promote_named(places[0], to, **chosen, **common)
    if not 2 <= len(places) <= 3:
        raise WrongUsage(
            "promote takes SOURCE, TARGET and MODEL (or --run, --best, --filter in place of MODEL), or NAME"
        )
    if to:
        raise WrongUsage("--to goes with NAME, and with --rollback")
    return promote(places[0], places[1], model="".join(places[2:]), **given, **common)


def _version(to: tuple[str, ...]) -> int | None:
    if not to:
        return None
    if len(to) > 1 or not to[0].isdecimal():
        raise WrongUsage(f"--to takes one version to roll back to, such as 6, not {' '.join(to)}")
    return int(to[0])


def _refuse_others(typed: set[str], allowed: tuple[str, ...], option: str) -> None:
    flags = {each.name: each.flag for each in keywords(PromoteOptions)}
    others = sorted(flags.get(name, f"--{name.replace('_', '-')}") for name in typed - {*allowed, "places"})
    if others:
        raise WrongUsage(f"{others[0]} does not go with {option}")


def _append(summary: str | None, text: str) -> None:
    if summary is None:
        return
    try:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise WrongUsage(f"--summary {summary} cannot be written: {error.strerror or error}") from None
