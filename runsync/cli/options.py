"""Options that several commands share, as decorators."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import completion
from runsync.kinds.asked import options_of
from runsync.kinds.kind import Option
from runsync.limits import UNLIMITED, Limits, parse_rate

if TYPE_CHECKING:
    from runsync.bundle.address import Access
    from runsync.patience import Patience

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
            help="Only this experiment: a name, id or glob (name:NAME or id:ID if ambiguous). Repeatable.",
        ),
        click.option(
            "--run",
            "runs",
            multiple=True,
            metavar="RUN",
            help="Only this run: an id or its beginning, a name, or EXPERIMENT/NAME. Repeatable.",
        ),
        click.option(
            "--filter",
            "filter_",
            default="",
            metavar="EXPR",
            help="Only runs that match, such as \"metrics.r2 > 0.3 AND NOT tags.team = 'x'\" (see docs/filters.md).",
        ),
        click.option(
            "--since",
            metavar="TIME",
            help="Only runs started at or after this time: 2026-11-01, 2026-11-01T12:00Z, or 7d (days ago).",
        ),
        click.option("--until", metavar="TIME", help="Only runs started at or before this time."),
        click.option(
            "--state",
            type=click.Choice(["active", "deleted", "all"]),
            default=state,
            show_default=True,
            help="Lifecycle stage of the runs.",
        ),
    )


selection = selecting("all")
expected = _all(
    click.option(
        "--min-runs",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Fail with exit code 4, before writing anything, if fewer than N runs match.",
    ),
    click.option(
        "--expect-runs",
        type=click.IntRange(min=0),
        metavar="N",
        help="Fail the same way unless exactly N runs match.",
    ),
)


kinds = _all(
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="MODEL",
        help="Only this registered model, with its runs and files: NAME, NAME/VERSION or NAME@ALIAS. Repeatable.",
    ),
    click.option(
        "--kinds",
        multiple=True,
        metavar="KINDS",
        shell_complete=completion.kinds,
        help="Only these kinds of objects, such as runs,registered-models. Repeatable.",
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


def _of_kind(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    ctx.obj.setdefault("of_kinds", {})[parameter.name] = value


def _option(option: Option) -> Callable[[Command], Command]:
    shape = {"metavar": option.metavar} if option.metavar else {"is_flag": True}
    return _heard(_of_kind, f"--{option.name.replace('_', '-')}", help=option.help, **shape)


def of_kinds(verb: str) -> Callable[[Command], Command]:
    """The options of a verb that are about one kind of entity."""
    return _all(*map(_option, options_of(verb)))


def given_of_kinds(ctx: click.Context) -> dict[str, Any]:
    """Their values, for the verb."""
    return dict(ctx.obj.get("of_kinds", {}))


s3 = _all(
    _aside("--s3-endpoint", metavar="URL", help="Endpoint of an S3-compatible store (or set AWS_ENDPOINT_URL)."),
    _aside("--s3-profile", metavar="NAME", help="AWS profile to use (or set AWS_PROFILE)."),
    _aside("--s3-sse", type=click.Choice(["AES256", "aws:kms"]), help="Server-side encryption for new S3 objects."),
    _aside("--s3-kms-key", metavar="KEY", help="KMS key for that encryption: an id or ARN."),
    _aside("--s3-storage-class", metavar="CLASS", help="Storage class for new S3 objects, such as STANDARD_IA."),
)
unattended = _all(
    _aside("--quiet", is_flag=True, help="Print nothing unless something fails."),
    _heard(
        _journal,
        "--log-file",
        metavar="FILE",
        is_eager=True,
        help="Append a log to FILE, one event per line.",
    ),
    _heard(
        _journal,
        "--metrics-file",
        metavar="FILE",
        is_eager=True,
        help="Write Prometheus metrics to FILE (name it x.prom).",
    ),
    _heard(
        _limit,
        "--limit-rate",
        default="0",
        metavar="RATE",
        help="Limit bandwidth, in bytes per second: 20M, or UP:DOWN such as 5M:20M (0 means unlimited).",
    ),
    _heard(
        _limit,
        "--max-requests-per-second",
        type=click.FloatRange(min=0),
        default=0,
        metavar="N",
        help="Limit the total requests to servers and S3 (0 means unlimited).",
    ),
)


def _accepting(told: str) -> Callable[[Command], Command]:
    complete = completion.kinds
    return click.option("--accept", multiple=True, metavar="KINDS", shell_complete=complete, help=told)


accept = _accepting("Kinds that may be left behind without exit code 3, such as registered-models,traces. Repeatable.")
may_lack = _accepting("Kinds that need not be compared for exit code 0, such as registered-models,traces. Repeatable.")
verify_stored = click.option(
    "--verify-stored",
    is_flag=True,
    help="Check the hash, not only the size, of every stored file that is reused, and replace broken ones.",
)
retry_lock = click.option(
    "--retry-lock",
    default="0s",
    metavar="TIME",
    help="How long to wait for a locked bundle, such as 5m.",
)
workers = click.option(
    "--workers", type=click.IntRange(1, 64), default=8, show_default=True, help="Number of parallel requests."
)
wait = _aside(
    "--wait",
    metavar="TIME",
    help="If a server or store does not answer, keep trying for this long, such as 5m (or set RUNSYNC_PATIENCE, in "
    "seconds).",
)
json = click.option("--json", "as_json", is_flag=True, help="Print one JSON report to stdout.")
dry_run = click.option("--dry-run", is_flag=True, help="Show what would be done; write nothing.")
artifact_root = _aside(
    "--artifacts",
    metavar="URI",
    help="Actual location of a database's or file store's artifacts: a folder or s3://….",
)
source_artifacts = click.option(
    "--source-artifacts", default="", metavar="URI", help="The same for the source (--artifacts is for the target)."
)
artifacts = _all(
    artifact_root,
    click.option("--no-artifacts", is_flag=True, help="Skip artifact files."),
)
naming = _all(
    click.option(
        "--rename",
        multiple=True,
        metavar="OLD=NEW",
        help="Rename an experiment (OLD is a name or an id). Repeatable.",
    ),
    click.option("--prefix", default="", metavar="P", help="Prefix for the names of all other experiments."),
)
into_workspace = _all(
    click.option("--verify-artifacts", is_flag=True, help="Read every uploaded file back and check its hash."),
    click.option(
        "--restore-deleted", is_flag=True, help="If the target has a deleted experiment of the same name, restore it."
    ),
    click.option(
        "--no-tags",
        is_flag=True,
        help="Databases and file stores: add no runsync.* tags to copies, except for original ids and lost links.",
    ),
    click.option(
        "--init", is_flag=True, help="Create MLflow's tables in an empty database (uses MLflow 3.14 or newer)."
    ),
    click.option("--id-map", metavar="FILE", help="Write a JSON map of old to new ids to FILE."),
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
    models: tuple[str, ...] = (),
    kinds: tuple[str, ...] = (),
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
        models,
        tuple(name for text in kinds for part in text.split(",") if (name := part.strip())),
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
    from runsync.patience import Patience

    is_watched = sys.stdin.isatty() and sys.stderr.isatty()
    return Patience.from_environment().waiting(seconds(wait) if wait is not None else None, is_watched)


def seconds(text: str) -> float:
    """Of a duration such as 90s, 5m or 2h."""
    from runsync.model.times import parse_duration

    return parse_duration(text).total_seconds()
