"""What a target must permit is told before anything is promoted."""

from pathlib import Path

import pytest
from conftest import Runner
from support import proxy as faults
from support.proxy import FaultProxy, Rule

import runsync
from promotion.conftest import Registry
from runsync.transfer.doctor import PROMOTE


@pytest.mark.parametrize("place", ["prod", pytest.param("served", marks=pytest.mark.server)])
def test_what_a_target_permits_is_told(place: str, request: pytest.FixtureRequest) -> None:
    registry: Registry = request.getfixturevalue(place)
    findings = {finding.topic: finding for finding in runsync.doctor(registry.url, purpose=PROMOTE).findings}
    assert (findings["registry"].state, findings["aliases"].state) == ("ok", "ok")
    assert "registry" not in {finding.topic for finding in runsync.doctor(registry.url).findings}


def test_what_a_target_does_not_permit_is_told_before_anything_is_written(carried: Path, served: Registry) -> None:
    with FaultProxy(served.url, Rule(faults.respond(403), "registered-models/search", count=None)) as proxy:
        told = {finding.topic: finding.state for finding in runsync.doctor(proxy.url, purpose=PROMOTE).findings}
        with pytest.raises(runsync.RunsyncError, match="its registered models cannot be read") as error:
            runsync.promote(str(carried), proxy.url, model="churn/1", to_model="refused")
    assert (told["registry"], error.value.exit_code) == ("failure", 13)
    with pytest.raises(runsync.RunsyncError, match="no registered model “refused”"):
        runsync.show_model(served.url, "refused")


def test_a_bundle_takes_no_model(carried: Path, runsync: Runner) -> None:
    done = runsync("doctor", carried, "--for", "promote")
    assert (done.returncode, "is a bundle, and no workspace" in done.stderr) == (2, True)
