"""The emulator's rates on simulated time, and the faults that it can have."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from emulators.calls import Caller
from emulators.databricks import Databricks, FasterClock, Fault, SimulatedClock, too_many


def test_a_class_of_endpoints_answers_so_many_requests_a_second() -> None:
    clock = SimulatedClock()
    with Databricks(clock=clock, rates={"experiments": 7}) as workspace:
        call = Caller(workspace)
        statuses = [call("POST", "experiments/search", json={}).status_code for _ in range(10)]
        assert statuses == [200] * 7 + [429] * 3
        refused = call("POST", "experiments/search", json={})
        assert refused.headers["Retry-After"] == "1"
        assert refused.json()["error_code"] == "RESOURCE_EXHAUSTED"
        clock.advance(0.5)
        statuses = [call("POST", "experiments/search", json={}).status_code for _ in range(4)]
        assert statuses == [200] * 3 + [429]
        usage = workspace.rates.usage("experiments")
        assert (usage.granted, usage.refused, usage.seconds) == (10, 5, 0.5)
        assert usage.share_used == pytest.approx(10 / 10.5)
        assert usage.share_refused == pytest.approx(1 / 3)


def test_a_workspace_may_leave_out_when_to_try_again() -> None:
    with Databricks(clock=SimulatedClock(), rates={"experiments": 1}, retry_after=False) as workspace:
        answers = [Caller(workspace)("POST", "experiments/search", json={}) for _ in range(2)]
        assert answers[1].status_code == 429
        assert "Retry-After" not in answers[1].headers


def test_threads_that_keep_to_a_rate_use_all_of_it_in_little_real_time() -> None:
    clock = SimulatedClock()
    with Databricks(clock=clock, rates={"log-batch": 47}, burst_seconds=0.1) as workspace:
        call = Caller(workspace)
        run = call.run(call.experiment())
        lock, planned = threading.Lock(), [clock.now()]

        def send(number: int) -> int:
            with lock:
                planned[0] = max(planned[0], clock.now()) + 1 / 46
                wait = planned[0] - clock.now()
            clock.sleep(wait)
            point = {"key": "m", "value": number, "timestamp": number}
            return call("POST", "runs/log-batch", json={"run_id": run, "metrics": [point]}).status_code

        began = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(send, range(470)))
        usage = workspace.rates.usage("log-batch")
        assert statuses.count(429) == usage.refused == 0
        assert usage.share_used > 0.9
        assert usage.seconds == pytest.approx(10, rel=0.1)
        assert time.monotonic() - began < 300


def test_time_can_pass_faster_for_clients_with_real_clocks() -> None:
    clock = FasterClock(100)
    began = clock.now()
    clock.sleep(2)
    assert 2 <= clock.now() - began < 20


def test_a_storm_of_429_comes_and_goes(call: Caller) -> None:
    fault = call.workspace.faults.add(too_many("POST *experiments/search", times=2, retry_after=7, skip=1))
    answers = [call("POST", "experiments/search", json={}) for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 429, 429, 200]
    assert answers[1].headers["Retry-After"] == "7"
    assert fault.met == 2
    assert call.workspace.count("/api/2.0/mlflow/experiments/search") == 4


def test_a_connection_drops_before_or_after_the_work_is_done(call: Caller) -> None:
    experiment = call.experiment()
    for kind, done in (("drop", 0), ("lose", 1)):
        call.workspace.faults.add(Fault(kind, "*runs/create"))  # type: ignore[arg-type]
        with pytest.raises(requests.ConnectionError):
            call("POST", "runs/create", json={"experiment_id": experiment})
        assert len(call.workspace.tracking.runs) == done


def test_errors_are_sent_and_answers_come_late(call: Caller) -> None:
    call.workspace.faults.add(Fault("status", "*experiments/search", status=500))
    assert call.refused("experiments/search") == (500, "INTERNAL_ERROR", "An internal error occurred.")
    call.workspace.faults.add(Fault("slow", "*experiments/search", seconds=0.2))
    began = time.monotonic()
    call.post("experiments/search")
    assert time.monotonic() - began >= 0.2


def test_half_of_a_batch_can_be_written(call: Caller) -> None:
    run = call.run(call.experiment())
    points = [{"key": "m", "value": number, "timestamp": number} for number in range(10)]
    call.workspace.faults.add(Fault("partial", "*log-batch"))
    assert call.refused("runs/log-batch", run_id=run, metrics=points)[0] == 500
    assert len(call.get("metrics/get-history", run_id=run, metric_key="m")["metrics"]) == 5
    call.post("runs/log-batch", run_id=run, metrics=points)
    assert len(call.get("metrics/get-history", run_id=run, metric_key="m")["metrics"]) == 10


def test_what_was_asked_is_told_afterwards(call: Caller) -> None:
    call.experiment()
    seen = call.workspace.requests[-1]
    assert seen.endpoint == "POST /api/2.0/mlflow/experiments/create"
    assert (seen.status, seen.user, seen.code) == (200, "ana@example.com", None)
