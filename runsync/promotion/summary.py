"""A promotion in Markdown, for a pull request or the summary of a pipeline."""

from collections.abc import Iterator, Mapping
from typing import Any

from runsync.model.wording import many
from runsync.promotion.gates import Gate
from runsync.promotion.history import REFUSED, ROLLED_BACK
from runsync.promotion.report import ALREADY_THERE, FAILED, Promotion, PromotionReport

_TITLES = {ALREADY_THERE: "Already there", REFUSED: "Refused", FAILED: "Failed", ROLLED_BACK: "Rolled back"}


def markdown(report: PromotionReport) -> str:
    """The whole summary, with a line end."""
    return "\n".join(line for one in report.promotions for line in _lines(report, one)) + "\n"


def _lines(report: PromotionReport, one: Promotion) -> Iterator[str]:
    title = _TITLES.get(one.action, "Would be promoted" if report.dry_run else "Promoted")
    yield f"### {title}: {_code(f'{one.to_model}@{one.alias}')}\n"
    yield "| | |"
    yield "|---|---|"
    yield f"| from | {_code(report.model)} at {_code(report.source.address)} |"
    yield f"| to | {_code(one.target.address)} |"
    version = f"{one.to_model}/{one.version}" if one.version is not None else "a new version"
    before = f"{one.to_model}/{one.holder}" if one.holder is not None else "none"
    yield f"| version | {_code(version)} (before: {_code(before)}) |"
    if report.digest:
        yield f"| digest | {_code(report.digest)} ({many(report.files, 'file')}, {many(report.bytes, 'byte')}) |"
    for name, value in (("commit", one.commit), ("by", one.by), ("forced", one.forced), ("error", one.error)):
        if value:
            yield f"| {name} | {_cell(value)} |"
    yield ""
    if one.gates:
        yield "| gate | verdict | ours | theirs |"
        yield "|---|---|---|---|"
        yield from (_row(gate) for gate in one.gates)
        yield ""
    yield from (f"- {_cell(note)}" for note in (*one.lost, *one.notes))


def _row(gate: Gate) -> str:
    verdict = "passed" if gate.passed else "**refused**"
    document = gate.to_document()
    values = (_values(document[side]) for side in ("ours", "theirs"))
    cells = (_code(gate.expression), f"{verdict}: {_cell(gate.told)}", *values)
    return f"| {' | '.join(cells)} |"


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(_cell("–" if value is None else str(value)) for value in values.values()) or "–"


def _code(text: str) -> str:
    """As code, whatever is in it."""
    ticks = "``" if "`" in text else "`"
    return _cell(f"{ticks}{text}{ticks}")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
