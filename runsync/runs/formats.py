"""Lists of runs as files: CSV, one JSON document a line, Parquet. Written run by run, or in groups of rows."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from runsync.model.experiment import Experiment
from runsync.model.fields import ATTRIBUTES, METRICS, PARAMS, TAGS, Field, value_of, values_of
from runsync.model.run import Run
from runsync.runs.columns import TIMES, is_text, plain
from runsync.runs.listing import Listing, document_of

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_GROUP = 1000
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?Infinity", re.ASCII)
_ATTRIBUTES = (
    "run_id",
    "run_name",
    "user_id",
    "status",
    "state",
    "start_time",
    "end_time",
    "duration",
    "artifact_uri",
)


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_line(cells: Iterable[str], safe: bool = False) -> bytes:
    """A line of CSV: quotes as RFC 4180 has them, and a line's end that other tools of a shell expect.

    With `safe`, what a spreadsheet would take for a formula has an apostrophe before it, and is text there.
    """
    line, cells = io.StringIO(), [_harmless(cell) for cell in cells] if safe else list(cells)
    # csv quotes only the line's end that it writes itself, and readers take either for one.
    is_odd = any("\r" in cell for cell in cells)
    csv.writer(line, lineterminator="\n", quoting=csv.QUOTE_ALL if is_odd else csv.QUOTE_MINIMAL).writerow(cells)
    return line.getvalue().encode(errors="backslashreplace")


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell) else cell


def write_csv(file: IO[bytes], listing: Listing, columns: Sequence[Field], safe: bool = False) -> None:
    """A line a run; times in ISO 8601, durations in milliseconds. For `safe` see `csv_line`."""
    file.write(csv_line((str(column) for column in columns), safe))
    for run in listing.runs:
        home = listing.experiment_of(run)
        values = values_of(columns, run, home)
        file.write(csv_line((plain(c, value) for c, value in zip(columns, values, strict=True)), safe))


def write_jsonl(file: IO[bytes], listing: Listing) -> None:
    """One run document a line."""
    import orjson

    for run in listing.runs:
        file.write(orjson.dumps(document_of(run, listing.experiment_of(run)), option=orjson.OPT_APPEND_NEWLINE))


def write_parquet(file: IO[bytes], listing: Listing, columns: Sequence[Field] = ()) -> None:
    """Row groups of 1,000 runs: with columns of their own the fields asked for, else params, tags, metrics as maps."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = _flat(columns) if columns else _with_maps()
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while runs := list(islice(listing.runs, ROWS_A_GROUP)):
            rows = (
                dict(zip(map(str, columns), values_of(columns, run, listing.experiment_of(run)), strict=True))
                if columns
                else _row(run, listing.experiment_of(run))
                for run in runs
            )
            writer.write_table(pa.Table.from_pylist(list(rows), schema))


def wide_table(runs: Sequence[Run], experiments: Mapping[str, Experiment]) -> "pa.Table":
    """A column for every metric, param and tag, as `mlflow.search_runs` has them."""
    import pyarrow as pa

    homes = [experiments.get(run.experiment_id) for run in runs]
    columns: dict[str, Any] = {
        "experiment_id": pa.array([run.experiment_id for run in runs], pa.string()),
        "experiment_name": pa.array([e.name if e is not None else None for e in homes], pa.string()),
    }
    for name in _ATTRIBUTES:
        field = Field(ATTRIBUTES, name)
        columns[name] = pa.array([value_of(field, run) for run in runs], _type(field))
    metrics = [{metric.key: metric.value for metric in run.latest_metrics} for run in runs]
    columns |= _columns(METRICS, metrics, pa.float64())
    columns |= _columns(PARAMS, [run.params for run in runs], pa.string())
    columns |= _columns(TAGS, [run.tags for run in runs], pa.string())
    return pa.table(columns)


def _columns(kind: str, rows: Sequence[Mapping[str, Any]], type: "pa.DataType") -> dict[str, Any]:
    import pyarrow as pa

    keys = sorted({key for row in rows for key in row})
    return {f"{kind}.{key}": pa.array([row.get(key) for row in rows], type) for key in keys}


def _type(field: Field) -> "pa.DataType":
    import pyarrow as pa

    if is_text(field):
        return pa.string()
    if field.kind == METRICS:
        return pa.float64()
    return pa.timestamp("ms", "UTC") if field.key in TIMES else pa.int64()


def _flat(columns: Sequence[Field]) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([(str(column), _type(column)) for column in columns])


def _with_maps() -> "pa.Schema":
    import pyarrow as pa

    text, number = pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), pa.float64())
    return pa.schema(
        [("experiment_id", pa.string()), ("experiment_name", pa.string())]
        + [(name, _type(Field(ATTRIBUTES, name))) for name in _ATTRIBUTES]
        + [(PARAMS, text), (TAGS, text), (METRICS, number)]
    )


def _row(run: Run, experiment: Experiment | None) -> dict[str, Any]:
    return {
        "experiment_id": run.experiment_id,
        "experiment_name": experiment.name if experiment is not None else None,
        **{name: value_of(Field(ATTRIBUTES, name), run) for name in _ATTRIBUTES},
        PARAMS: list(run.params.items()),
        TAGS: list(run.tags.items()),
        METRICS: [(metric.key, metric.value) for metric in run.latest_metrics],
    }
