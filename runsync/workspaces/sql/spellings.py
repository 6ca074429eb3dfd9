"""Which keys are one to MySQL, as "lr", "LR" and "lŕ" are to the collation that it has by default: it is asked."""

from collections.abc import Mapping, Sequence

from runsync.workspaces.sql.database import Database

_ASKED = """
SELECT table_name, column_name, character_set_name, collation_name
FROM information_schema.columns WHERE table_schema = DATABASE() AND collation_name IS NOT NULL
"""


class Spellings:
    """Of the columns of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.reading() as connection:
            found = connection.exec_driver_sql(_ASKED).all()
        self._collations = {(table, column): (encoding, name) for table, column, encoding, name in found}

    def first(self, table: str, column: str, keys: Sequence[str]) -> Mapping[str, str]:
        """The first of those that are one with each, where that may be another one."""
        if (table, column) not in self._collations or not _may_be_one(keys):
            return {}
        from sqlalchemy import text

        encoding, collation = self._collations[table, column]
        spelled = " UNION ALL ".join(
            f"SELECT {number} AS n, CONVERT(:k{number} USING {encoding}) COLLATE {collation} AS k"
            for number in range(len(keys))
        )
        asked = text(f"SELECT n, MIN(n) OVER (PARTITION BY k) FROM ({spelled}) AS spelled")  # noqa: S608
        with self._database.reading() as connection:
            found = connection.execute(asked, {f"k{number}": key for number, key in enumerate(keys)}).all()
        return {keys[number]: keys[first] for number, first in found}


def _may_be_one(keys: Sequence[str]) -> bool:
    """Plain ones are told apart by more than upper and lower case."""
    folded = {key.casefold() for key in keys}
    return len(folded) < len(keys) or any(not key.isascii() or key != key.strip() for key in keys)
