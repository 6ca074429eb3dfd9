"""Runs in an order, as MLflow sorts them: what has no value comes last either way, and NaN just before it."""

import math
from collections.abc import Iterable, Mapping, Sequence

from runsync.model.experiment import Experiment
from runsync.model.fields import Order, value_of
from runsync.model.run import Run


def ordered(runs: Iterable[Run], order: Sequence[Order], experiments: Iterable[Experiment] = ()) -> list[Run]:
    """Sorted by each order in turn, then by start time, newest first, and run id."""
    homes = {e.experiment_id: e for e in experiments}
    found = sorted(runs, key=lambda run: (-(run.start_time or 0), run.run_id))
    for one in reversed(order):
        found = _sorted(found, one, homes)
    return found


def _sorted(runs: Sequence[Run], order: Order, homes: Mapping[str, Experiment]) -> list[Run]:
    """Stable, so that earlier orders can be laid over later ones."""
    valued, nan, nothing = [], [], []
    for run in runs:
        value = value_of(order.field, run, homes.get(run.experiment_id))
        if value is None:
            nothing.append(run)
        elif isinstance(value, float) and math.isnan(value):
            nan.append(run)
        else:
            valued.append((value, run))
    valued.sort(key=lambda pair: pair[0], reverse=order.descending)
    return [run for _, run in valued] + nan + nothing
