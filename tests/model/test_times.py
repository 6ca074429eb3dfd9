"""Points in time as people write them."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runsync.errors import WrongUsage
from runsync.model.times import iso, parse_time

NOW = datetime(2026, 11, 8, 12, tzinfo=UTC)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01", "2026-11-01T00:00:00+00:00"),
        (" 2026-11-01 ", "2026-11-01T00:00:00+00:00"),
        ("2026-11-01T12:00:00Z", "2026-11-01T12:00:00+00:00"),
        ("2026-11-01T12:00Z", "2026-11-01T12:00:00+00:00"),
        ("2026-11-01 12:00:00+01:00", "2026-11-01T11:00:00+00:00"),
        ("2026-11-01T12:00:00.250Z", "2026-11-01T12:00:00.250000+00:00"),
        ("7d", "2026-11-01T12:00:00+00:00"),
        ("1w", "2026-11-01T12:00:00+00:00"),
        ("36h", "2026-11-07T00:00:00+00:00"),
        ("90m", "2026-11-08T10:30:00+00:00"),
        ("30 s", "2026-11-08T11:59:30+00:00"),
        ("1.5h", "2026-11-08T10:30:00+00:00"),
        ("500ms", "2026-11-08T11:59:59.500+00:00"),
        ("0d", "2026-11-08T12:00:00+00:00"),
    ],
)
def test_a_time_is_read(text: str, expected: str) -> None:
    assert parse_time(text, NOW) == round(datetime.fromisoformat(expected).timestamp() * 1000)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "7", "d", "-7d", "7y", "2026-13-01", "2026-02-30", "25:00", "1761998400000", "7dd"],
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(WrongUsage, match="write 2026-11-01"):
        parse_time(text, NOW)


@pytest.mark.parametrize("text", ["2026-11-01T12:00", "2026-11-01 12:00:00", "20261101T120000"])
def test_a_time_of_day_without_a_zone_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(WrongUsage, match=r"has no time zone: write .*Z for UTC"):
        parse_time(text, NOW)


@pytest.mark.parametrize("text", ["99999999999d", "9999999w", "99999999999999999999s"])
def test_a_time_before_all_time_is_refused_and_no_crash(text: str) -> None:
    with pytest.raises(WrongUsage):
        parse_time(text, NOW)


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with suppress(WrongUsage):
        assert isinstance(parse_time(text, NOW), int)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=ZONES))
def test_a_moment_in_any_zone_is_the_same_moment_to_the_millisecond(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    exact = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_time(moment.isoformat()) == exact


@given(st.integers(0, 4_102_444_800))
def test_what_is_shown_reads_back_to_the_second(seconds: int) -> None:
    assert parse_time(iso(seconds * 1000 + 999)) == seconds * 1000


def test_a_time_that_is_not_there_is_a_dash() -> None:
    assert iso(None) == "–"
