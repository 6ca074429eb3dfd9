"""The file that tells which new id every old id got."""

from pathlib import Path

import orjson

from runsync.bundle import schemas
from runsync.transfer.report import TransferReport
from runsync.whole_file import clear, whole_file


def write_id_map(place: Path, report: TransferReport) -> None:
    """Writes `schemas/v1/id-map.schema.json` of what an import or sync did."""
    told = report.to_document()
    document = {
        "format": "runsync-id-map",
        "version": 1,
        "source": told["source"],
        "target": told["target"],
        **report.ids_by_kind,
    }
    schemas.check("id-map", document, str(place))
    clear(place.parent)
    with whole_file(place) as file:
        file.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
