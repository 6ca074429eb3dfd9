"""Puts the page together: template, style, script, plotly.js, and the values as one JSON island."""

import base64
import hashlib
import string
from collections.abc import Mapping
from importlib import resources
from importlib.util import find_spec
from typing import Any

from runsync.errors import WrongUsage
from runsync.extras import how_to_install
from runsync.model import fields, numbers
from runsync.model.curves import Curve
from runsync.model.fields import ATTRIBUTES, METRICS, PARAMS, TAGS
from runsync.model.run_table import DETAILS, Row
from runsync.runs.compare import CompareReport
from runsync.runs.compare_page.first_look import first_look

DIGITS = 7
"""Significant digits of the points of a curve; tables have all digits."""
_ESCAPED = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
"""What could end the island or be read as markup; JSON reads it back."""


def require_plotly() -> None:
    """Raises WrongUsage where plotly is not installed."""
    if find_spec("plotly") is None:
        raise WrongUsage(f"a page needs plotly: {how_to_install('plot')}")


def to_html(
    report: CompareReport,
    *,
    x: str | None = None,
    y: str | None = None,
    color: str | None = None,
    diff_only: bool = False,
) -> str:
    """One page that opens without a network. `x`, `y` and `color` are fields (params.lr) to begin with.

    Raises WrongUsage where plotly is not installed, or a field is none of the runs'.
    """
    require_plotly()
    from plotly.offline import get_plotlyjs

    asked = {name: _axis(report, text) for name, text in (("x", x), ("y", y), ("color", color)) if text}
    plotly, script, style = get_plotlyjs(), _own("page.js"), _own("page.css")
    return string.Template(_own("page.html")).substitute(
        policy=_policy(plotly, script),
        style=style,
        plotly=plotly,
        values=_island({**_values(report, asked), "diff_only": diff_only}),
        script=script,
    )


def _own(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(*scripts: str) -> str:
    """Only these scripts run, and nothing is fetched: whatever a name or param of a run says."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"


def _island(document: dict[str, Any]) -> str:
    import orjson

    return orjson.dumps(document).decode().translate(_ESCAPED)


def _values(report: CompareReport, asked: Mapping[str, str]) -> dict[str, Any]:
    curves = _drawable(report.curves)
    return {
        "first_look": first_look(report, asked, curves).to_document(),
        "runs": [{"id": s.run.run_id, "name": s.run.name or s.run.run_id} for s in report.subjects],
        "rows": [_row(row) for row in report.rows],
        "curves": {
            key: [_curve(position, curve) for position, curve in sorted(of_key.items())]
            for key, of_key in sorted(curves.items())
        },
        "single_points": {key: len(report.curves[key]) - len(of_key) for key, of_key in curves.items()},
        "most_points": report.most_points,
        "problems": [f"{p.kind} of {p.name}: {p.reason}" for p in report.problems],
    }


def _row(row: Row) -> dict[str, Any]:
    values = [numbers.to_json(v) if isinstance(v, float) else v for v in row.values]
    return {
        "group": row.group,
        "key": row.key,
        "values": values,
        "differs": row.differs,
        "best": row.best,
        "direction": row.direction,
    }


def _drawable(curves: Mapping[str, Mapping[int, Curve]]) -> dict[str, dict[int, Curve]]:
    """Without those of one point, which tables tell."""
    lines = {key: {i: curve for i, curve in of_key.items() if curve.points > 1} for key, of_key in curves.items()}
    return {key: of_key for key, of_key in lines.items() if of_key}


def _curve(position: int, curve: Curve) -> dict[str, Any]:
    """Times count from the first point."""
    first = min(curve.times)
    values = [numbers.to_json(float(f"{value:.{DIGITS}g}")) for value in curve.values]
    times = [time - first for time in curve.times]
    return {"run": position, "points": curve.points, "steps": curve.steps, "times": times, "values": values}


def _axis(report: CompareReport, text: str) -> str:
    """The name of a row in the page. Raises WrongUsage for a field that no run has."""
    field = fields.parse_field(text)
    group = {METRICS: METRICS, PARAMS: PARAMS, TAGS: TAGS, ATTRIBUTES: DETAILS}.get(field.kind, "")
    key = {"run_name": "name", "user_id": "user"}.get(field.key, field.key) if group == DETAILS else field.key
    if not any(row.group == group and row.key == key for row in report.rows):
        raise WrongUsage(f"{text} is no axis: none of these runs has it")
    return f"{group}.{key}"
