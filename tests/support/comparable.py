"""Bundles of runs that are worth comparing, some of them with hostile names, made without a server."""

import math
import random
from pathlib import Path
from typing import Any

from runsync.model.experiment import Experiment
from runsync.testing.memory import START, MemorySource, run_with_metrics
from support.memory import export_into

HOSTILE = '</script><script>window.broken = 1</script><img src=x onerror="window.broken = 1">'


def hex_id(number: int) -> str:
    """The id of run `number`."""
    return f"{number:032x}"


def hostile_bundle(folder: Path) -> Path:
    """Three runs; names, params, tags, metric keys and the experiment try to break out of a page or a terminal."""
    runs, points = [], {}
    for number, (lr, auc) in enumerate([("0.1", 0.5), ("0.01", 0.9), ("0.001", math.nan)]):
        run_id = hex_id(number)
        points[run_id] = {
            "auc": [(step, START + step * 500, auc * (step / 9)) for step in range(10)],
            "val_loss": [(step, START + step * 500, (number + 1) / (step + 1)) for step in range(10)],
            HOSTILE: [(0, START, float(number))],
        }
        runs.append(
            run_with_metrics(
                run_id,
                points[run_id],
                name=f"run {number} {HOSTILE}" if number else "первый 日本語 run\x1b[31m",
                start_time=START + number,
                end_time=START + number * 60_000,
                params={"lr": lr, "optimizer": "adam", "note": HOSTILE, HOSTILE: f"{number} {HOSTILE}"},
                tags={"team": "vision", "mlflow.note.content": f"{HOSTILE}\u2028{number}"},
            )
        )
    files: dict[str, dict[str, bytes | None]] = {
        hex_id(0): {"same.bin": b"1", "model.bin": b"abc", "gone.txt": b""},
        hex_id(1): {"same.bin": b"1", "model.bin": b"abd"},
    }
    export_into(folder, MemorySource([Experiment("1", f"churn {HOSTILE}")], runs, points, files))
    return folder


def large_bundle(folder: Path, count: int = 1000) -> Path:
    """So many runs with 15 params and 6 metrics of 60 points."""
    draw = random.Random(4)
    runs, points = [], {}
    for number in range(count):
        run_id = hex_id(number)
        points[run_id] = {
            f"metric_{m}": [(step, START + step * 100, draw.random() + step) for step in range(60)] for m in range(6)
        }
        params: dict[str, Any] = {f"param_{p}": str(draw.random()) for p in range(14)}
        params["optimizer"] = draw.choice(["adam", "sgd", "rmsprop"])
        runs.append(run_with_metrics(run_id, points[run_id], name=f"run-{number}", params=params))
    source = MemorySource([Experiment("1", "churn")], runs, points, batch_size=500)
    export_into(folder, source)
    return folder
