"""Which snapshots a policy keeps, with the semantics of restic's `forget`. Pure: nothing is read or removed here."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo

from runsync.bundle.manifest import Manifest
from runsync.errors import WrongUsage

Group = tuple[object, ...]
UNLIMITED = -1
OPTIONS = "--keep-last, --keep-daily, --keep-weekly, --keep-monthly, --keep-yearly or --keep-within"


@dataclass(frozen=True, slots=True)
class Within:
    """A stretch of calendar time before the newest snapshot: years, months and days by the calendar, then hours."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    @classmethod
    def parse(cls, text: str) -> "Within":
        """Of `2y5m7d3h`, or some of it such as `30d`; `m` are months. Raises WrongUsage for anything else."""
        found = re.fullmatch(r"(?:(\d+)y)?(?:(\d+)m)?(?:(\d+)d)?(?:(\d+)h)?", text.strip())
        if not found or not any(found.groups()):
            raise WrongUsage(f"“{text}” is no stretch of time: write 30d, or years, months, days and hours as 2y5m7d3h")
        return cls(*(int(number or 0) for number in found.groups()))

    def __bool__(self) -> bool:
        return any((self.years, self.months, self.days, self.hours))

    def __str__(self) -> str:
        told = ((self.years, "y"), (self.months, "m"), (self.days, "d"), (self.hours, "h"))
        return "".join(f"{number}{unit}" for number, unit in told if number)

    def before(self, moment: datetime, zone: tzinfo | None) -> datetime:
        """That long before a moment, by the calendar of a time zone (None: this machine's); in UTC.

        A day that a month has not is counted on into the next: a month before 31 March is 3 March.
        """
        local = _local(moment, zone)
        month = local.year * 12 + local.month - 1 - self.years * 12 - self.months
        try:
            day = date(month // 12, month % 12 + 1, 1) + timedelta(days=local.day - 1 - self.days)
            wall = datetime.combine(day, local.time(), local.tzinfo)
            return wall.astimezone(UTC) - timedelta(hours=self.hours)
        except (ValueError, OverflowError):
            return datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Policy:
    """How many snapshots to keep of each kind (0: the rule is not there; UNLIMITED: all), and how far back all of them.

    `zone` is whose days, weeks, months and years count; None: this machine's.
    """

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: Within = field(default_factory=Within)
    zone: tzinfo | None = None

    def __post_init__(self) -> None:
        if min(self.last, self.daily, self.weekly, self.monthly, self.yearly) < UNLIMITED:
            raise WrongUsage("a policy keeps a number of snapshots, or all of them (-1)")

    @property
    def is_empty(self) -> bool:
        """Whether it has no rule: by such a one everything would go."""
        return not (self.last or self.daily or self.weekly or self.monthly or self.yearly or self.within)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a snapshot is kept, and why: each rule that keeps it, or for each rule why it does not."""

    snapshot: str
    keep: bool
    reasons: tuple[str, ...]


def apply(
    policy: Policy,
    finished: Sequence[tuple[str, datetime]],
    set_apart: Mapping[str, str] | None = None,
    newest: str = "",
) -> list[Decision]:
    """Decides on snapshots of one group, given as id and when it was finished (with a zone); newest first.

    The newest of each day (week, …) is kept, for as many days as the rule says. The oldest snapshot is kept as well
    while a rule has counts left. `within` is counted from the newest date. Those that are `set_apart`, for the reason
    given with the id, are kept and no rule counts them: their date is wrong. So is the one that is the `newest` by
    order, where its date would not keep it. Raises WrongUsage for an empty policy.
    """
    if policy.is_empty:
        raise WrongUsage(f"without a rule no snapshot would be kept: say what to keep with {OPTIONS}")
    apart = set_apart or {}
    ordered = sorted(finished, key=lambda one: (one[1], one[0]), reverse=True)
    counted = [one for one in ordered if one[0] not in apart]
    decide = _decider(policy, counted)
    decided = {snapshot: decide(number) for number, (snapshot, _) in enumerate(counted)}
    decided |= {snapshot: (True, (why,)) for snapshot, why in apart.items()}
    if newest in decided and not decided[newest][0]:
        decided[newest] = (True, ("the newest, whatever its date",))
    return [Decision(snapshot, *decided[snapshot]) for snapshot, _ in ordered]


def _decider(policy: Policy, counted: Sequence[tuple[str, datetime]]) -> Callable[[int], tuple[bool, tuple[str, ...]]]:
    """What decides on the snapshots one after the other, newest first: whether to keep it, and why."""
    since = policy.within.before(counted[0][1], policy.zone) if policy.within and counted else None
    rules = list(_rules(policy))

    def decide(number: int) -> tuple[bool, tuple[str, ...]]:
        moment = counted[number][1]
        verdicts = [rule.decide(_local(moment, policy.zone), number, number == len(counted) - 1) for rule in rules]
        if since is not None:
            verdicts.append((moment > since, f"{'within' if moment > since else 'older than'} {policy.within}"))
        keep = any(kept for kept, _ in verdicts)
        return keep, tuple(why for kept, why in verdicts if kept == keep)

    return decide


class _Rule:
    """Keeps the newest snapshot of each of so many days (or weeks, …). It counts down as it decides."""

    def __init__(self, name: str, unit: str, count: int, bucket: Callable[[datetime, int], object]) -> None:
        self._name = name
        self._unit = unit
        self._count = self._left = count
        self._bucket = bucket
        self._last: object = None

    def decide(self, moment: datetime, number: int, is_oldest: bool) -> tuple[bool, str]:
        if not self._left:
            return False, f"{self._name}: {self._count} newer kept"
        bucket = self._bucket(moment, number)
        is_new = bucket != self._last
        if not is_new and not is_oldest:
            return False, f"{self._name}: not the newest of its {self._unit}"
        self._last = bucket
        self._left -= self._left > 0
        return True, self._name if is_new else f"oldest {self._name}"


def _rules(policy: Policy) -> Iterator[_Rule]:
    rules: tuple[tuple[str, str, int, Callable[[datetime, int], object]], ...] = (
        ("last", "kind", policy.last, lambda moment, number: number),
        ("daily", "day", policy.daily, lambda moment, number: moment.date()),
        ("weekly", "week", policy.weekly, lambda moment, number: moment.isocalendar()[:2]),
        ("monthly", "month", policy.monthly, lambda moment, number: (moment.year, moment.month)),
        ("yearly", "year", policy.yearly, lambda moment, number: moment.year),
    )
    return (_Rule(*rule) for rule in rules if rule[2])


def _local(moment: datetime, zone: tzinfo | None) -> datetime:
    """A moment as a clock on the wall shows it: in a zone, or (without `tzinfo`) on this machine."""
    return moment.astimezone(zone) if zone else moment.astimezone().replace(tzinfo=None)


def group_of(manifest: Manifest) -> Group:
    """Snapshots of one source and selection belong together; `--since 30d` moves on with every night.

    What was exported without artifacts, or notebooks, does not stand for what was exported with them.
    """
    asked = manifest.selection
    bounds = (asked["since"] is not None, asked["until"] is not None)
    names = (tuple(asked["experiments"]), tuple(asked["runs"]), asked["filter"], asked["state"])
    return (manifest.source.address, *names, *bounds, manifest.with_artifacts, *sorted(manifest.asked.items()))
