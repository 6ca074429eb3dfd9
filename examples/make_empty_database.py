"""Makes `examples/demo/empty-mlflow-3.17.sql`: the tables of an MLflow database, with nothing in them.

    python examples/make_empty_database.py examples/demo/empty-mlflow-3.17.sql

Run by the Python of an MLflow installation, whose version gives the tables.
"""

import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path


def main(destination: Path) -> None:
    with tempfile.TemporaryDirectory() as made:
        file = Path(made) / "mlflow.db"
        subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{file}"], check=True)
        with closing(sqlite3.connect(file)) as database:
            destination.write_text("\n".join(database.iterdump()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
