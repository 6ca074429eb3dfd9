"""Requests to Databricks keep to its rates, and find them again after it refuses."""

import pytest

from runsync.threads import Stop
from runsync.workspaces.databricks.rates import RATES, Rates, endpoint_class

LOG = ("POST", "/api/2.0/mlflow/runs/log-batch")
SEARCH = ("POST", "/api/2.0/mlflow/runs/search")
NEVER = Stop()


class Clock:
    """Time that passes only in sleeping."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/api/2.0/mlflow/experiments/search", "experiments"),
        ("GET", "/api/2.0/mlflow/experiments/get-by-name", "tracking"),
        ("POST", "/api/2.0/mlflow/runs/search", "runs-search"),
        ("POST", "/api/2.0/mlflow/runs/log-batch", "log-batch"),
        ("GET", "/api/2.0/mlflow/metrics/get-history", "tracking"),
        ("POST", "/api/2.0/mlflow/logged-models/search", "models-search"),
        ("GET", "/api/2.0/mlflow/registered-models/search", "registry"),
        ("POST", "/api/2.0/mlflow/unity-catalog/model-versions/create", "registry"),
        ("GET", "/api/2.0/permissions/experiments/1", "permissions-get"),
        ("PATCH", "/api/2.0/permissions/experiments/1", "permissions-write"),
        ("GET", "/api/2.0/dbfs/read", "dbfs"),
        ("GET", "/api/2.0/preview/scim/v2/Me", ""),
    ],
)
def test_each_endpoint_has_its_own_rate(method: str, path: str, name: str) -> None:
    assert endpoint_class(method, path) == name


def test_nearly_all_of_the_documented_rate_is_used_and_no_more() -> None:
    clock = Clock()
    rates = Rates(now=clock.now, sleep=clock.sleep)
    for _ in range(10_000):
        rates.take(*LOG, NEVER)
    seconds = clock.now() - 1000
    assert 0.95 * RATES["log-batch"] < 10_000 / seconds <= RATES["log-batch"]


def test_one_class_does_not_wait_for_another() -> None:
    clock = Clock()
    rates = Rates(now=clock.now, sleep=clock.sleep)
    rates.refused(*SEARCH, 30.0)
    rates.take(*LOG, NEVER)
    assert clock.now() == 1000
    rates.take(*SEARCH, NEVER)
    assert clock.now() == 1030


@pytest.mark.parametrize(("asked", "pause"), [(7.0, 7.0), (None, 1.0)])
def test_a_refusal_is_waited_out_as_long_as_it_says_or_a_second(asked: float | None, pause: float) -> None:
    clock = Clock()
    rates = Rates(now=clock.now, sleep=clock.sleep)
    rates.granted(*LOG)
    assert rates.refused(*LOG, asked)
    rates.take(*LOG, NEVER)
    assert clock.now() == pytest.approx(1000 + pause)


def test_a_lower_rate_than_documented_is_found_with_few_refusals() -> None:
    clock = Clock()
    rates = Rates(now=clock.now, sleep=clock.sleep)
    granted = refused = 0
    tokens, at = 20.0, clock.now()
    while clock.now() < 1000 + 600:
        rates.take(*LOG, NEVER)
        tokens, at = min(20.0, tokens + (clock.now() - at) * 20), clock.now()
        if tokens >= 1:
            tokens, granted = tokens - 1, granted + 1
            rates.granted(*LOG)
        else:
            refused += 1
            rates.refused(*LOG, None)
    assert granted / 600 > 0.85 * 20
    assert refused / (granted + refused) < 0.01


def test_after_a_storm_the_documented_rate_is_found_again() -> None:
    clock = Clock()
    rates = Rates(now=clock.now, sleep=clock.sleep)
    for _ in range(100):
        rates.take(*LOG, NEVER)
        rates.refused(*LOG, 5.0)
    assert rates.rate(*LOG) < 0.3 * RATES["log-batch"]
    begun = clock.now()
    while clock.now() < begun + 600:
        rates.take(*LOG, NEVER)
        rates.granted(*LOG)
    assert rates.rate(*LOG) > 0.95 * RATES["log-batch"]


def test_there_is_hope_only_while_others_get_through() -> None:
    clock = Clock()
    rates = Rates(now=clock.now, sleep=clock.sleep)
    assert not rates.refused(*LOG, 1.0)
    rates.granted(*LOG)
    assert rates.refused(*LOG, 1.0)
    clock.sleep(120)
    assert not rates.refused(*LOG, 1.0)


def test_what_waits_ends_when_all_is_stopped() -> None:
    rates = Rates()
    rates.refused(*LOG, 300.0)
    stopped = Stop()
    stopped.set()
    rates.take(*LOG, stopped)
