"""What MLflow 3's own client does with traces: see `mlflow_traces`."""

import json
from pathlib import Path
from typing import Any

from conftest import executable

from support import forks
from support.forks import clean_environment

SCRIPT = Path(__file__).with_name("mlflow_traces.py")


def client(*arguments: str, folder: Path = SCRIPT.parent) -> Any:
    """What the script answers."""
    environment = clean_environment() | forks.QUIET | {"MLFLOW_ALLOW_FILE_STORE": "true"}
    done = forks.run(executable("3"), [str(SCRIPT), *arguments], environment, folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])
