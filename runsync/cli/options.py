"""Options that several commands share, as decorators."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import completion
from runsync.model.limits import UNLIMITED, Limits, parse_rate

if TYPE_CHECKING:
    from runsync.bundle.address import Access
    from runsync.model.patience import Patience

Command = Callable[..., Any]


def _all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def selecting(state: str) -> Callable[[Command], Command]:
    """The options of a selection; `state` is what `--state` is when it is not given."""
    return _all(
        click.option(
            "--experiment",
            "experiments",
            multiple=True,
            metavar="NAME",
            shell_complete=completion.experiments,
            help="Name, id or glob; repeatable. A name that is another's id: name:NAME, and id:ID.",
        ),
        click.option(
            "--run",
            "runs",
            multiple=True,
            metavar="RUN",
            help="Id, the beginning of one, name, or EXPERIMENT/NAME; repeatable.",
        ),
        click.option(
            "--filter",
            "filter_",
            default="",
            metavar="EXPR",
            help="Such as “metrics.r2 > 0.3 AND NOT tags.team = 'x'”; docs/filters.md.",
        ),
        click.option("--since", metavar="TIME", help="Started then or later: 2026-11-01, 2026-11-01T12:00Z, or 7d."),
        click.option("--until", metavar="TIME", help="Started then or earlier."),
        click.option(
            "--state",
            type=click.Choice(["active", "deleted", "all"]),
            default=state,
            show_default=True,
            help="Lifecycle stage of runs.",
        ),
    )


selection = selecting("all")
expected = _all(
    click.option(
        "--min-runs",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Stop with exit code 4, before anything is written, when the selection matches fewer runs.",
    ),
    click.option(
        "--expect-runs",
        type=click.IntRange(min=0),
        metavar="N",
        help="Stop likewise when it means fewer or more.",
    ),
)


def _kept(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Options that say how a command works, not what it does, are kept aside for `access` and its like."""
    ctx.obj[parameter.name] = value


def _heard(callback: Callable[..., None], *names: str, **settings: Any) -> Callable[[Command], Command]:
    return click.option(*names, expose_value=False, callback=callback, **settings)


def _aside(*names: str, **settings: Any) -> Callable[[Command], Command]:
    return _heard(_kept, *names, **settings)


def _journal(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """The journal begins before anything else, so that it tells also what was wrong with the command line."""
    if value is not None and not ctx.resilient_parsing:
        journal = ctx.obj["journal"]
        (journal.log_to if parameter.name == "log_file" else journal.measure_to)(ctx, value)


def _limit(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Of the two options that make up the limits, whichever is given."""
    given = ctx.obj.setdefault("limited", {})
    if parameter.name == "limit_rate":
        given["upload"], given["download"] = parse_rate(value)
    else:
        given["requests"] = value
    ctx.obj["limits"] = Limits(**given) if any(given.values()) else UNLIMITED


s3 = _all(
    _aside("--s3-endpoint", metavar="URL", help="An S3 that is not Amazon's (also: AWS_ENDPOINT_URL)."),
    _aside("--s3-profile", metavar="NAME", help="Profile of the AWS configuration (also: AWS_PROFILE)."),
    _aside("--s3-sse", type=click.Choice(["AES256", "aws:kms"]), help="Encryption of new objects on S3."),
    _aside("--s3-kms-key", metavar="KEY", help="KMS key for it; its id or ARN."),
    _aside("--s3-storage-class", metavar="CLASS", help="Storage class of new objects, such as STANDARD_IA."),
)
unattended = _all(
    _aside("--quiet", is_flag=True, help="No progress, and nothing on success; errors are told."),
    _heard(_journal, "--log-file", metavar="FILE", is_eager=True, help="Append there what happens, a line an event."),
    _heard(
        _journal, "--metrics-file", metavar="FILE", is_eager=True, help="Write numbers for Prometheus there (x.prom)."
    ),
    _heard(
        _limit,
        "--limit-rate",
        default="0",
        metavar="RATE",
        help="Bytes a second, such as 20M, or UP:DOWN, such as 5M:20M; 0 for no limit.",
    ),
    _heard(
        _limit,
        "--max-requests-per-second",
        type=click.FloatRange(min=0),
        default=0,
        metavar="N",
        help="To servers and S3 together; 0 for no limit.",
    ),
)


def _accepting(told: str) -> Callable[[Command], Command]:
    complete = completion.kinds
    return click.option("--accept", multiple=True, metavar="KINDS", shell_complete=complete, help=told)


accept = _accepting("What may stay behind without exit code 3, such as registered-models,traces; repeatable.")
may_lack = _accepting("What need not be compared for exit code 0, such as registered-models,traces; repeatable.")
verify_stored = click.option(
    "--verify-stored",
    is_flag=True,
    help="Compare the hash of every stored file that is reused, not only its size, and replace broken ones.",
)
retry_lock = click.option(
    "--retry-lock",
    default="0s",
    metavar="TIME",
    help="Wait that long, such as 5m, when another process holds the bundle.",
)
workers = click.option(
    "--workers", type=click.IntRange(1, 64), default=8, show_default=True, help="Requests at a time."
)
wait = _aside(
    "--wait",
    metavar="TIME",
    help="Wait that long, such as 5m, for a server or store that does not answer (also: RUNSYNC_PATIENCE, in seconds).",
)
json = click.option("--json", "as_json", is_flag=True, help="Print one JSON report on stdout.")
dry_run = click.option("--dry-run", is_flag=True, help="Show what would be done; write nothing.")
artifact_root = _aside(
    "--artifacts",
    metavar="URI",
    help="Where the artifacts of a database or file store really are: a folder or s3://….",
)
source_artifacts = click.option(
    "--source-artifacts", default="", metavar="URI", help="Like --artifacts, which is the target's."
)
artifacts = _all(
    artifact_root,
    click.option("--no-artifacts", is_flag=True, help="Leave artifact files out."),
)
naming = _all(
    click.option(
        "--rename",
        multiple=True,
        metavar="OLD=NEW",
        help="Give an experiment (by name or id) another name; repeatable.",
    ),
    click.option("--prefix", default="", metavar="P", help="Put this before all other experiment names."),
)
into_workspace = _all(
    click.option("--verify-artifacts", is_flag=True, help="Read every uploaded file back and compare its hash."),
    click.option(
        "--restore-deleted", is_flag=True, help="Restore a deleted experiment of the same name in the target."
    ),
    click.option(
        "--permissions", is_flag=True, help="On Databricks: give principals the rights on experiments that they had."
    ),
    click.option(
        "--notebook-folder",
        default="",
        metavar="PATH",
        help="On Databricks: put notebooks below that folder, such as /Users/me/imported.",
    ),
    click.option(
        "--no-tags",
        is_flag=True,
        help="In databases and file stores: put no runsync.* tags on copies, but for first ids and lost links.",
    ),
    click.option(
        "--init", is_flag=True, help="Have MLflow (3.14 or newer) make the tables of a database that is empty."
    ),
    click.option("--id-map", metavar="FILE", help="Write there which new id every old id got."),
)


def selected(
    experiments: tuple[str, ...],
    runs: tuple[str, ...],
    filter_: str,
    since: str | None,
    until: str | None,
    state: str,
    min_runs: int = 0,
    expect_runs: int | None = None,
    named: tuple[str, ...] = (),
) -> Any:
    """The Selection that the shared options mean; `named` are runs that stand before them."""
    from runsync.model.selection import Selection
    from runsync.model.times import parse_time

    return Selection(
        experiments,
        (*named, *runs),
        filter_,
        parse_time(since) if since else None,
        parse_time(until) if until else None,
        state,
        min_runs,
        expect_runs,
    )


def renames(given: tuple[str, ...]) -> dict[str, str]:
    """`OLD=NEW` pairs; the last `=` parts them, so an old name may hold one."""
    pairs = {}
    for text in given:
        old, sign, new = text.rpartition("=")
        if not sign or not old or not new:
            raise click.BadParameter(f"“{text}” is not OLD=NEW", param_hint="--rename")
        pairs[old] = new
    return pairs


def access(ctx: click.Context) -> "Access":
    """How to get at bundles and workspaces, from the options that were kept aside."""
    from runsync.bundle.address import Access
    from runsync.s3 import S3Options

    kept: dict[str, Any] = ctx.obj
    given = {name: kept.get(f"s3_{name}") or "" for name in ("endpoint", "profile", "sse", "kms_key", "storage_class")}
    return Access(
        kept["config"],
        S3Options(**given),
        kept.get("limits", UNLIMITED),
        kept.get("artifacts") or "",
        patience=_patience(kept.get("wait")),
    )


def _patience(wait: str | None) -> "Patience":
    """At a terminal an address where nobody answers is told at once; unattended it is waited for."""
    from runsync.model.patience import Patience

    is_watched = sys.stdin.isatty() and sys.stderr.isatty()
    return Patience.from_environment().waiting(seconds(wait) if wait is not None else None, is_watched)


def seconds(text: str) -> float:
    """Of a duration such as 90s, 5m or 2h."""
    from runsync.model.times import parse_duration

    return parse_duration(text).total_seconds()
