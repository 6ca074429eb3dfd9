"""What doctor tells of a workspace, for the tests of hosted ones."""

import json
import re
from collections.abc import Mapping

from conftest import Runner


def examined(runsync: Runner, where: str, env: Mapping[str, str], code: int = 0) -> dict[str, list[str]]:
    """What doctor finds, by topic: state, words, and what to do."""
    done = runsync("doctor", where, "--json", env={**env, "RUNSYNC_PATIENCE": "1"})
    assert done.returncode == code, done.stdout + done.stderr
    told: dict[str, list[str]] = {}
    for found in json.loads(done.stdout)["findings"]:
        told.setdefault(found["topic"], []).append(f"{found['state']}: {found['told']} → {found['remedy']}")
    return told


def names_a_run(told: str) -> bool:
    """Whether a file of a run was read; which run is open, as those of other tests on a shared server may be as new."""
    return re.search(r"one of run [0-9a-f]{32} was read", told) is not None
