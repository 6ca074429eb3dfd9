"""What a client does with an answer before it gives it back, with a transport that answers as it is told."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import BaseAdapter

from runsync.errors import AccessDenied, RequestRefused
from runsync.patience import Patience
from runsync.threads import Stop
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.http import Client

SOON = {"Retry-After": "0"}


class Transport(BaseAdapter):
    """Answers with these statuses, one after the other, and remembers what was sent."""

    def __init__(self, *statuses: int, headers: Mapping[str, str] = SOON) -> None:
        super().__init__()
        self.statuses = list(statuses)
        self.headers = headers
        self.sent: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        self.sent.append(request)
        response = requests.Response()
        response.status_code = self.statuses.pop(0)
        response.headers.update(self.headers)
        response.raw = urllib3.HTTPResponse(BytesIO(b"{}"), self.headers, response.status_code, preload_content=False)
        response.request, response.url = request, str(request.url)
        return response

    def close(self) -> None:
        """Nothing is held open."""


class Login:
    """A token that has ended, until it is renewed."""

    kind = told = "a token"

    def __init__(self) -> None:
        self.renewed = 0

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.renewed}"
        return request

    def renew(self, response: requests.Response) -> bool:
        self.renewed += response.status_code == 401
        return response.status_code == 401


class Steps:
    """A pace that goes on after a refusal, and tells what it heard."""

    def __init__(self, goes_on: Sequence[bool] = ()) -> None:
        self.heard: list[str] = []
        self._goes_on = list(goes_on)

    def take(self, method: str, path: str, stopped: Stop) -> None:
        self.heard.append("take")

    def refused(self, method: str, path: str, retry_after: float | None) -> bool:
        self.heard.append(f"refused {retry_after:.0f}")
        return self._goes_on.pop(0)

    def granted(self, method: str, path: str) -> None:
        self.heard.append("granted")


def client(transport: Transport, **more: Any) -> Client:
    return Client(
        "http://server.test/mlflow", Credentials(), patience=Patience(seconds=60), transport=transport, **more
    )


def test_what_fails_for_a_while_is_sent_again() -> None:
    transport = Transport(503, 429, 200)
    asking = client(transport)
    assert asking.get("/json") == {}
    assert (asking.requests, [request.url for request in transport.sent]) == (3, ["http://server.test/mlflow/json"] * 3)


def test_what_must_not_be_done_twice_is_sent_again_only_where_it_was_not_done() -> None:
    transport = Transport(429, 503)
    with pytest.raises(RequestRefused, match="503"):
        client(transport).post("/runs/create", {}, retry=False)
    assert len(transport.sent) == 2


def test_a_login_that_has_ended_is_renewed_once() -> None:
    transport, login = Transport(401, 200), Login()
    assert client(transport, identity=login).get("/json") == {}
    assert [request.headers["Authorization"] for request in transport.sent] == ["Bearer 0", "Bearer 1"]
    refused = Transport(401, 401)
    with pytest.raises(AccessDenied):
        client(refused, identity=Login()).get("/json")
    assert len(refused.sent) == 2


def test_a_pace_hears_of_every_answer_and_takes_up_refusals() -> None:
    steps = Steps([True, False])
    transport = Transport(429, 429, 200, headers={"Retry-After": "0"})
    assert client(transport, pace=steps).get("/json") == {}
    assert steps.heard == ["take", "refused 0", "take", "refused 0", "take", "granted"]
