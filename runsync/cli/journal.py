"""What a command leaves for those who were not there: lines in a log file, numbers in a metrics file."""

import json
import logging
import shlex
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from runsync.cli import metrics, say
from runsync.errors import WrongUsage
from runsync.kinds.left_behind import UNSOUGHT
from runsync.log import LOG
from runsync.model.redact import without_credentials
from runsync.secrecy import strike

_TOLD = {
    "failed": (logging.ERROR, "failed"),
    "problems": (logging.ERROR, "missing"),
    "faults": (logging.ERROR, "fault"),
    "broken": (logging.ERROR, "broken"),
    "missing_snapshots": (logging.ERROR, "missing snapshot"),
    "differences": (logging.ERROR, "difference"),
    "not_carried": (logging.WARNING, "not carried"),
    "not_compared": (logging.WARNING, "not compared"),
    "warnings": (logging.WARNING, "warning"),
    "doubtful_dates": (logging.WARNING, "doubtful date"),
    "notes": (logging.INFO, "note"),
}
"""The lists of a report that a log tells, entry by entry: how grave they are, and what they are called."""


class Journal:
    """Of one command, from its start to its end. Nothing is written unless a file was named for it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._wants_json = any(one.partition("=")[0] == "--json" for one in arguments)
        self._line = shlex.join(["runsync", *map(without_credentials, arguments)])
        self._is_debug = "--debug" in arguments
        self._begun = time.monotonic()
        self._context: click.Context | None = None
        self._log: _LogFile | None = None
        self._metrics: Path | None = None
        self._report: Mapping[str, Any] = {}
        self._measured: int | None = None
        """The exit code that the metrics tell."""
        self._is_lost = False
        """Whether they could not be written, which is told once."""

    def log_to(self, ctx: click.Context, file: str) -> None:
        """Appends to that file from now on. Raises WrongUsage when it cannot be written."""
        try:
            self._log = _LogFile(Path(file))
        except OSError as error:
            raise WrongUsage(f"--log-file {file} cannot be written: {error.strerror or error}") from None
        self._context = ctx
        LOG.addHandler(self._log)
        LOG.setLevel(logging.DEBUG if self._is_debug else logging.INFO)
        LOG.info("start: %s", self._line)

    def measure_to(self, ctx: click.Context, file: str) -> None:
        """Writes that file at the end. Raises WrongUsage when that will not be possible."""
        try:
            metrics.probe(Path(file))
        except OSError as error:
            raise WrongUsage(f"--metrics-file {file} cannot be written: {error.strerror or error}") from None
        self._context = ctx
        self._metrics = Path(file).absolute()

    def take(self, report: Mapping[str, Any]) -> None:
        """The report of the command: its JSON document."""
        self._report = report
        for name, (level, what) in _TOLD.items():
            for entry in report.get(name, ()):
                if isinstance(entry, Mapping) and entry.get("kind") == "":  # nothing is lost with it
                    is_unsought = str(entry.get("what")).endswith(UNSOUGHT)
                    LOG.info("%s: %s", "note" if is_unsought else "otherwise in the target", _told(entry))
                else:
                    is_accepted = isinstance(entry, Mapping) and entry.get("accepted", False)
                    LOG.log(logging.INFO if is_accepted else level, "%s: %s", what, _told(entry))
        if report.get("stopped"):
            self.fail(report["stopped"])
        counted = ", ".join(f"{n} {v:g}" for n, v in metrics.counts(report))
        if counted:
            LOG.info("counted: %s", counted)

    def fail(self, message: str) -> None:
        """What ended the command before its end."""
        LOG.error("%s", message)

    def owes_document(self) -> bool:
        """Whether --json was given and nothing printed for it; asked once, for it is printed then."""
        owes, self._wants_json = self._wants_json, False
        return owes

    def measure(self, code: int) -> int:
        """Writes the metrics. Gives the exit code: 1 when only they could not be written."""
        if self._metrics is None or self._is_lost or self._measured == code:
            return (code or 1) if self._is_lost else code
        self._measured = code
        try:
            metrics.write(self._metrics, *self._labels(), self._report, code, time.monotonic() - self._begun)
        except OSError as error:
            message = f"{self._metrics} cannot be written: {error.strerror or error}"
            say.err(f"runsync: {message}")
            self.fail(message)
            self._is_lost = True
            return code or 1
        return code

    def end(self, code: int) -> int:
        """Writes the last line, and the metrics unless that is done. Gives the exit code, as `measure` does."""
        code = self.measure(code)
        LOG.info("end: exit code %d after %.1f s", code, time.monotonic() - self._begun)
        if self._log is not None:
            LOG.removeHandler(self._log)
            self._log.close()
        return code

    def _labels(self) -> tuple[str, str]:
        """The verb, and what it works on: `where`, or the last argument."""
        assert self._context is not None
        arguments = [p.name or "" for p in self._context.command.params if isinstance(p, click.Argument)]
        on = "where" if "where" in arguments else arguments[-1] if arguments else ""
        verb = self._context.command_path.removeprefix("runsync ")
        return verb, strike(without_credentials(str(self._context.params.get(on) or "")))


class _LogFile(logging.Handler):
    """Appends one line an event: time (UTC), level, process, message. Each is one write: several commands may share
    a file."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self._place = place
        self._file = place.open("ab", buffering=0)
        self._is_broken = False

    def emit(self, record: logging.LogRecord) -> None:
        """A full disk does not stop a backup; it is told once."""
        try:
            self._file.write(f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except OSError as error:
            if not self._is_broken:
                self._is_broken = True
                say.err(f"runsync: {self._place} cannot be written: {error.strerror or error}")

    def close(self) -> None:
        """No line follows."""
        self._file.close()
        super().close()

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        message = say.clean(" ".join(record.getMessage().splitlines()))
        return f"{when.replace('+00:00', 'Z')} {record.levelname} [{record.process}] {message}"


def _told(entry: Any) -> str:
    """An entry of a report's list: a text, or its fields as name=value."""
    if not isinstance(entry, Mapping):
        return str(entry)
    return " ".join(f"{name}={_quoted(value)}" for name, value in entry.items() if value not in ("", [], None))


def _quoted(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return json.dumps(text, ensure_ascii=False) if set(text) & set(' "=\n') else text
