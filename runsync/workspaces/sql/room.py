"""What the text columns of a database take: how much, and which characters."""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass

from runsync.workspaces.sql.address import MYSQL, POSTGRESQL, SQLITE
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.schema import Schema

UTF_8 = "utf-8"
_BYTES = "SQL_ASCII"
"""PostgreSQL's encoding of those who want none: it takes bytes, and counts them."""
_OF_THREE_BYTES = ("utf8", "utf8mb3")
_PYTHON = {"latin1": "cp1252", "ujis": "euc_jp", "sjis": "shift_jis", "macce": "mac_latin2", "macroman": "mac_roman"}
"""Names of MySQL, which are lower case, where Python has none or another encoding of that name."""
_ASKED = """
SELECT table_name, column_name, character_set_name, character_maximum_length, character_octet_length
FROM information_schema.columns WHERE table_schema = DATABASE() AND character_set_name IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Room:
    """`encoding` is what the database calls it, `codec` what Python does; `nul`: whether U+0000 is a character to it;
    `characters` and `bytes` are the most that fit, None where there is no bound."""

    encoding: str = ""
    codec: str = UTF_8
    nul: bool = True
    characters: int | None = None
    bytes: int | None = None

    def why_not(self, text: str) -> str:
        """Why a text does not fit, as in “it …”; "" when it does."""
        if not self.nul and "\0" in text:
            return "holds a NUL character, which PostgreSQL does not take"
        if not text.isascii() and not self.has_all_of(text):
            return f"has characters that {f'the encoding {self.encoding}' if self.encoding else 'UTF-8'} does not have"
        if self.characters is not None and len(text) > self.characters:
            return f"has {len(text)} characters, and this database takes {self.characters}"
        if (
            self.bytes is not None
            and len(text) * 4 > self.bytes
            and (size := len(text.encode(self.codec))) > self.bytes
        ):
            return f"has {size} bytes, and this database takes {self.bytes}"
        return ""

    def nearest(self, text: str) -> str:
        """The text, with `?` for characters that do not fit, and cut where it is too long."""
        if not self.why_not(text):
            return text
        fitting = "".join(c if self.has_all_of(c) and (self.nul or c != "\0") else "?" for c in text)
        fitting = fitting[: self.characters]
        if self.bytes is None:
            return fitting
        return fitting.encode(self.codec, errors="replace")[: self.bytes].decode(self.codec, errors="ignore")

    def has_all_of(self, text: str) -> bool:
        """Whether the database has all of its characters."""
        if self.encoding in _OF_THREE_BYTES and max(text) > "\uffff":
            return False
        try:
            text.encode(self.codec)
        except UnicodeEncodeError:
            return False
        return True


def rooms(database: Database, schema: Schema) -> tuple[Room, Mapping[tuple[str, str], Room]]:
    """That of columns without a bound, and of the others by table and column."""
    if database.kind == SQLITE:
        # It keeps none of the bounds of its columns, and MLflow reads what is longer there.
        return Room(), {}
    if database.kind == MYSQL:
        with database.reading() as connection:
            found = connection.exec_driver_sql(_ASKED).all()
        return Room(), {
            (table, column): Room(encoding, _codec(encoding), characters=most, bytes=most_bytes)
            for table, column, encoding, most, most_bytes in found
        }
    assert database.kind == POSTGRESQL
    with database.reading() as connection:
        encoding = str(connection.exec_driver_sql("SHOW server_encoding").scalar())
    codec, counts_bytes = _codec(encoding), encoding == _BYTES
    lengths = {
        (name, column["name"]): most
        for name in schema.tables
        for column in schema.tables.written(name)
        if (most := getattr(column["type"], "length", None)) is not None
    }
    return Room(encoding, codec, nul=False), {
        place: Room(encoding, codec, False, *((None, most) if counts_bytes else (most, None)))
        for place, most in lengths.items()
    }


def _codec(encoding: str) -> str:
    """Of one that Python does not know, it is left to the database to refuse a text."""
    name = encoding.lower().replace("win", "cp").replace("koi8", "koi8_")
    name = _PYTHON.get(encoding, name)
    try:
        return UTF_8 if name.startswith("utf8") else codecs.lookup(name).name
    except LookupError:
        return UTF_8
