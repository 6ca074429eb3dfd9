"""Which snapshots a policy keeps: tables over years of dates, as restic's forget has them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runsync.bundle.retention import UNLIMITED, Policy, Within, apply
from runsync.errors import WrongUsage

pytestmark = pytest.mark.long

BERLIN = ZoneInfo("Europe/Berlin")
IN_UTC = Policy(zone=UTC)


def at(text: str) -> tuple[str, datetime]:
    """A snapshot called by the time it was finished."""
    return text, datetime.fromisoformat(text)


def nights(first: str, last: str) -> list[tuple[str, datetime]]:
    """A snapshot a night at 02:15 UTC, called by its date."""
    day, made = date.fromisoformat(first), []
    while day <= date.fromisoformat(last):
        made.append((day.isoformat(), datetime(day.year, day.month, day.day, 2, 15, tzinfo=UTC)))
        day += timedelta(days=1)
    return made


def kept(
    policy: Policy, finished: Iterable[tuple[str, datetime]], apart: Iterable[str] = (), newest: str = ""
) -> list[str]:
    """Newest first."""
    decided = apply(policy, list(finished), dict.fromkeys(apart, "its date is wrong"), newest)
    return [decision.snapshot for decision in decided if decision.keep]


def reasons(policy: Policy, finished: Iterable[tuple[str, datetime]]) -> dict[str, str]:
    decided = apply(policy, list(finished))
    return {decision.snapshot: ", ".join(decision.reasons) for decision in decided}


LAST_WEEK = [f"2026-11-{day}" for day in (23, 22, 21, 20, 19, 18, 17)]
MONTH_ENDS = ["10-31", "09-30", "08-31", "07-31", "06-30", "05-31", "04-30", "03-31", "02-28", "01-31"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"last": 3}, ["2026-11-23", "2026-11-22", "2026-11-21"]),
        ({"daily": 7}, LAST_WEEK),
        ({"weekly": 5}, ["2026-11-23", "2026-11-22", "2026-11-15", "2026-11-08", "2026-11-01"]),
        ({"monthly": 12}, ["2026-11-23", *(f"2026-{day}" for day in MONTH_ENDS), "2025-12-31"]),
        ({"yearly": 3}, ["2026-11-23", "2025-12-31", "2024-12-31"]),
        ({"yearly": 5}, ["2026-11-23", "2025-12-31", "2024-12-31", "2023-12-31", "2023-01-01"]),
        ({"yearly": UNLIMITED}, ["2026-11-23", "2025-12-31", "2024-12-31", "2023-12-31", "2023-01-01"]),
        ({"within": Within(days=3)}, ["2026-11-23", "2026-11-22", "2026-11-21"]),
        ({"within": Within(days=3, hours=1)}, ["2026-11-23", "2026-11-22", "2026-11-21", "2026-11-20"]),
        (
            {"daily": 7, "weekly": 5, "monthly": 3, "yearly": 3},
            [
                *LAST_WEEK,
                *("2026-11-15", "2026-11-08", "2026-11-01"),
                *("2026-10-31", "2026-09-30"),
                *("2025-12-31", "2024-12-31"),
            ],
        ),
    ],
    ids=str,
)
def test_of_nightly_snapshots_over_four_years_a_policy_keeps(policy: dict[str, int], expected: list[str]) -> None:
    made = nights("2023-01-01", "2026-11-23")
    assert kept(replace(IN_UTC, **policy), made) == expected  # type: ignore[arg-type]


def test_forgetting_every_night_keeps_in_the_end_what_forgetting_once_keeps() -> None:
    policy = replace(IN_UTC, daily=7, weekly=5, monthly=12, yearly=3)
    made = nights("2022-06-01", "2026-11-23")
    there: list[tuple[str, datetime]] = []
    for night in made:
        there.append(night)
        stay = set(kept(policy, there))
        there = [one for one in there if one[0] in stay]
        assert len(there) <= 7 + 5 + 12 + 3 + 1
    assert sorted(name for name, _ in there) == sorted(kept(policy, made))


def test_the_last_week_of_a_year_of_53_weeks_goes_on_into_january() -> None:
    assert kept(replace(IN_UTC, weekly=4), nights("2020-12-01", "2021-01-12")) == [
        "2021-01-12",
        "2021-01-10",
        "2021-01-03",
        "2020-12-27",
    ]
    # 29 December 2025 to 4 January 2026 is one week, the first of 2026.
    assert kept(replace(IN_UTC, weekly=3), nights("2025-12-20", "2026-01-10"))[1:] == ["2026-01-04", "2025-12-28"]


def test_months_end_on_the_day_they_end_also_in_a_leap_year() -> None:
    policy = replace(IN_UTC, monthly=4)
    assert kept(policy, nights("2024-01-15", "2024-04-02")) == ["2024-04-02", "2024-03-31", "2024-02-29", "2024-01-31"]
    assert kept(policy, nights("2025-01-15", "2025-04-02"))[2] == "2025-02-28"
    assert kept(replace(IN_UTC, yearly=2), nights("2024-02-01", "2025-02-28")) == ["2025-02-28", "2024-12-31"]


@pytest.mark.parametrize(
    ("newest", "within", "since"),
    [
        ("2026-03-31T12:00Z", "1m", "2026-03-03T12:00Z"),
        ("2024-03-31T12:00Z", "1m", "2024-03-02T12:00Z"),
        ("2024-02-29T12:00Z", "1y", "2023-03-01T12:00Z"),
        ("2024-02-29T12:00Z", "4y", "2020-02-29T12:00Z"),
        ("2026-01-15T12:00Z", "1m", "2025-12-15T12:00Z"),
        ("2026-03-01T12:00Z", "1d", "2026-02-28T12:00Z"),
        ("2024-03-01T12:00Z", "1d", "2024-02-29T12:00Z"),
        ("2026-11-23T12:00Z", "2y5m7d3h", "2024-06-16T09:00Z"),
        ("2026-11-23T12:00Z", "13m", "2025-10-23T12:00Z"),
        ("2026-11-23T12:00Z", "25h", "2026-11-22T11:00Z"),
        ("2026-11-23T12:00Z", "9999y", "0001-01-01T00:00Z"),
    ],
)
def test_within_goes_back_by_the_calendar_and_its_bound_is_out(newest: str, within: str, since: str) -> None:
    bound = datetime.fromisoformat(since)
    assert Within.parse(within).before(datetime.fromisoformat(newest), UTC) == bound
    if bound.year > 1:
        made = [at(newest), ("after", bound + timedelta(seconds=1)), ("bound", bound)]
        assert kept(replace(IN_UTC, within=Within.parse(within)), made) == [newest, "after"]


def test_days_are_those_of_the_time_zone_when_clocks_go_back() -> None:
    made = [at("2026-10-24T22:30Z"), at("2026-10-25T22:30Z"), at("2026-10-25T23:30Z"), at("2026-10-20T12:00Z")]
    # In Berlin 25 October 2026 has 25 hours: 00:30 and 23:30 of it, and 00:30 of the 26th.
    assert kept(Policy(daily=2, zone=BERLIN), made) == ["2026-10-25T23:30Z", "2026-10-25T22:30Z"]
    assert kept(Policy(daily=2, zone=UTC), made) == ["2026-10-25T23:30Z", "2026-10-24T22:30Z"]


def test_the_hour_that_clocks_show_twice_is_of_one_day_and_in_order() -> None:
    made = [at("2026-10-25T00:30Z"), at("2026-10-25T01:30Z"), at("2026-10-01T00:00Z")]
    assert kept(Policy(daily=1, zone=BERLIN), made) == ["2026-10-25T01:30Z"]
    assert kept(Policy(last=2, zone=BERLIN), made) == ["2026-10-25T01:30Z", "2026-10-25T00:30Z"]


def test_a_day_back_over_the_change_of_clocks_is_a_day_and_24_hours_are_24_hours() -> None:
    # Noon in Berlin, on the day that lost an hour; the noon before was 23 hours ago.
    made = [at("2026-03-29T10:00Z"), at("2026-03-28T11:30Z"), at("2026-03-28T10:30Z"), at("2026-01-01T00:00Z")]
    assert kept(Policy(within=Within(days=1), zone=BERLIN), made) == ["2026-03-29T10:00Z", "2026-03-28T11:30Z"]
    assert len(kept(Policy(within=Within(hours=24), zone=BERLIN), made)) == 3
    assert len(kept(Policy(within=Within(days=1), zone=UTC), made)) == 3


def test_without_a_time_zone_days_are_those_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    made = [at("2026-07-01T22:30Z"), at("2026-07-01T21:30Z"), at("2026-06-01T00:00Z")]
    try:
        for zone, expected in [("Europe/Berlin", 2), ("UTC", 1)]:
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert len([one for one in kept(Policy(daily=2), made) if one.startswith("2026-07")]) == expected
        monkeypatch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        assert Within(days=1).before(at("2026-03-29T10:00Z")[1], None) == at("2026-03-28T11:00Z")[1]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_newest_of_a_day_is_kept_and_the_oldest_of_all_while_counts_are_left() -> None:
    made = [at("2026-11-23T08:00Z"), at("2026-11-23T07:00Z"), at("2026-11-22T08:00Z"), at("2026-11-22T07:00Z")]
    assert reasons(replace(IN_UTC, daily=5), made) == {
        "2026-11-23T08:00Z": "daily",
        "2026-11-23T07:00Z": "daily: not the newest of its day",
        "2026-11-22T08:00Z": "daily",
        "2026-11-22T07:00Z": "oldest daily",
    }
    assert kept(replace(IN_UTC, daily=2), made) == ["2026-11-23T08:00Z", "2026-11-22T08:00Z"]


def test_each_snapshot_is_told_every_rule_that_keeps_it_or_why_none_does() -> None:
    policy = replace(IN_UTC, last=1, daily=2, monthly=2, within=Within.parse("2d"))
    told = reasons(policy, nights("2026-10-28", "2026-11-03"))
    assert told["2026-11-03"] == "last, daily, monthly, within 2d"
    assert told["2026-11-02"] == "daily, within 2d"
    assert told["2026-10-31"] == "monthly"
    assert told["2026-10-30"] == "last: 1 newer kept, daily: 2 newer kept, monthly: 2 newer kept, older than 2d"


@pytest.mark.parametrize("policy", [{"daily": 2}, {"last": 2}, {"within": Within(days=1)}], ids=str)
@pytest.mark.parametrize("wrong", ["2031-01-01T00:00Z", "2001-01-01T00:00Z", "2026-11-23T12:00Z"])
def test_a_snapshot_with_a_wrong_date_is_kept_and_no_rule_counts_it(policy: dict[str, Any], wrong: str) -> None:
    made = [at("2026-11-23T00:00Z"), at("2026-11-22T12:00Z"), at("2026-11-01T00:00Z")]
    asked = replace(IN_UTC, **policy)
    assert set(kept(asked, [*made, at(wrong)], apart=[wrong])) == {*kept(asked, made), wrong}


def test_the_newest_is_kept_also_when_its_date_is_the_oldest() -> None:
    made = [at("2026-11-23T00:00Z"), at("2026-11-22T00:00Z"), at("2026-11-22T01:00Z"), at("2026-11-20T00:00Z")]
    assert kept(replace(IN_UTC, daily=1), made, newest="2026-11-22T00:00Z") == [
        "2026-11-23T00:00Z",
        "2026-11-22T00:00Z",
    ]
    (told,) = [
        one for one in apply(replace(IN_UTC, last=1), made, newest="2026-11-20T00:00Z") if one.snapshot[8:10] == "20"
    ]
    assert told.reasons == ("the newest, whatever its date",)


@pytest.mark.parametrize("text", ["", "30", "d", "30d5y", "1w", "5s", "-3d", "3 d", "3d3d", "½d"])
def test_what_is_no_stretch_of_time_is_refused(text: str) -> None:
    with pytest.raises(WrongUsage, match=f"“{text}” is no stretch of time"):
        Within.parse(text)


@pytest.mark.parametrize("policy", [Policy(), Policy(within=Within.parse("0d")), Policy(zone=BERLIN)])
def test_a_policy_without_a_rule_is_refused(policy: Policy) -> None:
    assert policy.is_empty
    with pytest.raises(WrongUsage, match=r"--keep-last, --keep-daily, .* or --keep-within"):
        apply(policy, [at("2026-11-23T00:00Z")])


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(WrongUsage, match="all of them"):
        Policy(daily=-2)


MOMENTS = st.lists(
    st.datetimes(datetime(2019, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)), min_size=1, max_size=60
).map(lambda moments: [(f"{number:03d}", moment) for number, moment in enumerate(sorted(moments))])
COUNTS = st.integers(-1, 12)
POLICIES = st.builds(
    Policy,
    last=COUNTS,
    daily=COUNTS,
    weekly=COUNTS,
    monthly=COUNTS,
    yearly=COUNTS,
    within=st.builds(Within, st.integers(0, 2), st.integers(0, 14), st.integers(0, 40), st.integers(0, 50)),
    zone=st.sampled_from([UTC, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Pacific/Apia")]),
).filter(lambda policy: not policy.is_empty)


@settings(max_examples=300, deadline=None)
@given(POLICIES, MOMENTS)
def test_no_policy_removes_the_newest_snapshot_and_what_it_keeps_it_keeps_again(
    policy: Policy, made: list[tuple[str, datetime]]
) -> None:
    stay = kept(policy, made)
    assert stay[0] == made[-1][0]
    assert kept(policy, [one for one in made if one[0] in stay]) == stay


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 70), MOMENTS)
def test_keep_last_keeps_that_many_or_all(count: int, made: list[tuple[str, datetime]]) -> None:
    assert kept(Policy(last=count, zone=UTC), made) == [name for name, _ in reversed(made)][:count]


@settings(max_examples=300, deadline=None)
@given(POLICIES, MOMENTS, st.sampled_from(["last", "daily", "weekly", "monthly", "yearly"]))
def test_a_larger_count_keeps_no_less(policy: Policy, made: list[tuple[str, datetime]], rule: str) -> None:
    stay = set(kept(policy, made))
    count = getattr(policy, rule)
    for more in (UNLIMITED if count == UNLIMITED else count + 1, UNLIMITED):
        larger: dict[str, Any] = {rule: more}
        assert stay <= set(kept(replace(policy, **larger), made))
