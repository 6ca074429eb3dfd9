"""Makes `examples/mlruns`: a file store as MLflow 2 left them on many disks, moved here from somebody's home folder.

    python examples/make_mlruns.py examples/mlruns

Run by the Python of an MLflow 2 installation. Ids and times are new each time; all else stays the same.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TRAIN = Path(__file__).resolve().parent / "demo" / "train.py"
HOME = "/home/ada/churn"
"""Where its records say that it is: the folder has been moved since, as such folders are."""


def main(destination: Path) -> None:
    with tempfile.TemporaryDirectory() as made:
        store = Path(made) / "mlruns"
        shutil.copy(TRAIN, made)
        environment = {**os.environ, "MLFLOW_TRACKING_URI": store.as_uri(), "LOGNAME": "ada"}
        subprocess.run([sys.executable, TRAIN.name, "--no-models"], env=environment, cwd=made, check=True)
        for file in store.rglob("meta.yaml"):
            text = file.read_text(encoding="utf-8").replace(made, HOME)
            file.write_text(text, encoding="utf-8")
        twice = min(store.glob("*/*/metrics/train/loss"))
        first, *rest = twice.read_text(encoding="utf-8").splitlines(keepends=True)
        twice.write_text(first + first + "".join(rest), encoding="utf-8")  # logged twice: `mlflow` itself writes this
        shutil.rmtree(destination, ignore_errors=True)
        shutil.copytree(store, destination)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
