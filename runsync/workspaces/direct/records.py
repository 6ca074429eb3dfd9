"""Records of entities into a store: many in one transaction, one by one where one of them is not taken."""

from collections.abc import Callable, Sequence
from typing import Any

from runsync.errors import ITEM_ERRORS, AccessDenied


def write_all(write: Callable[[Sequence[Any]], None], records: Sequence[Any]) -> list[Exception | None]:
    """Why each of them was refused, in their order. Raises AccessDenied: then none can be written."""
    if not records:
        return []
    try:
        write(records)
    except AccessDenied:
        raise
    except ITEM_ERRORS as error:
        if len(records) == 1:
            return [error]
        middle = len(records) // 2
        return write_all(write, records[:middle]) + write_all(write, records[middle:])
    return [None] * len(records)
