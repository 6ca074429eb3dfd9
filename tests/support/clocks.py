"""The clock of this machine, as a test sets it."""

from datetime import UTC, datetime, timedelta

import pytest

from runsync.model import times

TODAY = datetime(2026, 11, 30, 2, 15, tzinfo=UTC)


class Clock:
    """What `times.utc_now` tells: `now`, until the test sets it anew. It goes on by a second each time it is read."""

    def __init__(self, patch: pytest.MonkeyPatch, now: datetime = TODAY) -> None:
        self.now = now
        patch.setattr(times, "utc_now", self._read)

    def _read(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def set(self, days: float) -> None:
        """So many days from TODAY."""
        self.now = TODAY + timedelta(days=days)
