"""Who we are to a hosted workspace: headers for each request, renewed before they expire and when refused."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock

import requests
from requests.auth import AuthBase

from runsync.secrecy import keep_header

EARLY = 120.0
"""Seconds before its end from which on a token is not used any more; of one that lives shortly, half of its life."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Headers that let us in, and when they are to be renewed (seconds since the epoch)."""

    headers: Mapping[str, str] = field(repr=False)
    renew_at: float = float("inf")

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            if name == "Authorization" or name.endswith("-Token"):
                keep_header(value)


def renewal(asked_at: float, lifetime: float) -> float:
    """When a token that was asked for at that time, and lives so many seconds, is to be renewed."""
    return asked_at + max(lifetime / 2, lifetime - EARLY)


class Authority(AuthBase):
    """Puts the headers of the newest grant on each request. Safe for many threads."""

    def __init__(self, kind: str, fetch: Callable[[], Grant], clock: Callable[[], float] = time.time) -> None:
        self.kind = kind
        self._fetch = fetch
        self._clock = clock
        self._grant: Grant | None = None
        self._lock = Lock()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """See `requests.auth.AuthBase`."""
        request.headers.update(self._current().headers)
        return request

    @property
    def told(self) -> str:
        """See `http.Identity`."""
        return f"logged in by {self.kind}"

    def renew(self, response: requests.Response) -> bool:
        """After a refusal: whether another try makes sense, with headers that are newer than those refused."""
        if response.status_code not in (401, 403) or not _is_about_the_token(response):
            return False
        with self._lock:
            grant = self._grant
            if grant is None or grant.headers.get("Authorization") != response.request.headers.get("Authorization"):
                return True
            if grant.renew_at == float("inf"):
                return False
            self._grant = None
        return True

    def _current(self) -> Grant:
        with self._lock:
            if self._grant is None or self._grant.renew_at <= self._clock():
                self._grant = self._fetch()
            return self._grant


def _is_about_the_token(response: requests.Response) -> bool:
    """401; or 403 with the number 403 for an error code, which is how Databricks refuses a token (not a right)."""
    if response.status_code == 401:
        return True
    try:
        return bool(response.json().get("error_code") == 403)
    except (ValueError, AttributeError):
        return False
