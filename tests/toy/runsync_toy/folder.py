"""The folder: one JSON file an experiment, a run and a registered model, and the files of runs as they are."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote


class Folder:
    def __init__(self, root: Path) -> None:
        self.root = root

    def documents(self, sort: str) -> Iterator[dict[str, Any]]:
        """All of one sort: experiments, runs, models."""
        for file in sorted((self.root / sort).glob("*.json")):
            yield json.loads(file.read_text(encoding="utf-8"))

    def document(self, sort: str, name: str) -> dict[str, Any] | None:
        file = self._file(sort, name)
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

    def write(self, sort: str, name: str, document: dict[str, Any]) -> None:
        """Whole or not at all, also when the process is killed."""
        file = self._file(sort, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        waiting = file.with_suffix(".part")
        waiting.write_text(json.dumps(document), encoding="utf-8")
        waiting.replace(file)

    def files(self, run_id: str) -> dict[str, Path]:
        """Those of a run, by the path that MLflow knows them by: any name is one file here."""
        places = sorted((self.root / "files" / run_id).glob("*"))
        return {unquote(place.name): place for place in places if not place.name.startswith(".")}

    def write_file(self, run_id: str, path: str, chunks: Iterator[bytes]) -> int:
        place = self.root / "files" / run_id / quote(path, safe="")
        place.parent.mkdir(parents=True, exist_ok=True)
        waiting = place.with_name(".part")
        with waiting.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
        waiting.replace(place)
        return place.stat().st_size

    def _file(self, sort: str, name: str) -> Path:
        return self.root / sort / f"{quote(name, safe='')}.json"
