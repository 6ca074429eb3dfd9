"""Points in time as people write them."""

import re
import time
from datetime import UTC, datetime, timedelta

from runsync.errors import WrongUsage

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """Of `90s`, `5m`, `2h`, `7d` or `1w`. Raises WrongUsage for anything else."""
    found = _AGO.fullmatch(text.strip())
    if not found:
        raise WrongUsage(f"“{text}” is no duration: write 90s, 5m, 2h, 7d or 1w")
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError:
        raise WrongUsage(f"“{text}” is longer than all time") from None


def parse_seconds(text: str) -> float:
    """The same, in seconds."""
    return parse_duration(text).total_seconds()


def parse_time(text: str, now: datetime | None = None) -> int:
    """Epoch milliseconds of `2026-11-01T12:00:00Z`, `2026-11-01` (midnight UTC) or `7d` (that long ago).

    Raises WrongUsage for anything else, and for a time of day without a zone.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        now = now or datetime.now(UTC)
        try:
            return _milliseconds(now - timedelta(**{_UNITS[ago[2]]: float(ago[1])}))
        except OverflowError:
            raise WrongUsage(f"“{text}” is before all time") from None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise WrongUsage(
            f"“{text}” is no time: write 2026-11-01, 2026-11-01T12:00:00+01:00, or 7d for a week ago"
        ) from None
    if moment.tzinfo is None:
        if len(text.strip()) > len("2026-11-01"):
            raise WrongUsage(f"“{text}” has no time zone: write {text.strip()}Z for UTC, or +01:00 after it")
        moment = moment.replace(tzinfo=UTC)
    return _milliseconds(moment)


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def iso(milliseconds: int | None, precision: str = "seconds") -> str:
    """Epoch milliseconds as ISO 8601 in UTC; "–" for None, and the number where no calendar reaches."""
    if milliseconds is None:
        return "–"
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return str(milliseconds)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def duration(milliseconds: int) -> str:
    """1.5s, 2m 3s, 1h 2m, 3d 4h."""
    seconds = milliseconds / 1000
    if abs(seconds) < 60:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, below, size in (("m", "s", 60), ("h", "m", 3600), ("d", "h", 86400)):
        if abs(whole) < size * (60 if unit == "m" else 24) or unit == "d":
            return f"{whole // size}{unit} {whole % size // {'m': 1, 'h': 60, 'd': 3600}[unit]}{below}"
    raise AssertionError


def now() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def utc_now() -> datetime:
    """What this machine's clock says. Whatever dates a snapshot, or judges a date, asks here."""
    return datetime.now(UTC)
