"""A file of a bundle read from its first byte to its last: has it the hash that it is named by?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runsync.bundle import parts, rows
from runsync.bundle.bundle import Bundle
from runsync.bundle.faults import BROKEN, INVALID
from runsync.errors import BundleDamaged
from runsync.kinds.kind import Kind


@dataclass(frozen=True, slots=True)
class ReadThrough:
    """What reading all of a file told: what is wrong with it, else its rows and the stretches of its runs."""

    error: str = ""
    kind: str = BROKEN
    rows: int = 0
    stretches: Sequence[tuple[str, int, int]] = ()

    @classmethod
    def of(cls, bundle: Bundle, name: str) -> "ReadThrough":
        """Of any file: its hash alone."""
        return cls("" if parts.has_its_hash(bundle.store, name) else parts.WRONG_HASH)


def read_metrics(bundle: Bundle, name: str) -> ReadThrough:
    """Hash, rows and stretches of one and the same copy of a metrics part."""
    place = f"{bundle.address}/{name}"
    with bundle.store.open(name) as stream:
        if not parts.is_hash_of(stream, name):
            return ReadThrough(parts.WRONG_HASH)
        stream.seek(0)
        try:
            with parts.parquet_of(stream, place) as parquet:
                return ReadThrough(rows=parquet.metadata.num_rows, stretches=_runs_in(parquet, place))
        except BundleDamaged as error:
            return ReadThrough(str(error), INVALID)


def read_rows(bundle: Bundle, name: str, kind: Kind[Any]) -> ReadThrough:
    """Likewise of a file of rows: the stretches are those of its entities."""
    if not parts.has_its_hash(bundle.store, name):
        return ReadThrough(parts.WRONG_HASH)
    try:
        found = rows.stretches(bundle.store, kind, name)
    except BundleDamaged as error:
        return ReadThrough(str(error), INVALID)
    return ReadThrough(rows=found[-1][2] if found else 0, stretches=found)


def _runs_in(parquet: Any, place: str) -> list[tuple[str, int, int]]:
    """Run id, first row and row after the last of each stretch of one run."""
    import pyarrow.compute as pc

    stretches: list[tuple[str, int, int]] = []
    begin = 0
    for group in range(parquet.metadata.num_row_groups):
        for column in parts.read_points(parquet, place, group, ["run_id"])["run_id"].chunks:
            encoded, names = pc.run_end_encode(column.indices), column.dictionary.to_pylist()
            for end, code in zip(encoded.run_ends.to_pylist(), encoded.values.to_pylist(), strict=True):
                first = stretches[-1][2] if stretches else 0
                if stretches and stretches[-1][0] == names[code]:
                    first = stretches.pop()[1]
                stretches.append((names[code], first, begin + end))
            begin += len(column)
    return stretches
