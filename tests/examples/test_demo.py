"""What a newcomer types first works: `make demo` and `make demo-servers`, without the set-up."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT, executable


@pytest.mark.parametrize(
    ("demo", "verified"),
    [
        ("demo.py", "Everything is there."),
        # Of some kinds a server tells for one experiment at a time, if at all.
        pytest.param("demo_servers.py", "Everything that was compared is there.", marks=pytest.mark.slow),
    ],
)
@pytest.mark.long
def test_a_demo_goes_to_its_end(demo: str, verified: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo" / demo)],
        env=os.environ | {"RUNSYNC_TEST_MLFLOW_3": str(executable("3"))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert verified in done.stdout
    assert "# Everything is removed now." in done.stdout
