"""Runs of several searches in one order: as if they had been one."""

import math

from hypothesis import given
from hypothesis import strategies as st

from runsync.model.fields import parse_order
from runsync.model.ordering import ordered
from runsync.model.run import LatestMetric, Run
from runsync.workspaces.rest.order import merged, order_by

NUMBERS = st.sampled_from([None, math.nan, 0.0, -1.5, 2.0, 1.7976931348623157e308])
RUNS = st.lists(
    st.builds(
        lambda id, start, end, value: Run(
            f"{id:032x}",
            "1",
            start_time=start,
            end_time=end,
            latest_metrics=() if value is None else (LatestMetric("m", value, 0, 0),),
        ),
        st.integers(0, 2**64),
        st.integers(0, 3),
        st.sampled_from([None, 0, 1, 2]),
        NUMBERS,
    ),
    max_size=12,
    unique_by=lambda run: run.run_id,
)
ORDERS = st.lists(
    st.sampled_from(["start_time", "start_time DESC", "end_time", "end_time DESC", "metrics.m", "metrics.m DESC"]),
    min_size=1,
    max_size=2,
)


@given(RUNS, ORDERS, st.integers(1, 4))
def test_chunks_in_order_are_merged_as_one(runs: list[Run], texts: list[str], chunks: int) -> None:
    order = [parse_order(text) for text in texts]
    parts = [iter(ordered(runs[n::chunks], order)) for n in range(chunks)]
    assert list(merged(parts, order)) == ordered(runs, order)


def test_what_databases_sort_differently_is_left_to_us() -> None:
    for text in ("run_name", "params.lr", "tags.team", "status", "duration", "experiment.name", "run_id"):
        assert order_by([parse_order(text)]) is None
    twice = [parse_order("metrics.`a b` DESC"), parse_order("metrics.`a b`"), parse_order("start_time")]
    assert order_by(twice) == ("metrics.`a b` DESC", "attributes.start_time ASC")
