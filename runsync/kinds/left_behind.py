"""What may stay behind: the one list of names that `--accept` and `accept` in `runsync.toml` take.

Kinds that are carried have a category each (see `kinds.kind`); all others are declared here once. A backend names what
it leaves with `CATEGORY.left(…)`; what a target changes by its nature (new ids, for one) is no loss and told with
`changed(…)`; what was not looked for with `unsought(…)`.
"""

from collections.abc import Iterable, Iterator

from runsync.errors import WrongUsage
from runsync.kinds import KINDS
from runsync.kinds.category import Category
from runsync.model.nearest import nearest
from runsync.model.not_carried import NotCarried
from runsync.model.wording import single

MODEL_LINKS = Category("model-links", "links to logged models", part_of="logged-models")
METRIC_LINKS = Category(
    "metric-links",
    "links from metric points to logged models and datasets",
    part_of="logged-models",
    goes_with_experiments=True,
    old_titles=("links from metric points to logged models",),
)
ASSESSMENTS = Category("assessments", "assessments", part_of="traces", goes_with_experiments=True)
GATEWAY_SECRETS = Category("gateway-secrets", "gateway secrets", part_of="gateway-endpoints")
NO_SECRETS = "nobody can read them: with --gateway the target's own ones of the same names are used"
"""Why secrets of the gateway stay behind."""
PROMPT_OPTIMIZATION_JOBS = Category("prompt-optimization-jobs", "prompt optimization jobs")
"""Their results are runs and prompts; what stays behind is how they were asked for."""
PARENT_LINKS = Category("parent-links", "links to parents")
ARTIFACTS = Category("artifacts", "artifacts")
MISSING_ITEMS = Category("missing-items", "runs and experiments that cannot be carried")
MISSING_PIECES = Category("missing-pieces", "pieces of runs that cannot be carried")

CATEGORIES = {
    kind.name: kind
    for kind in (
        MODEL_LINKS,
        METRIC_LINKS,
        ASSESSMENTS,
        GATEWAY_SECRETS,
        PROMPT_OPTIMIZATION_JOBS,
        *(kind.category for kind in KINDS),
        PARENT_LINKS,
        ARTIFACTS,
        MISSING_ITEMS,
        MISSING_PIECES,
    )
}
"""By their names."""
GO_WITH_EXPERIMENTS = frozenset(name for name, kind in CATEGORIES.items() if kind.goes_with_experiments)
NOT_OF_RUNS = CATEGORIES.keys() - {
    kind.name for kind in (MODEL_LINKS, PARENT_LINKS, ARTIFACTS, MISSING_ITEMS, MISSING_PIECES)
}
"""Names of what no run lacks where it stays behind."""
UNTOLD = "the server does not tell whether there are any"
"""How the reason begins where not even that is known."""
GONE = "that the source no longer has"
"""Behind the title of a kind: those are only named there."""
ELSEWHERE = "that stay where they lie"
"""Likewise: they are read from there, by whoever has the rest."""
DELETED = "that were deleted"
"""Likewise: the source hides them."""
UNSOUGHT = "that were not looked for"
"""Behind the title of a kind of which nobody knows whether there are any."""
_BY_TITLE = {title: kind.name for kind in CATEGORIES.values() for title in (kind.title, *kind.old_titles)}


def changed(what: str, count: int | None, why: str, names: tuple[str, ...] = ()) -> NotCarried:
    """What is otherwise in the target by its nature, or by what was asked for: nothing is lost with it."""
    return NotCarried(what, count, why, names, "")


def unsought(kind: Category, why: str) -> NotCarried:
    """A kind that was not looked for where there may be some: told, and no reason for an exit code."""
    return NotCarried(f"{kind.title} {UNSOUGHT}", None, why, (), "")


def was_sought(left: NotCarried) -> bool:
    """Whether it was looked for."""
    return not left.what.endswith(UNSOUGHT)


def kind_of(title: str) -> str:
    """The name of the kind that a manifest means; "" for what is no loss (see `changed`), and for what was not looked
    for. One that is not known here has a name that nobody can accept."""
    if title.endswith((GONE, ELSEWHERE, DELETED, UNSOUGHT)):
        return ""
    return _BY_TITLE.get(title, title.replace(" ", "-"))


def parse(given: Iterable[str], where: str = "--accept") -> frozenset[str]:
    """The kinds that are accepted, by name: those of “registered-models,webhooks”, and what is part of them.

    `where` is where they stand. Raises WrongUsage for a name that there is not.
    """
    names = {name for text in given for part in text.split(",") if (name := part.strip())}
    for name in sorted(names - CATEGORIES.keys()):
        near = nearest(name, CATEGORIES)
        hint = f": did you mean “{near}”?" if near else ";"
        raise WrongUsage(f"{where}: nothing is called “{name}”{hint} What can be accepted: {', '.join(CATEGORIES)}")
    return frozenset(names | {kind.name for kind in CATEGORIES.values() if kind.part_of in names})


def not_asked_for(kinds: Iterable[str]) -> frozenset[str]:
    """What stays behind on purpose where only some kinds (none: all) were asked for, by name."""
    asked = parse(kind for kind in kinds if kind in CATEGORIES)
    return frozenset(NOT_OF_RUNS - asked) if asked or kinds else frozenset()


def told(left: NotCarried) -> str:
    """What stays behind, why, and some names."""
    some = f" [{', '.join(left.names[:3])}{', …' if len(left.names) > 3 else ''}]" if left.names else ""
    return f"{counted(left)}{some}: {left.why}"


def is_known(left: NotCarried) -> bool:
    """Whether anything stays behind."""
    return left.count is not None or (was_sought(left) and not left.why.startswith(UNTOLD))


def counted(left: NotCarried) -> str:
    """How much of it stays behind."""
    if not is_known(left):
        return left.what
    kind, what = CATEGORIES.get(left.kind), left.what
    is_plural = ":" not in what if kind is None else what == kind.title
    if left.count == 1 and is_plural:
        what = single(what)
    return f"{'some' if left.count is None else f'{left.count:,}'} {what}"


def told_unsought(all_left: Iterable[NotCarried]) -> Iterator[str]:
    """At most one line: the kinds of them that were not looked for."""
    some = [left for left in all_left if not was_sought(left)]
    if some:
        titles = ", ".join(left.what.removesuffix(UNSOUGHT).rstrip() for left in some)
        yield f"Not looked for: {titles} ({some[0].why})"


def how_to_accept(kinds: Iterable[str]) -> str:
    """The option with which these kinds may stay behind; "" where none of them can be accepted."""
    names = [name for name in dict.fromkeys(kinds) if name in CATEGORIES]
    whole = [name for name in names if CATEGORIES[name].part_of not in names]
    return f"--accept {','.join(whole)}" if whole else ""
