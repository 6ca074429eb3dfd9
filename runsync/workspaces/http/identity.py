"""Who we are to a server, where that takes more than its plain credentials."""

from typing import Protocol

import requests


class Identity(Protocol):
    """Says who we are on each request, where that changes: a token that expires, a signature."""

    kind: str
    """In what way."""

    @property
    def told(self) -> str:
        """In what way, and with what, for people: without a secret."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds what lets a request in (see `requests.auth.AuthBase`)."""

    def renew(self, response: requests.Response) -> bool:
        """After an answer: whether it is a refusal after which another try makes sense. May raise AccessDenied."""
