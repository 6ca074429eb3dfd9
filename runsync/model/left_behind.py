"""What may stay behind, by kind: the one list of names that `--accept` and `accept` in `runsync.toml` take.

Each kind is declared here once. A backend names what it leaves with `KIND.left(…)`; what a target changes by its nature
(new ids, for one) is no loss and told with `changed(…)`; a kind that was not looked for with `unsought(…)`.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runsync.errors import WrongUsage
from runsync.model.protocol import NotCarried


@dataclass(frozen=True, slots=True)
class Kind:
    """`name` accepts it, and so does that of the kind that it is `part_of`.

    `title` names it in reports and manifests; `old_titles` are those that manifests of earlier versions have.
    `goes_with_experiments`: whether it is out of sight once its experiment is deleted.
    """

    name: str
    title: str
    part_of: str = ""
    goes_with_experiments: bool = False
    old_titles: tuple[str, ...] = ()

    @property
    def one(self) -> str:
        """The title of a single one."""
        noun, space, rest = self.title.partition(" ")
        if noun == "links":
            return f"link{space}{rest}"
        return f"{self.title[:-3]}y" if self.title.endswith("ies") else self.title.removesuffix("s")

    def left(self, count: int | None, why: str, names: tuple[str, ...] = (), what: str = "") -> NotCarried:
        """So many of it (None: not counted) stay behind; `what` says more closely what they are."""
        return NotCarried(what or self.title, count, why, names, self.name)


REGISTERED_MODELS = Kind("registered-models", "registered models")
MODEL_VERSIONS = Kind("model-versions", "model versions", part_of="registered-models")
PROMPTS = Kind("prompts", "prompts")
LOGGED_MODELS = Kind("logged-models", "logged models", goes_with_experiments=True)
MODEL_LINKS = Kind("model-links", "links to logged models", part_of="logged-models")
METRIC_LINKS = Kind(
    "metric-links",
    "links from metric points to logged models and datasets",
    part_of="logged-models",
    goes_with_experiments=True,
    old_titles=("links from metric points to logged models",),
)
TRACES = Kind("traces", "traces", goes_with_experiments=True)
ASSESSMENTS = Kind("assessments", "assessments", part_of="traces", goes_with_experiments=True)
EVALUATION_DATASETS = Kind("evaluation-datasets", "evaluation datasets")
SCORERS = Kind("scorers", "scorers", goes_with_experiments=True)
ISSUES = Kind("issues", "issues", goes_with_experiments=True)
LABEL_SCHEMAS = Kind("label-schemas", "label schemas", goes_with_experiments=True)
REVIEW_QUEUES = Kind("review-queues", "review queues", goes_with_experiments=True)
WEBHOOKS = Kind("webhooks", "webhooks")
GATEWAY_ENDPOINTS = Kind("gateway-endpoints", "gateway endpoints")
GATEWAY_SECRETS = Kind("gateway-secrets", "gateway secrets")
GUARDRAILS = Kind("guardrails", "guardrails")
BUDGET_POLICIES = Kind("budget-policies", "budget policies")
MCP_SERVERS = Kind("mcp-servers", "MCP servers")
NOTEBOOKS = Kind("notebooks", "notebooks")
PERMISSIONS = Kind("permissions", "permissions")
PARENT_LINKS = Kind("parent-links", "links to parents")
ARTIFACTS = Kind("artifacts", "artifacts")
MISSING_ITEMS = Kind("missing-items", "runs and experiments that cannot be carried")
MISSING_PIECES = Kind("missing-pieces", "pieces of runs that cannot be carried")

KINDS = {
    kind.name: kind
    for kind in (
        REGISTERED_MODELS,
        MODEL_VERSIONS,
        PROMPTS,
        LOGGED_MODELS,
        MODEL_LINKS,
        METRIC_LINKS,
        TRACES,
        ASSESSMENTS,
        EVALUATION_DATASETS,
        SCORERS,
        ISSUES,
        LABEL_SCHEMAS,
        REVIEW_QUEUES,
        WEBHOOKS,
        GATEWAY_ENDPOINTS,
        GATEWAY_SECRETS,
        GUARDRAILS,
        BUDGET_POLICIES,
        MCP_SERVERS,
        NOTEBOOKS,
        PERMISSIONS,
        PARENT_LINKS,
        ARTIFACTS,
        MISSING_ITEMS,
        MISSING_PIECES,
    )
}
"""By their names."""
GO_WITH_EXPERIMENTS = frozenset(name for name, kind in KINDS.items() if kind.goes_with_experiments)
NOT_OF_RUNS = KINDS.keys() - {
    kind.name for kind in (MODEL_LINKS, PARENT_LINKS, ARTIFACTS, MISSING_ITEMS, MISSING_PIECES)
}
"""Names of what no run lacks where it stays behind."""
UNTOLD = "the server does not tell whether there are any"
"""How the reason begins where not even that is known."""
GONE = "that the source no longer has"
"""Behind the title of a kind: those are only named there."""
UNSOUGHT = "that were not looked for"
"""Behind the title of a kind of which nobody knows whether there are any."""
_BY_TITLE = {title: kind.name for kind in KINDS.values() for title in (kind.title, *kind.old_titles)}


def changed(what: str, count: int | None, why: str, names: tuple[str, ...] = ()) -> NotCarried:
    """What is otherwise in the target by its nature, or by what was asked for: nothing is lost with it."""
    return NotCarried(what, count, why, names, "")


def unsought(kind: Kind, why: str) -> NotCarried:
    """A kind that was not looked for where there may be some: told, and no reason for an exit code."""
    return NotCarried(f"{kind.title} {UNSOUGHT}", None, why, (), "")


def was_sought(left: NotCarried) -> bool:
    """Whether it was looked for."""
    return not left.what.endswith(UNSOUGHT)


def kind_of(title: str) -> str:
    """The name of the kind that a manifest means; "" for what the source itself had no longer. One that is not known
    here has a name that nobody can accept."""
    if title.endswith(GONE):
        return ""
    return _BY_TITLE.get(title, title.replace(" ", "-"))


def parse(given: Iterable[str], where: str = "--accept") -> frozenset[str]:
    """The kinds that are accepted, by name: those of “registered-models,webhooks”, and what is part of them.

    `where` is where they stand. Raises WrongUsage for a name that there is not.
    """
    names = {name for text in given for part in text.split(",") if (name := part.strip())}
    for name in sorted(names - KINDS.keys()):
        near = difflib.get_close_matches(name.lower().replace("_", "-").replace(" ", "-"), KINDS, 1)
        hint = f": did you mean “{near[0]}”?" if near else ";"
        raise WrongUsage(f"{where}: nothing is called “{name}”{hint} What can be accepted: {', '.join(KINDS)}")
    return frozenset(names | {kind.name for kind in KINDS.values() if kind.part_of in names})


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
    kind, what = KINDS.get(left.kind), left.what
    if left.count == 1:
        what = kind.one if kind is not None and what == kind.title else re.sub(" ids$", " id", what)
    return f"{'some' if left.count is None else f'{left.count:,}'} {what}"


def told_unsought(all_left: Iterable[NotCarried]) -> Iterator[str]:
    """At most one line: the kinds of them that were not looked for."""
    some = [left for left in all_left if not was_sought(left)]
    if some:
        titles = ", ".join(left.what.removesuffix(UNSOUGHT).rstrip() for left in some)
        yield f"Not looked for: {titles} ({some[0].why})"


def how_to_accept(kinds: Iterable[str]) -> str:
    """The option with which these kinds may stay behind; "" where none of them can be accepted."""
    names = [name for name in dict.fromkeys(kinds) if name in KINDS]
    whole = [name for name in names if KINDS[name].part_of not in names]
    return f"--accept {','.join(whole)}" if whole else ""
